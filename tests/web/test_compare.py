import numpy as np
import pytest
from sqlalchemy import Engine
from starlette.testclient import TestClient

from app.domain.activations import SampleKind, Split
from app.domain.authors import AuthorKind
from app.domain.differences import WordChange
from app.domain.results import ExplanationResult, ScoreResult, SimulatedExcerpt, SimulationResult
from app.models import Neuron, Sample, Subject
from app.queries.explanations.store import Author, store_explanation
from tests.factories import Make
from tests.queries import counted_queries
from tests.web.conftest import Context


@pytest.fixture
def sample(make: Make, subject: Subject) -> Sample:
    """Two excerpts of one neuron."""
    neuron = make.neuron(subject, layer=1, index=2)
    return make.sample(neuron, subject, rows=((0.0, 4.0), (0.0, 2.0)), token_ids=((0, 4), (0, 1)))


def explain(
    make: Make,
    sample: Sample,
    text: str,
    *,
    author: str = "gpt-4",
    value: float | None = 0.5,
    simulator: str = "lexical",
    expected: float = 5.0,
) -> int:
    excerpts = (
        SimulatedExcerpt(sample.excerpt_ids[0], 2, np.array([0, expected], dtype=np.float32)),
        SimulatedExcerpt(sample.excerpt_ids[1], 2, None, "the reply was cut off"),
    )
    reason = None if value is not None else "constant"
    result = ExplanationResult(
        text,
        simulations=(SimulationResult(simulator, SampleKind.TOP, Split.VALIDATION, excerpts, unit=0.4),),
        scores=(
            ScoreResult("correlation", "top_and_random", value, 1, 1, undefined_reason=reason, simulator=simulator),
        ),
    )
    by = Author(AuthorKind.IMPORT, author, collection_id=sample.collection_id)
    explanation_id = store_explanation(make.session, neuron_id=sample.neuron_id, result=result, author=by)
    make.session.flush()
    return explanation_id


def test_explanations_are_side_by_side_on_the_same_excerpts(
    client: TestClient, make: Make, sample: Sample, context: Context
) -> None:
    explain(make, sample, "fires on cats", author="one", value=0.5)
    explain(make, sample, "fires on dogs", author="two", value=0.75, expected=10.0)

    answer = client.get("/tiny/1/2/compare")

    page = context()
    assert [c.text for c in page.columns] == ["fires on cats", "fires on dogs"]
    assert page.scores[0].cells[1].difference == pytest.approx(0.25)
    first = page.excerpts[0]
    assert first.activations == [0.0, 4.0]
    assert [(s.letter, s.expected) for s in first.strips] == [("A", [0.0, 5.0]), ("B", [0.0, 10.0])]
    assert (first.token, first.disagreement, first.nearest) == ("import", pytest.approx(2.0), "B")
    assert "<del> cats</del><ins> dogs</ins>" in answer.text
    assert "missing: the reply was cut off" in answer.text


def test_the_newest_by_different_authors_are_shown_unless_others_are_chosen(
    client: TestClient, make: Make, sample: Sample, context: Context
) -> None:
    old = explain(make, sample, "old", author="one")
    new = explain(make, sample, "new", author="one")
    other = explain(make, sample, "other", author="two")
    client.get("/tiny/1/2/compare")
    assert [c.id for c in context().columns] == [new, other]
    client.get(f"/tiny/1/2/compare?explanation={other}&explanation={old}")
    assert [c.id for c in context().columns] == [other, old]
    assert [c.change for c in context().columns[1].difference] == [WordChange.REMOVED, WordChange.ADDED]


def test_two_explanations_of_one_author_show_the_drift(
    client: TestClient, make: Make, sample: Sample, context: Context
) -> None:
    ids = [explain(make, sample, text) for text in ("first", "second", "third")]
    client.get("/tiny/1/2/compare")
    assert [c.id for c in context().columns] == ids[1:]


def test_scores_by_different_simulators_are_not_subtracted(
    client: TestClient, make: Make, sample: Sample, context: Context
) -> None:
    explain(make, sample, "x", author="one")
    explain(make, sample, "y", author="two", simulator="structured")
    answer = client.get("/tiny/1/2/compare")
    lines = [(line.simulator, [cell is not None for cell in line.cells]) for line in context().scores]
    assert lines == [("lexical", [True, False]), ("structured", [False, True])]
    assert "These scores come from different simulators" in answer.text


def test_an_explanation_without_scores_and_simulations_has_empty_cells(
    client: TestClient, make: Make, sample: Sample, context: Context
) -> None:
    scored = explain(make, sample, "scored", value=None)
    bare = make.explanation(make.session.get_one(Neuron, sample.neuron_id), "<bare>")
    answer = client.get(f"/tiny/1/2/compare?explanation={bare.id}&explanation={scored}")
    assert [strip.letter for strip in context().excerpts[0].strips] == ["B"]
    assert "not scored" in answer.text
    assert "&lt;bare&gt;" in answer.text


