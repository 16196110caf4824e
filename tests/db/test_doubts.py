from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.db import Sessions, transaction
from app.domain.activations import SampleKind
from app.domain.authors import AuthorKind
from app.domain.doubt_rules import RaisedDoubt
from app.domain.doubts import TABLE_SHARE, Doubt
from app.domain.executed import LevelCounts, NeuronTotals, execution
from app.domain.results import ExplanationResult, ScoreResult
from app.errors import NotFound
from app.models import Document, Excerpt, ExplanationDoubt, Neuron, Score, Subject
from app.queries.checks.store import CheckResult, collection_to_check, store_checks
from app.queries.common.prepared import rows_of
from app.queries.doubts.shown import DOUBT_SUMS, OF_EXPLANATIONS, DoubtCount, doubts_by_explanation, doubts_by_subject
from app.queries.doubts.store import refresh_doubts, refresh_subject
from app.queries.explanations.standing import refresh_current
from app.queries.explanations.store import Author, add_results, store_explanation
from app.queries.neurons.filters import NeuronFilter
from app.queries.neurons.listing import NeuronsQuery, neurons_page
from tests.factories import Make, WholeCorpus

SCORE = ScoreResult("correlation", "top_and_random", 0.8, 10, 0, interval=(0.6, 0.9), simulator="lexical")
LOW = replace(SCORE, value=0.5, interval=(0.3, 0.6), token_lookup_baseline=0.9)
"""It reaches less than six tenths of its token table."""


def explain(make: Make, neuron: Neuron, *scores: ScoreResult, text: str = "ships", author: Author | None = None) -> int:
    result = ExplanationResult(text, scores=scores)
    by = author or Author(AuthorKind.PERSON, "alice")
    explanation_id = store_explanation(make.session, neuron_id=neuron.id, result=result, author=by)
    refresh_current(make.session, neuron_id=neuron.id)
    return explanation_id


def about(session: Session, explanation_id: int) -> Mapping[Doubt, float]:
    return {raised.doubt: round(raised.figure, 4) for raised in doubts_about(session, explanation_id)}


def doubts_about(session: Session, explanation_id: int) -> tuple[RaisedDoubt, ...]:
    rows = rows_of(session, OF_EXPLANATIONS.given(explanation_ids=[explanation_id]))
    return doubts_by_explanation(rows).get(explanation_id, ())


def current(session: Session, subject: Subject, doubt: Doubt) -> list[int]:
    query = NeuronsQuery(subject.id, NeuronFilter(doubt=doubt))
    return sorted(row.id for row in neurons_page(session, query=query, size=50).rows)


def test_doubts_are_stored_with_the_scores(session: Session, make: Make) -> None:
    neuron = make.neuron(make.subject())
    first = explain(make, neuron, replace(LOW, shuffled_baseline=0.7))
    random = ScoreResult("correlation", "random", 0.86, 5, 0, interval=(0.0, 0.95), simulator="lexical")
    second = explain(make, neuron, replace(SCORE, n_valid=5, n_failed=5), random, text="**harbours**")
    assert about(session, first) == {Doubt.SHUFFLED: -0.2, Doubt.BELOW_TABLE: 0.9}
    assert doubts_about(session, second) == (
        RaisedDoubt(Doubt.NOT_ON_RANDOM, 0.86, (0.0, 0.95)),
        RaisedDoubt(Doubt.FAILED_SIMULATIONS, 0.5),
        RaisedDoubt(Doubt.MARKDOWN, 1),
    )


def test_only_the_explanation_that_is_shown_first_counts_for_its_neuron(session: Session, make: Make) -> None:
    subject = make.subject()
    one, two = make.neuron(subject), make.neuron(subject, index=1)
    explain(make, one, LOW, text="ships")
    explain(make, two, LOW, text="harbours")
    assert current(session, subject, Doubt.BELOW_TABLE) == [one.id, two.id]
    explain(make, one, replace(SCORE, token_lookup_baseline=0.5), text="sails")
    assert current(session, subject, Doubt.BELOW_TABLE) == [two.id]
    found = doubts_by_subject(rows_of(session, DOUBT_SUMS.given()))
    assert found == {subject.id: (DoubtCount(Doubt.BELOW_TABLE, 1),)}


def test_a_doubt_goes_with_what_it_followed_from(session: Session, make: Make) -> None:
    neuron = make.neuron(make.subject())
    explanation_id = explain(make, neuron, replace(SCORE, n_valid=5, n_failed=5))
    assert about(session, explanation_id) == {Doubt.FAILED_SIMULATIONS: 0.5}
    again = ExplanationResult("ships", scores=(SCORE,))
    by = Author(AuthorKind.METHOD, "lexical", run_id=None)
    add_results(session, explanation_id=explanation_id, result=again, author=by)
    refresh_current(session, neuron_id=neuron.id)
    assert about(session, explanation_id) == {}
    assert session.scalars(select(ExplanationDoubt)).all() == []


