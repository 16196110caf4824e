from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from app.domain.activations import SampleKind
from app.domain.results import ScoreResult
from app.errors import MethodError
from tests.fake_provider import FakeProvider
from tests.worker.injections import INJECTIONS
from tests.worker.raters import asked, by_word, excerpts_of
from tests.worker.tasks import Excerpt, task, words
from worker.method.contracts import NeuronTask, Services, TextScorer
from worker.scorers.detection import DetectionScorer, asked_about

PROMPTS = Path(__file__).parent / "prompts"
IMPORT: Excerpt = (("import", 8.0), (" tea", 0.0), (" os", 0.0))
TEA: Excerpt = (("green", 0.0), (" tea", 0.5))
IMPORTED: Excerpt = (("an", 0.0), (" import", 0.5))


def neuron(*, top: Excerpt = IMPORT, random: Excerpt = TEA, hard: Sequence[Excerpt] = ()) -> NeuronTask:
    """Five validation records of each sample."""
    return task({SampleKind.TOP: [top] * 20, SampleKind.RANDOM: [random] * 15, SampleKind.HARD_NEGATIVE: hard})


def scores(told: NeuronTask, text: str, provider: FakeProvider | None = None) -> dict[tuple[str, str], ScoreResult]:
    results = DetectionScorer(provider or FakeProvider(by_word)).score_text(text, told, ())
    return {(r.scorer, r.sample): r for r in results}


def test_a_text_that_separates_top_from_random_is_perfect() -> None:
    found = scores(neuron(), "import")
    assert set(found) == {("detection", "top_and_random"), ("detection_auc", "top_and_random")}
    for result in found.values():
        assert (result.value, result.chance) == (1.0, 0.5)
        assert result.interval is not None
        assert 0.6 < result.interval[0] < 0.7
        assert (result.n_valid, result.n_failed) == (10, 0)


def test_a_text_that_fits_all_excerpts_is_chance() -> None:
    assert {r.value for r in scores(neuron(), "tea").values()} == {0.5}


def test_hard_negatives_show_what_random_excerpts_do_not() -> None:
    found = scores(neuron(hard=[IMPORTED] * 4), "import")
    assert found["detection", "top_and_random"].value == 1.0
    assert found["detection", "top_and_hard_negative"].value == 0.5
    assert found["detection", "top_and_hard_negative"].n_valid == 6


def test_balanced_accuracy_and_auc_by_hand() -> None:
    told = task({SampleKind.TOP: [IMPORT, IMPORT, IMPORT, IMPORT] * 2, SampleKind.RANDOM: [TEA] * 6})
    ratings = {True: iter((9, 3)), False: iter((5, 3))}  # of the two that fit, of the two that do not

    def rate(request: object) -> str:
        order = asked_about(told.records, told.seed)
        return '{"ratings": [%s]}' % ", ".join(str(next(ratings[item.fits])) for item in order)  # noqa: UP031  # braces

    found = scores(told, "import", FakeProvider(rate))
    assert found["detection", "top_and_random"].value == (1 / 2 + 1 / 2) / 2
    assert found["detection_auc", "top_and_random"].value == (1 + 1 + 0 + 1 / 2) / 4


def test_failed_requests_are_counted_apart_and_never_a_number() -> None:
    good = FakeProvider(lambda r: by_word(r) if r.step == "detect/0" else "no")
    found = scores(neuron(), "import", good)["detection", "top_and_random"]
    assert (found.n_valid, found.n_failed) == (5, 5)
    none = scores(neuron(), "import", FakeProvider(lambda _: "no"))["detection", "top_and_random"]
    assert (none.value, none.interval, none.n_valid, none.n_failed) == (None, None, 0, 10)
    assert none.undefined_reason == "no excerpt could be rated: the reply is not JSON: it begins with 'no'"


@pytest.mark.parametrize(
    "reply",
    [
        '{"ratings": [1, 2]}',
        '{"ratings": [1, 2, 3, 4, 11]}',
        '{"ratings": [1, 2, 3, 4, -1]}',
        '{"ratings": [1, 2, 3, 4, 5.5]}',
        '{"ratings": [1, 2, 3, 4, true]}',
        '{"ratings": [1, 2, 3, 4, "5"]}',
        '{"ratings": "12345"}',
        "[1, 2, 3, 4, 5]",
    ],
)
def test_ratings_of_another_form_are_failures(reply: str) -> None:
    assert scores(neuron(), "import", FakeProvider(lambda _: reply))["detection", "top_and_random"].n_valid == 0


def test_excerpts_with_middling_activation_are_not_asked_about() -> None:
    provider = FakeProvider(by_word)
    found = scores(neuron(random=(("tea", 3.0), (" an", 0.0))), "import", provider)
    assert found["detection", "top_and_random"].undefined_reason == "there is no judged excerpt that does not fit"
    assert sum(len(excerpts_of(r)) for r in asked(provider)) == 5


def test_the_token_table_and_the_same_text_on_another_neuron_are_baselines() -> None:
    told = neuron(random=IMPORTED)
    found = scores(replace(told, peer=neuron().records), "import")["detection", "top_and_random"]
    assert found.value == 0.5
    assert found.token_lookup_baseline == 1.0  # " import" is no "import" to a table of tokens
    assert found.shuffled_baseline is not None
    assert scores(told, "import")["detection", "top_and_random"].shuffled_baseline is None


def test_without_the_shuffled_baseline_no_request_is_made_for_it() -> None:
    told = neuron()
    provider = FakeProvider(by_word)
    DetectionScorer(provider, shuffled=False).score_text("import", replace(told, peer=told.records), ())
    assert len(asked(provider)) == 2


def test_the_order_of_excerpts_is_uninformative_and_the_same_for_the_same_seed() -> None:
    told = neuron()
    orders = [[item.fits for item in asked_about(told.records, seed)] for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[0]) == [False] * 5 + [True] * 5


def test_the_whole_prompt_is_as_agreed() -> None:
    provider = FakeProvider(by_word)
    scores(neuron(), "imports", provider)
    first = asked(provider)[0]
    assert (
        "".join(f"===== {m.role} =====\n{m.content}\n" for m in first.messages)
        == (PROMPTS / "detection.txt").read_text()
    )


@pytest.mark.parametrize("text", INJECTIONS, ids=range(len(INJECTIONS)))
def test_neither_claim_nor_excerpt_leaves_its_block(text: str) -> None:
    provider = FakeProvider(by_word)
    told = neuron(top=words(text, 8.0), random=words(text))
    DetectionScorer(provider).score_text(text, told, ())
    for request in asked(provider):
        body = request.messages[-1].content
        n = len(excerpts_of(request))
        assert n == 5
        assert body.count("⟪") == body.count("⟫") == 2 * (n + 1)
        assert "⟦" not in body
        assert len(body.split("\n")) == 3 * (n + 1)


def test_it_needs_a_language_model() -> None:
    with pytest.raises(MethodError, match="names no provider"):
        DetectionScorer.build({}, Services())
    assert isinstance(DetectionScorer.build({"shuffled": False}, Services(provider=FakeProvider())), TextScorer)
