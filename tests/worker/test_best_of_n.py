import json
from collections.abc import Mapping, Sequence

import pytest

from app.domain.activations import SampleKind
from app.errors import MethodError
from tests.fake_provider import FakeProvider
from tests.worker.live_fakes import FakeSubject, WordSimulator
from tests.worker.steps import explainer_named
from tests.worker.tasks import Excerpt, task
from worker.explainers.best_of_n import BestOfN
from worker.explainers.highlighted import Highlighted
from worker.method.contracts import Services

TOP: Sequence[Excerpt] = [
    (("import", 8.0), (" tea", 0.0)),
    (("import", 7.0), (" cats", 0.0)),
    (("tea", 8.0), (" import", 0.0)),  # validation: an explainer that looked here would choose another text
    (("tea", 8.0), (" import", 0.0)),
]
NEURON = task({SampleKind.TOP: TOP, SampleKind.RANDOM: [(("cats", 0.0), (" sleep", 0.0))] * 3})


def saying(texts: Mapping[str, str]) -> FakeProvider:
    """Gives each step its own text."""
    return FakeProvider(lambda request: json.dumps({"explanation": texts[request.step]}))


def best_of(texts: Sequence[str], simulator: WordSimulator | None = None) -> BestOfN:
    provider = saying({f"explain/{i}": text for i, text in enumerate(texts)})
    return BestOfN(Highlighted(provider, temperature=1.0), simulator or WordSimulator(), n=len(texts))


def test_the_best_on_the_calibration_split_comes_first_and_all_are_kept() -> None:
    candidates = best_of(["tea", "cats", "import"]).explain(NEURON)
    assert [c.text for c in candidates] == ["import", "cats", "tea"]
    assert candidates[0].provenance["calibration_score"]["value"] == pytest.approx(1.0)
    assert candidates[0].provenance["explain"]["step"] == "explain/2"


def test_equal_texts_are_one_candidate_and_simulated_once() -> None:
    simulator = WordSimulator()
    assert len(best_of(["import", "import", "tea"], simulator).explain(NEURON)) == 2
    assert simulator.asked == [("import", 2), ("tea", 2)]


def test_a_text_that_cannot_be_simulated_is_kept_behind_the_others() -> None:
    *_, last = best_of(["?", "sleep", "import"]).explain(NEURON)
    assert last.text == "?"
    assert last.provenance["calibration_score"] == {
        "value": None,
        "undefined_reason": "there is no excerpt to score",
        "n_valid": 0,
        "n_failed": 2,
    }


def test_it_samples_the_explainer_that_its_parameters_name() -> None:
    services = Services(provider=saying({}), simulator=WordSimulator())
    built = explainer_named("best_of_n", services, explainer="token_activation_pairs", n=7)
    assert isinstance(built, BestOfN)
    assert (built.explainer.name, built.n) == ("token_activation_pairs", 7)


def test_its_samples_differ_whatever_is_between_it_and_the_language_model() -> None:
    services = Services(
        provider=saying({}), simulator=WordSimulator(), subject=FakeSubject(NEURON.vocabulary, {"import": 8.0})
    )
    for parameters in ({}, {"explainer": "revise"}, {"explainer": "per_meaning"}):
        built = explainer_named("best_of_n", services, **parameters)
        innermost = getattr(built, "explainer")  # noqa: B009 - each wrapping explainer has one
        innermost = getattr(innermost, "explainer", innermost)
        assert innermost.temperature == 1.0


def test_an_explainer_without_a_temperature_can_be_sampled_too() -> None:
    services = Services(simulator=WordSimulator())
    (candidate,) = explainer_named("best_of_n", services, explainer="lexical", n=3).explain(NEURON)
    assert "import" in candidate.text


def test_without_a_simulator_it_cannot_choose() -> None:
    with pytest.raises(MethodError, match="has no simulator"):
        explainer_named("best_of_n", Services(provider=saying({})))
    with pytest.raises(MethodError, match="builds on another explainer"):
        BestOfN.build({}, Services(provider=saying({}), simulator=WordSimulator()))