def check(session: Session, subject: Subject, explanation_id: int, counts: tuple[int, int, int], reading: str) -> None:
    """Store a check: so many of 800 tokens fired on, claimed, and both."""
    n_firing, n_claimed, n_right = counts
    tokens, firing, sums = np.zeros(11, dtype=np.int64), np.zeros(11, dtype=np.int64), np.zeros(11)
    tokens[5], firing[5], sums[5] = n_claimed, n_right, float(n_right)
    totals = NeuronTotals(n_tokens=800, mean=0.1, variance=0.2, n_firing=n_firing)
    result = CheckResult(explanation_id, reading, execution(totals, LevelCounts(tokens, firing, sums)), {})
    checked = collection_to_check(session, slug=subject.slug)
    store_checks(session, checked=checked, results=[result], unreadable=[], code_version="test")
    refresh_doubts(session, neuron_ids=list(session.scalars(select(Neuron.id).where(Neuron.subject_id == subject.id))))


def estimated(value: float, precision: float, recall: float) -> list[ScoreResult]:
    numbers = {"": value, "_precision": precision, "_recall": recall}
    return [ScoreResult(f"whole_corpus{n}", "corpus", v, 9, 0, simulator="lexical") for n, v in numbers.items()]


def test_precision_and_recall_of_a_check_come_before_estimates(session: Session, make: Make) -> None:
    subject = make.subject()
    neuron = make.neuron(subject)
    explanation_id = explain(make, neuron, SCORE, *estimated(0.5, 0.1, 0.1))
    assert about(session, explanation_id) == {Doubt.TOO_BROAD: 0.1, Doubt.TOO_NARROW: 0.1}
    check(session, subject, explanation_id, (10, 100, 9), "ships")
    assert about(session, explanation_id) == {Doubt.TOO_BROAD: 0.09}


def test_doubts_are_about_the_headline(session: Session, make: Make) -> None:
    """The 2023 score is far below its table and doubtful on random text; the estimate is not, and its check is."""
    subject = make.subject()
    neuron = make.neuron(subject)
    make.collected(neuron, subject)
    random = ScoreResult("correlation", "random", 0.86, 5, 0, interval=(0.0, 0.95), simulator="lexical")
    old = (replace(LOW, shuffled_baseline=0.7), random)
    margin = ScoreResult("whole_corpus_margin", "corpus", 0.1, 9, 0, simulator="lexical")
    by_2023 = explain(make, neuron, *old, text="ships")
    by_estimate = explain(make, neuron, *old, *estimated(0.5, 0.9, 0.9), margin, text='"a"')
    expected = {Doubt.SHUFFLED: -0.2, Doubt.BELOW_TABLE: 0.9, Doubt.NOT_ON_RANDOM: 0.86}
    assert [about(session, i) for i in (by_2023, by_estimate)] == [expected, {}]
    check(session, subject, by_estimate, (3, 10, 2), '"a"')
    stored = session.scalars(select(Score).where(Score.scorer == "executed")).one()
    assert stored.value is not None
    assert stored.token_lookup_baseline is not None
    assert stored.value < TABLE_SHARE * stored.token_lookup_baseline
    assert about(session, by_estimate) == {Doubt.BELOW_TABLE: round(stored.token_lookup_baseline, 4)}


def test_repetitions_are_compared_by_the_headline(session: Session, make: Make) -> None:
    """Their 2023 scores are .5 apart, their estimates equal; the next one's estimate differs."""
    neuron, method = make.neuron(make.subject()), make.method()
    ids = [
        make.explained(neuron, text, value, method=method, whole=WholeCorpus(estimate))
        for text, value, estimate in (("ships", 0.8, 0.4), ("sails", 0.3, 0.4))
    ]
    assert [about(session, i) for i in ids] == [{}, {}]
    ids.append(make.explained(neuron, "oars", 0.8, method=method, whole=WholeCorpus(0.7)))
    assert [about(session, i) for i in ids] == [{Doubt.UNSTABLE: 0.3}] * 3


def test_texts_and_claims_that_other_neurons_have_are_counted(session: Session, make: Make) -> None:
    subject, elsewhere = make.subject(), make.subject("other")
    neurons = [make.neuron(subject, index=i) for i in range(4)]
    ids = [explain(make, n, SCORE, text=t) for n, t in zip(neurons, ("ships", "ships", '"a"', '"a"!'), strict=True)]
    stranger = explain(make, make.neuron(elsewhere), SCORE, text="ships")
    explain(make, neurons[3], SCORE, text="ships, at first")  # shown first now, so that "a"! is no neuron's text
    ids.append(explain(make, neurons[3], SCORE, text='"a"!'))
    for explanation_id in (ids[2], ids[4]):
        check(session, subject, explanation_id, (10, 10, 10), 'fires on "a"')
    assert [about(session, i) for i in (*ids[:3], ids[4], stranger)] == [
        {Doubt.SHARED: 1},
        {Doubt.SHARED: 1},
        {Doubt.SHARED: 1},
        {Doubt.SHARED: 1},
        {},
    ]


