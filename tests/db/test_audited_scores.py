"""Scores of audited explanations that were scored more than once, by one simulator and by two."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.domain.authors import AuthorKind
from app.domain.results import ExplanationResult, ScoreResult
from app.models import Explanation, Neuron, ReviewItem, Score, Subject
from app.queries.audit.facts import scorer_facts, stability_facts
from app.queries.audit.figures import campaign_figures
from app.queries.audit.shapes import ScorerFigures
from app.queries.explanations.standing import refresh_current
from app.queries.explanations.store import Author, add_results
from tests.db.auditing import Audit, audited
from tests.factories import Make

SAMPLED = 16


def rescore(make: Make, explanation_id: int, value: float | None, simulator: str = "lexical") -> None:
    """One more 2023 score of an explanation, stored as a run that scores it stores it."""
    explanation = make.session.get_one(Explanation, explanation_id)
    reason = None if value is not None else "the expected activations are the same on every token"
    score = ScoreResult("correlation", "top_and_random", value, 10, 0, reason, simulator=simulator)
    result = ExplanationResult(explanation.text, scores=(score,))
    author = Author(AuthorKind.PERSON, "alice")
    add_results(make.session, explanation_id=explanation_id, result=result, author=author)
    refresh_current(make.session, neuron_id=explanation.neuron_id)


@pytest.fixture
def audit(make: Make) -> Audit:
    return audited(make)


@pytest.fixture
def sampled(session: Session, audit: Audit) -> Sequence[int]:
    """The explanations of the sample."""
    return session.scalars(
        select(ReviewItem.explanation_id).where(ReviewItem.source == "sample").order_by(ReviewItem.id)
    ).all()


def predictions(session: Session, audit: Audit) -> dict[str | None, ScorerFigures]:
    found = campaign_figures(session, campaign_id=audit.campaign_id, width=0.2, shows_controls=True)
    return {each.simulator: each for each in found.scorers}


def test_an_explanation_that_was_scored_again_counts_once_with_its_newest_score(
    session: Session, make: Make, audit: Audit, sampled: Sequence[int]
) -> None:
    values = {each.explanation_id: each.value for each in session.scalars(select(Score))}
    for value in (0.99, 0.98, 0.01):
        rescore(make, sampled[0], value)
    rescore(make, sampled[1], None)
    (found,) = scorer_facts(session, campaign_id=audit.campaign_id, subject_id=audit.subject.id)
    assert (found.n, found.n_undefined) == (SAMPLED - 1, 1)
    assert found.mean == pytest.approx(np.mean([0.01, *(values[i] for i in sampled[2:])]))


def test_the_null_twins_neurons_count_once_too(session: Session, make: Make, audit: Audit) -> None:
    twin = make.subject("twin")
    twin.null_twin_of_id = audit.subject.id
    ids = [make.explained(make.neuron(twin, index=i), value=0.1 * i) for i in range(3)]
    for value in (0.9, 0.3):
        rescore(make, ids[0], value)
    (found,) = scorer_facts(session, campaign_id=audit.campaign_id, subject_id=audit.subject.id)
    assert found.null_twin_n == 3
    assert found.null_twin_mean == pytest.approx(np.mean([0.3, 0.1, 0.2]))


@pytest.mark.parametrize(
    ("value_of", "area"), [(lambda old: old, 1.0), (lambda old: -old, 0.0)], ids=["the same order", "the other order"]
)
def test_scores_by_different_simulators_predict_verdicts_apart(
    session: Session,
    make: Make,
    audit: Audit,
    sampled: Sequence[int],
    value_of: Callable[[float], float],
    area: float,
) -> None:
    values = {each.explanation_id: each.value for each in session.scalars(select(Score))}
    for i in sampled:
        rescore(make, i, value_of(values[i] or 0.0), "structured")
    found = predictions(session, audit)
    assert found["lexical"].prediction.area.value == 1.0
    assert found["structured"].prediction.area.value == area


def test_a_score_that_is_undefined_by_now_predicts_nothing(
    session: Session, make: Make, audit: Audit, sampled: Sequence[int]
) -> None:
    def n() -> int:
        own = predictions(session, audit)["lexical"].prediction
        return own.n_holds + own.n_fails

    before = n()
    rescore(make, sampled[0], None)
    assert n() == before - 1


def test_runs_are_compared_by_the_scores_that_they_measured_themselves(
    session: Session, make: Make, audit: Audit, sampled: Sequence[int]
) -> None:
    neuron = session.get_one(Neuron, session.get_one(Explanation, sampled[0]).neuron_id)
    method = make.method()
    first, _ = (make.explained(neuron, f"text {value}", value, method=method) for value in (0.4, 0.6))
    rescore(make, first, -0.9, "structured")
    found = stability_facts(session, campaign_id=audit.campaign_id)
    assert (found.n_neurons, found.n_pairs, found.n_equal_texts) == (1, 1, 0)
    assert found.median_difference == pytest.approx(0.2)


def test_runs_on_different_collections_are_no_repetitions(
    session: Session, make: Make, audit: Audit, sampled: Sequence[int]
) -> None:
    neuron = session.get_one(Neuron, session.get_one(Explanation, sampled[0]).neuron_id)
    method = make.method()
    make.explained(neuron, "before", 0.4, method=method)
    make.collection(session.get_one(Subject, neuron.subject_id))
    make.explained(neuron, "after", 0.9, method=method)
    assert stability_facts(session, campaign_id=audit.campaign_id).n_pairs == 0