@pytest.mark.parametrize(
    ("query", "status"),
    [("?explanation=999999", 404), ("?explanation=x", 422), ("?explanation=99999999999999999999", 422), ("", 200)],
)
def test_a_choice_that_cannot_be_shown_is_refused(client: TestClient, sample: Sample, query: str, status: int) -> None:
    assert client.get(f"/tiny/1/2/compare{query}").status_code == status
    assert client.get(f"/tiny/1/2/compare.json{query}").status_code == status


def excerpts_of(make: Make, subject: Subject, seed: int) -> list[Sample]:
    """Ten excerpts of a neuron with random activations, half of them top ones."""
    neuron = make.neuron(subject, layer=0, index=1)
    drawn = np.random.default_rng(seed)
    return [
        make.sample(neuron, subject, kind, drawn.uniform(0, 4, (5, 8)).tolist(), drawn.integers(0, 9, (5, 8)).tolist())
        for kind in (SampleKind.TOP, SampleKind.RANDOM)
    ]


def simulate(make: Make, samples: list[Sample], author: str, noise: float) -> int:
    """An explanation that expects the real activations with noise, in levels of 0.4."""
    drawn = np.random.default_rng(len(author))
    simulations = []
    for sample in samples:
        real = np.frombuffer(sample.activations, dtype="<f2").astype(np.float32).reshape(5, 8) / 0.4
        rows = [
            SimulatedExcerpt(i, 8, row + drawn.normal(0, noise, 8).astype(np.float32))
            for i, row in zip(sample.excerpt_ids, real, strict=True)
        ]
        simulations.append(
            SimulationResult("lexical", SampleKind(sample.kind), Split.VALIDATION, tuple(rows), unit=0.4)
        )
    result = ExplanationResult(author, simulations=tuple(simulations))
    by = Author(AuthorKind.IMPORT, author, collection_id=samples[0].collection_id)
    explanation_id = store_explanation(make.session, neuron_id=samples[0].neuron_id, result=result, author=by)
    make.session.flush()
    return explanation_id


def test_the_better_one_is_named_with_the_interval_of_the_difference(
    client: TestClient, make: Make, subject: Subject, context: Context
) -> None:
    samples = excerpts_of(make, subject, seed=0)
    near, far = simulate(make, samples, "near", 0.5), simulate(make, samples, "far off", 8.0)
    html = client.get(f"/tiny/0/1/compare?explanation={far}&explanation={near}").text
    (result,) = context().results
    assert result.result.n_excerpts == 10
    low, high = result.result.difference.interval
    assert 0 < low < result.result.difference.value < high
    assert "B is better than A." in html
    assert "A is better than B." in client.get(f"/tiny/0/1/compare?explanation={near}&explanation={far}").text


def test_two_that_nothing_tells_apart_are_not_ranked(
    client: TestClient, make: Make, subject: Subject, context: Context
) -> None:
    samples = excerpts_of(make, subject, seed=0)
    ids = [simulate(make, samples, author, 3.0) for author in ("one", "other")]
    html = client.get(f"/tiny/0/1/compare?explanation={ids[0]}&explanation={ids[1]}").text
    assert "No difference is shown between A and B." in html


def test_excerpts_on_which_they_disagree_most_come_first(
    client: TestClient, make: Make, subject: Subject, context: Context
) -> None:
    samples = excerpts_of(make, subject, seed=0)
    ids = [simulate(make, samples, author, 3.0) for author in ("one", "other")]
    client.get(f"/tiny/0/1/compare?explanation={ids[0]}&explanation={ids[1]}")
    sizes = [excerpt.disagreement for excerpt in context().excerpts]
    assert len(sizes) == 10
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) > 5


def test_five_do_not_fit(client: TestClient, make: Make, sample: Sample) -> None:
    ids = [explain(make, sample, str(n)) for n in range(5)]
    answer = client.get("/tiny/1/2/compare?" + "&".join(f"explanation={i}" for i in ids))
    assert answer.status_code == 422
    assert "5 explanations are chosen; 4 fit side by side" in answer.text


def test_the_neurons_page_leads_here(client: TestClient, make: Make, sample: Sample) -> None:
    """With one explanation, too: another neuron may stand beside it."""
    explain(make, sample, "one")
    assert 'href="/tiny/1/2/compare"' in client.get("/tiny/1/2").text


def test_the_number_of_queries_does_not_grow_with_the_columns(
    client: TestClient, make: Make, sample: Sample, engine: Engine
) -> None:
    for n in range(4):
        explain(make, sample, str(n), author=str(n))
    client.get("/tiny/1/2/compare")  # the vocabulary is loaded once per process
    with counted_queries(engine) as sent:
        client.get("/tiny/1/2/compare")
    assert len(sent) == 4