def test_a_score_is_held_against_the_null_twin(session: Session, make: Make) -> None:
    subject, twin = make.subject(), make.subject("twin", neurons_per_layer=30)
    twin.null_twin_of_id = subject.id
    for index in range(30):
        explain(make, make.neuron(twin, index=index), replace(SCORE, value=0.03 * index), text=f"noise {index}")
    neurons = [make.neuron(subject, index=i) for i in range(3)] + [make.neuron(subject, layer=1)]
    values = (0.8, 0.88, 0.1, 0.1)
    ids = [
        explain(make, n, replace(SCORE, value=v), text=f"text {n.layer}/{n.index}")
        for n, v in zip(neurons, values, strict=True)
    ]
    other = explain(make, neurons[0], replace(SCORE, value=0.1, simulator="prompted"), text="by another simulator")
    # 0.8: three of 30 score as high, 4/31; 0.88: none, 1/31; 0.1: 26 of 30. Layer 1 of the twin has no scores.
    assert about(session, ids[0]) == {Doubt.NULL_TWIN: round(4 / 31, 4)}
    assert about(session, ids[1]) == {}
    assert about(session, ids[2]) == {Doubt.NULL_TWIN: round(27 / 31, 4)}
    assert about(session, ids[3]) == about(session, other) == {}


def test_repetitions_of_a_method_that_differ_are_unstable(session: Session, make: Make) -> None:
    neuron, method = make.neuron(make.subject()), make.method()
    first = make.explained(neuron, "ships", 0.8, method=method)
    assert about(session, first) == {}
    second = make.explained(neuron, "harbours", 0.3, method=method)
    by_other = make.explained(neuron, "sails", 0.1, method=make.method("other"))
    assert [about(session, i) for i in (first, second, by_other)] == [{Doubt.UNSTABLE: 0.5}, {Doubt.UNSTABLE: 0.5}, {}]


def test_an_imported_score_is_held_against_the_one_computed_here(session: Session, make: Make) -> None:
    neuron = make.neuron(make.subject())
    by = Author(AuthorKind.IMPORT, "2023 paper")
    imported = explain(make, neuron, replace(SCORE, simulator=None), author=by)
    assert about(session, imported) == {}
    run = make.run_of(neuron, make.method())
    result = ExplanationResult("ships", scores=(replace(SCORE, value=0.3),))
    add_results(session, explanation_id=imported, result=result, author=run)
    refresh_current(session, neuron_id=neuron.id)
    assert about(session, imported) == {Doubt.IMPORT_DIFFERS: 0.5}


def test_the_top_excerpts_raise_doubts_about_every_explanation_of_a_neuron(session: Session, make: Make) -> None:
    subject = make.subject()
    neuron = make.neuron(subject)
    sample = make.sample(neuron, subject, SampleKind.TOP, [(4, 0, 1), (3, 0, 0), (2, 0, 0), (1, 3, 0)])
    make.collected(neuron, subject, n_alike=12)
    document = session.scalars(select(Document)).one()
    session.add_all(Document(corpus_id=document.corpus_id, ordinal=i, name=f"{i}", byte_offset=0) for i in range(1, 12))
    session.execute(update(Excerpt).where(Excerpt.id.in_(sample.excerpt_ids[:3])).values(document_id=document.id))
    evidence = {Doubt.ONE_DOCUMENT: 0.75, Doubt.FIRST_POSITION: 0.75, Doubt.COPIES: 0.6}
    assert [about(session, explain(make, neuron, SCORE, text=t)) for t in ("ships", "sails")] == [evidence, evidence]


def test_all_doubts_of_a_subject_are_computed_anew(
    session: Session, make: Make, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.queries.doubts.store.AT_ONCE", 2)
    subject, twin = make.subject(), make.subject("twin")
    twin.null_twin_of_id = subject.id
    neurons = [make.neuron(subject, index=i) for i in range(4)]
    ids = [explain(make, neuron, SCORE) for neuron in neurons[:3]]
    assert about(session, ids[0]) == {}  # it was the first with its text
    session.commit()
    assert refresh_subject(sessions, slug="twin") == 3
    with transaction(sessions) as other:
        assert [about(other, i) for i in ids] == [{Doubt.SHARED: 2}] * 3
    with pytest.raises(NotFound):
        refresh_subject(sessions, slug="nobody")
