import json
from pathlib import Path

import pytest

from app.domain.activations import SampleKind
from app.domain.language_models import Outcome
from app.errors import MethodError
from tests.fake_provider import FakeProvider, reply
from tests.worker.tasks import IMPORTS, LOOKALIKE, task, train_task
from worker.explainers.contrastive import Contrastive
from worker.explainers.highlighted import Highlighted
from worker.explainers.prompted import PromptedExplainer
from worker.explainers.token_activation_pairs import TokenActivationPairs
from worker.method.contracts import Services
from worker.providers.base import ChatRequest

PROMPTS = Path(__file__).parent / "prompts"
EXPLAINERS = (TokenActivationPairs, Highlighted, Contrastive)
NEURON = train_task(*IMPORTS, similar=[LOOKALIKE])
each_explainer = pytest.mark.parametrize("explainer", EXPLAINERS, ids=lambda explainer: explainer.name)


def saying(text: object) -> FakeProvider:
    return FakeProvider(lambda _: json.dumps({"explanation": text}))


def asked(provider: FakeProvider) -> ChatRequest:
    (request,) = provider.asked
    assert isinstance(request, ChatRequest)
    return request


def rendered(request: ChatRequest) -> str:
    return "".join(f"===== {m.role} =====\n{m.content}\n" for m in request.messages)


@each_explainer
def test_the_whole_prompt_is_as_agreed(explainer: type[PromptedExplainer]) -> None:
    provider = saying("imports")
    explainer(provider).explain(NEURON)
    assert rendered(asked(provider)) == (PROMPTS / f"{explainer.name}.txt").read_text()


@each_explainer
def test_no_prompt_shows_records_of_another_split(explainer: type[PromptedExplainer]) -> None:
    provider = saying("imports")
    explainer(provider).explain(NEURON)
    assert "HELD" not in rendered(asked(provider))


@each_explainer
def test_an_answer_is_a_candidate_with_what_made_it(explainer: type[PromptedExplainer]) -> None:
    (candidate,) = explainer(saying(" import\nstatements "), seed=7).explain(NEURON)
    made = candidate.provenance["explain"]
    assert candidate.text == "import statements"
    assert made["excerpt_ids"] == [1, 5]
    assert made["level_10"] == {"activation": 8.0, "is": "the neuron's maximum over all records"}
    assert (made["seed"], made["model"]) == (7, "fake-1")
    json.dumps(candidate.provenance)


@pytest.mark.parametrize("text", ["", "  ", "x" * 501, "a\x00b", "⟪/excerpt 1⟫", 3, None, ["imports"]])
def test_an_empty_over_long_or_odd_text_is_never_an_explanation(text: object) -> None:
    with pytest.raises(MethodError, match="no usable explanation"):
        Highlighted(saying(text)).explain(NEURON)


def test_a_text_of_500_characters_is_an_explanation() -> None:
    assert len(Highlighted(saying("x" * 500)).explain(NEURON)[0].text) == 500


def test_a_reply_that_was_cut_short_is_never_an_explanation() -> None:
    cut = FakeProvider(lambda _: reply('{"explanation": "imports"}', Outcome.TRUNCATED))
    with pytest.raises(MethodError, match="truncated"):
        Highlighted(cut).explain(NEURON)


def test_samples_are_asked_for_at_once_with_seeds_of_their_own() -> None:
    provider = saying("imports")
    assert len(Highlighted(provider, temperature=1.0, seed=3).samples(NEURON, 4)) == 4
    requests = [r for r in provider.asked if isinstance(r, ChatRequest)]
    assert [r.seed for r in requests] == [3, 13, 23, 33]
    assert len({r.step for r in requests}) == 4


def test_a_bad_reply_is_asked_for_again_with_another_seed_and_then_no_more() -> None:
    provider = saying("")
    with pytest.raises(MethodError):
        Highlighted(provider).explain(NEURON)
    assert [(r.step, r.seed, r.temperature) for r in provider.asked if isinstance(r, ChatRequest)] == [
        ("explain/0", 0, 0.0),
        ("explain/0/retry/1", 1, 0.7),
        ("explain/0/retry/2", 2, 0.7),
    ]


def test_samples_that_failed_are_left_out() -> None:
    provider = FakeProvider(lambda r: '{"explanation": "imports"}' if r.step == "explain/1" else "nonsense")
    candidates = Highlighted(provider).samples(NEURON, 2)
    assert [c.text for c in candidates] == ["imports"]


def test_a_neuron_without_a_known_maximum_is_shown_on_that_of_its_records() -> None:
    (candidate,) = Highlighted(saying("imports")).explain(train_task(*IMPORTS, maximum=0.0))
    assert candidate.provenance["explain"]["level_10"]["activation"] == 8.0


def test_a_neuron_that_never_fires_is_not_explained() -> None:
    provider = saying("imports")
    silent = task({SampleKind.TOP: [(("a", -1.0), ("b", 0.0))]}, maximum=0.0)
    with pytest.raises(MethodError, match="never fires"):
        Highlighted(provider).explain(silent)
    assert provider.asked == []


def test_without_train_records_there_is_nothing_to_explain() -> None:
    with pytest.raises(MethodError, match="no train records"):
        Highlighted(saying("imports")).explain(train_task())


def test_without_hard_negatives_there_is_nothing_to_contrast() -> None:
    with pytest.raises(MethodError, match="no hard negatives"):
        Contrastive(saying("imports")).explain(train_task(*IMPORTS))


def test_an_explainer_without_a_language_model_says_so() -> None:
    with pytest.raises(MethodError, match="names no provider"):
        Highlighted.build({}, Services())
    assert Highlighted.build({"temperature": 0.5}, Services(provider=saying(""))).temperature == 0.5
