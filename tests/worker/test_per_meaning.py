import json
from collections.abc import Mapping

import numpy as np
import pytest

from app.domain.activations import ActivationRecord, SampleKind
from app.errors import MethodError
from tests.fake_provider import FakeProvider
from tests.worker.live_fakes import FakeSubject, WordSimulator
from tests.worker.steps import explainer_named
from tests.worker.tasks import Excerpt, task
from worker.explainers.highlighted import Highlighted
from worker.explainers.per_meaning import PerMeaning, shares
from worker.method.contracts import NeuronTask, Services

IMPORT: Excerpt = (("import", 8.0), (" os", 0.0))
TEA: Excerpt = (("green", 0.0), (" tea", 4.0))
BOTH: Excerpt = (("import", 8.0), (" tea", 6.0), (" os", 0.0))


def neuron(*train: Excerpt, calibration: Excerpt = BOTH) -> NeuronTask:
    return task({SampleKind.TOP: [row for excerpt in train for row in (excerpt, calibration, TEA, TEA)]})


def explainer(told: NeuronTask, texts: Mapping[str, str]) -> tuple[PerMeaning, FakeProvider]:
    subject = FakeSubject(told.vocabulary, {}, lambda word: (1.0, 0.1) if word == "import" else (0.1, 1.0))
    provider = FakeProvider(lambda request: json.dumps({"explanation": texts.get(request.step, "")}))
    return PerMeaning(Highlighted(provider), WordSimulator(), subject), provider


TEXTS = {"explain/all": "import", "explain/meaning/0": "import", "explain/meaning/1": "tea"}


def test_meanings_are_joined_where_that_predicts_better() -> None:
    told = neuron(IMPORT, TEA, IMPORT, TEA)
    (candidate,) = explainer(told, TEXTS)[0].explain(told)
    assert candidate.text == "import; tea"
    assert candidate.provenance["joined"]


def test_each_meaning_has_its_text_its_share_and_its_excerpts() -> None:
    told = neuron(IMPORT, TEA, IMPORT, TEA)
    (candidate,) = explainer(told, TEXTS)[0].explain(told)
    first, second = candidate.provenance["meanings"]
    assert first == {"text": "import", "share": pytest.approx(2 / 3), "excerpt_ids": (1, 9)}
    assert second == {"text": "tea", "share": pytest.approx(1 / 3), "excerpt_ids": (5, 13)}
    json.dumps(candidate.provenance)


def test_each_meaning_is_shown_its_own_excerpts_only() -> None:
    told = neuron(IMPORT, TEA, IMPORT, TEA)
    method, provider = explainer(told, TEXTS)
    method.explain(told)
    shown = {r.step: r.messages[-1].content for r in provider.asked if hasattr(r, "messages")}
    assert "tea" not in shown["explain/meaning/0"]
    assert "import" not in shown["explain/meaning/1"]
    assert "tea" in shown["explain/all"]


def test_meanings_are_not_joined_where_that_predicts_no_better() -> None:
    told = neuron(IMPORT, TEA, IMPORT, TEA, calibration=IMPORT)
    (candidate,) = explainer(told, TEXTS)[0].explain(told)
    assert candidate.text == "import"
    assert not candidate.provenance["joined"]
    assert [choice["text"] for choice in candidate.provenance["choices"]] == ["import", "import; tea"]


def test_one_meaning_is_explained_as_a_whole() -> None:
    told = neuron(IMPORT, IMPORT, IMPORT)
    (candidate,) = explainer(told, {"explain/0": "import"})[0].explain(told)
    assert candidate.text == "import"
    assert "meanings" not in candidate.provenance


def test_a_meaning_without_a_usable_text_stays_without() -> None:
    told = neuron(IMPORT, TEA, IMPORT, TEA)
    method, _ = explainer(told, {"explain/all": "import", "explain/meaning/1": "tea"})
    (candidate,) = method.explain(told)
    assert candidate.text == "import"
    assert [m["text"] for m in candidate.provenance["meanings"]] == [None, "tea"]


def test_a_joined_text_over_500_characters_is_no_choice() -> None:
    told = neuron(IMPORT, TEA, IMPORT, TEA)
    long = {**TEXTS, "explain/meaning/0": "import " + "x" * 300, "explain/meaning/1": "tea " + "x" * 300}
    assert explainer(told, long)[0].explain(told)[0].text == "import"


def test_where_no_text_was_usable_there_is_no_candidate() -> None:
    told = neuron(IMPORT, TEA, IMPORT, TEA)
    with pytest.raises(MethodError, match="no usable explanation"):
        explainer(told, {})[0].explain(told)


def test_shares_count_positive_activation_only() -> None:
    def record(*activations: float) -> ActivationRecord:
        return ActivationRecord(1, np.zeros(len(activations), dtype=np.int32), np.array(activations, dtype=np.float32))

    assert shares([[record(3.0, -5.0)], [record(0.5), record(0.5)]]) == [0.75, 0.25]
    assert shares([[record(-1.0)], [record(0.0)]]) == [0.0, 0.0]


def test_it_needs_the_subject_and_the_neurons_own() -> None:
    told = neuron(IMPORT)
    services = Services(provider=FakeProvider(), simulator=WordSimulator())
    with pytest.raises(MethodError, match="has not loaded it"):
        explainer_named("per_meaning", services)
    subject = FakeSubject(told.vocabulary, {})
    subject.slug = "another"
    with pytest.raises(MethodError, match="belongs to tiny"):
        PerMeaning(Highlighted(FakeProvider()), WordSimulator(), subject).explain(told)
