"""Means and differences over neurons, stored as runs store them, against numpy and scipy on the same numbers."""

from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.domain.arrays import Float64s
from app.domain.results import ExplanationResult, ScoreResult
from app.domain.scores import Estimate
from app.models import Method, Neuron, Subject
from app.queries.explanations.standing import refresh_current
from app.queries.explanations.store import store_candidates
from app.queries.methods.comparison import Comparison, compare_methods
from app.queries.methods.figures import MethodFigures, figures_of, method_figures
from app.queries.subjects.against import subjects_compared
from tests.factories import Make, WholeCorpus

N = 30
Scores = Float64s


@pytest.fixture
def neurons(make: Make) -> list[Neuron]:
    """Of two subjects and two layers each."""
    subjects = [make.subject(slug, neurons_per_layer=N) for slug in ("one", "two")]
    return [make.neuron(subjects[i % 2], i // 2 % 2, i) for i in range(N)]


@pytest.fixture
def pair(make: Make, neurons: Sequence[Neuron]) -> tuple[Scores, Scores]:
    """Scores of two methods, from -1 to 1, of every neuron; hundredths, so that some are equal."""
    random = np.random.default_rng(5)
    first = np.round(random.uniform(-1, 1, N), 2)
    second = np.where(random.random(N) < 0.2, first, np.round(np.clip(first + random.normal(0.1, 0.3, N), -1, 1), 2))
    for name, scores in (("first", first), ("second", second)):
        method = make.method(name)
        for neuron, value in zip(neurons, scores, strict=True):
            make.explained(neuron, value=float(value), method=method)
    return first, second


def figures(session: Session, name: str) -> MethodFigures:
    (own,) = (found for found in method_figures(session) if found.name == name)
    assert figures_of(method_figures(session), own.id) == own
    return own


def compared(session: Session, cell: tuple[int, int] | None = None) -> Comparison:
    return compare_methods(session, first=figures(session, "first"), second=figures(session, "second"), cell=cell)


def is_mean_of(estimate: Estimate, values: Scores) -> bool:
    """Whether it has the mean of the values and Student's interval of it."""
    low, high = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
    assert estimate.interval is not None
    return (estimate.value, *estimate.interval) == pytest.approx((np.mean(values), low, high), abs=1e-9)


def test_a_methods_mean_is_over_its_neurons(session: Session, pair: tuple[Scores, Scores]) -> None:
    for name, scores in zip(("first", "second"), pair, strict=True):
        found = figures(session, name)
        assert (found.score_2023.n, found.n_neurons) == (N, N)
        assert is_mean_of(found.score_2023.mean, scores)


def test_what_methods_reach_on_a_null_twin_is_none_of_their_figures(
    session: Session, make: Make, neurons: Sequence[Neuron], pair: tuple[Scores, Scores]
) -> None:
    twin = make.subject("one-null-twin", neurons_per_layer=N)
    twin.null_twin_of_id = neurons[0].subject_id
    of_twin = [make.neuron(twin, index=i) for i in range(N)]
    for name, value in (("first", -0.9), ("second", 0.9)):
        method = session.get_one(Method, figures(session, name).id)
        for i, neuron in enumerate(of_twin):
            make.explained(neuron, value=value, method=method, whole=WholeCorpus(0.01 * i))
    for name, scores in zip(("first", "second"), pair, strict=True):
        found = figures(session, name)
        assert (found.score_2023.n, found.n_neurons, found.whole_corpus.n) == (N, N, 0)
        assert is_mean_of(found.score_2023.mean, scores)
    assert compared(session).n == N
    assert is_mean_of(compared(session).difference, pair[1] - pair[0])


def test_a_neuron_that_was_explained_again_counts_once(
    session: Session, make: Make, neurons: Sequence[Neuron], pair: tuple[Scores, Scores]
) -> None:
    method = session.get_one(Method, figures(session, "first").id)
    for i in range(5):
        for value in (0.99, -0.99, 0.25):
            make.explained(neurons[i], f"again {value}", value=value, method=method)
    assert is_mean_of(figures(session, "first").score_2023.mean, pair[0])  # a repetition replaces nothing
    assert is_mean_of(compared(session).difference, pair[1] - pair[0])


def test_a_neuron_that_was_collected_and_explained_again_counts_with_its_newest_score(
    session: Session, make: Make, neurons: Sequence[Neuron], pair: tuple[Scores, Scores]
) -> None:
    method, newer = session.get_one(Method, figures(session, "first").id), pair[0].copy()
    for subject_id in {neuron.subject_id for neuron in neurons}:
        make.collection(session.get_one(Subject, subject_id))
    for i in range(5):
        make.explained(neurons[i], "newer", value=0.25, method=method)
        newer[i] = 0.25
    found = figures(session, "first").score_2023
    assert found.n == N
    assert is_mean_of(found.mean, newer)
    assert is_mean_of(compared(session).difference, pair[1] - newer)


def test_the_difference_of_two_methods_is_that_of_their_pairs(session: Session, pair: tuple[Scores, Scores]) -> None:
    found, gaps = compared(session), pair[1] - pair[0]
    assert (found.is_whole_corpus, found.n) == (False, N)
    assert found.n_second_better == np.sum(gaps > 1e-9)
    assert 0 < np.sum(gaps == 0) < N  # a tie is no victory
    assert is_mean_of(found.difference, gaps)
    low, high = stats.ttest_rel(pair[1], pair[0]).confidence_interval()
    assert found.difference.interval == pytest.approx((low, high), abs=1e-9)
    assert [abs(each.second - each.first) for each in found.pairs] == pytest.approx(sorted(abs(gaps), reverse=True))


def test_the_squares_of_the_grid_hold_every_pair_once(session: Session, pair: tuple[Scores, Scores]) -> None:
    grid = compared(session).grid
    assert (grid.n, sum(cell.n for cell in grid.cells)) == (N, N)
    for cell in grid.cells:
        inside = compared(session, cell=(cell.x, cell.y)).pairs
        assert len(inside) == cell.n
        for own, position, axis in ((pair[0], cell.x, grid.x), (pair[1], cell.y, grid.y)):
            edges = (-np.inf, *axis.edges, np.inf)
            low, high = edges[position], edges[position + 1]
            assert sum((own >= low) & (own < high)) >= cell.n
            assert all(low <= (each.first if axis is grid.x else each.second) < high for each in inside)


def test_only_neurons_with_a_score_of_both_methods_are_compared(
    session: Session, make: Make, neurons: Sequence[Neuron], pair: tuple[Scores, Scores]
) -> None:
    first, second = (session.get_one(Method, figures(session, name).id) for name in ("first", "second"))
    more = [make.neuron(session.get_one(Subject, neurons[0].subject_id), 0, N + i) for i in range(3)]
    for neuron, value, simulator in zip(more, (None, 0.9, 0.9), ("lexical", "structured", "lexical"), strict=True):
        result = ExplanationResult("fires on cats", scores=(score(value, simulator),))
        store_candidates(session, neuron_id=neuron.id, results=[result], author=make.run_of(neuron, first))
        refresh_current(session, neuron_id=neuron.id)
    for neuron in more[:2]:
        make.explained(neuron, method=second)
    assert figures(session, "first").n_neurons == N + 3
    found = compared(session)  # without the undefined one, one by a simulator that is not the method's, one alone
    assert found.n == N
    assert is_mean_of(found.difference, pair[1] - pair[0])


def score(value: float | None, simulator: str = "lexical", table: float | None = None) -> ScoreResult:
    reason = "the expected activations are the same on every token" if value is None else None
    return ScoreResult(
        "correlation", "top_and_random", value, 10, 0, reason, simulator=simulator, token_lookup_baseline=table
    )


def test_one_pair_of_whole_corpus_scores_is_preferred_to_any_number_of_2023_scores(
    session: Session, make: Make, neurons: Sequence[Neuron], pair: tuple[Scores, Scores]
) -> None:
    first, second = (session.get_one(Method, figures(session, name).id) for name in ("first", "second"))
    neuron = make.neuron(session.get_one(Subject, neurons[0].subject_id), 0, N)
    make.explained(neuron, value=0.9, method=first, whole=WholeCorpus(0.2))
    assert not compared(session).is_whole_corpus
    make.explained(neuron, value=0.1, method=second, whole=WholeCorpus(0.5))
    found = compared(session)
    assert (found.is_whole_corpus, found.n, found.n_second_better) == (True, 1, 1)
    assert found.difference.value == pytest.approx(0.3)
    assert found.difference.interval is None


def test_the_margin_over_the_token_table_is_over_the_neurons_that_have_one(
    session: Session, make: Make, neurons: Sequence[Neuron]
) -> None:
    random, method = np.random.default_rng(6), make.method("first")
    values, tables = np.round(random.uniform(-1, 1, (2, N)), 2)
    for i, neuron in enumerate(neurons):
        own = score(float(values[i]), table=float(tables[i]) if i % 3 else None)
        result = ExplanationResult("fires on cats", scores=(own,))
        store_candidates(session, neuron_id=neuron.id, results=[result], author=make.run_of(neuron, method))
        refresh_current(session, neuron_id=neuron.id)
    found, known = figures(session, "first").score_2023, np.arange(N) % 3 > 0
    assert found.margin == pytest.approx(np.mean((values - tables)[known]))
    assert found.share_above_table == pytest.approx(np.mean((values > tables)[known]))
    assert is_mean_of(found.mean, values)


@pytest.fixture
def subjects(make: Make) -> tuple[Subject, Subject, Scores]:
    """Two subjects with the same neurons, each explained in both, and their headlines [2, N]."""
    one, two = (make.subject(slug, neurons_per_layer=N) for slug in ("one", "two"))
    scores = np.round(np.random.default_rng(7).uniform(-1, 1, (2, N)), 2)
    scores[1, 4] = scores[0, 4]
    for subject, own in zip((one, two), scores, strict=True):
        for i in range(N):
            make.explained(make.neuron(subject, i % 2, i), "fires on cats", whole=WholeCorpus(float(own[i])))
    return one, two, scores


def test_the_difference_of_two_subjects_is_that_of_their_neurons_layer_by_layer(
    session: Session, subjects: tuple[Subject, Subject, Scores]
) -> None:
    one, two, scores = subjects
    found, gaps = subjects_compared(session, first=one.id, second=two.id), scores[1] - scores[0]
    assert is_mean_of(found.all.difference, gaps)
    assert [layer.layer for layer in found.layers] == [0, 1]
    for layer in found.layers:
        own = gaps[layer.layer :: 2]
        assert is_mean_of(layer.difference, own)
        assert (layer.n_scored, layer.n_higher) == (N // 2, np.sum(own > 1e-9))
    assert found.all.n_higher == np.sum(gaps > 1e-9) < N
    assert [abs(each.second - each.first) for each in found.pairs] == pytest.approx(sorted(abs(gaps), reverse=True))


def test_neurons_without_a_headline_of_one_kind_in_both_subjects_are_counted_and_not_compared(
    session: Session, make: Make, subjects: tuple[Subject, Subject, Scores]
) -> None:
    one, two, scores = subjects
    make.explained(make.neuron(two, 0, N - 2 + N), "another one")  # the first subject has no such neuron
    own = session.scalars(select(Neuron).filter_by(subject_id=two.id).order_by(Neuron.index)).all()
    make.explained(own[0], "by another simulator", simulator="structured", whole=WholeCorpus(0.9))
    make.explained(own[1], "fires on dogs")  # has no whole-corpus score
    found = subjects_compared(session, first=one.id, second=two.id)
    assert (found.all.n_explained, found.all.n_same_text, found.all.n_scored) == (N, N - 2, N - 2)
    assert is_mean_of(found.all.difference, (scores[1] - scores[0])[2:])
