from concurrent.futures import ThreadPoolExecutor
from time import sleep
from typing import Any
from uuid import uuid4

import numpy as np
import psycopg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db import Sessions, transaction
from app.domain.authors import AuthorKind
from app.domain.results import ExplanationResult, ScoreResult
from app.domain.standing import shown_first
from app.models import Batch, Explanation, Method, MethodStanding, Neuron, Run, Score
from app.queries.explanations.headlines import standings_of
from app.queries.explanations.standing import refresh_current
from app.queries.explanations.store import Author, add_results, store_candidates, store_explanation
from app.queries.neurons.claims import neuron_explanations
from tests.factories import Make


def scored(text: str, value: float | None, simulator: str = "lexical") -> ExplanationResult:
    reason = "constant" if value is None else None
    score = ScoreResult("correlation", "top_and_random", value, 10, 0, reason, simulator=simulator)
    return ExplanationResult(text, scores=(score,))


def run_of(session: Session, neuron: Neuron, method: Method, collection_id: int | None = None) -> Author:
    batch = Batch(subject_id=neuron.subject_id, method_id=method.id, n_runs=1)
    session.add(batch)
    session.flush()
    run = Run(batch_id=batch.id, neuron_id=neuron.id, method_id=method.id, status="succeeded")
    session.add(run)
    session.flush()
    return Author(AuthorKind.METHOD, method.name, method_id=method.id, run_id=run.id, collection_id=collection_id)


def shown(session: Session, neuron: Neuron) -> tuple[str | None, float | None, str | None]:
    """Text, score and simulator of the neuron as lists show it."""
    refresh_current(session, neuron_id=neuron.id)
    session.refresh(neuron)
    return neuron.current_text, neuron.current_score, neuron.current_simulator


def explain(session: Session, neuron: Neuron, author: Author, *results: ExplanationResult) -> list[int]:
    return store_candidates(session, neuron_id=neuron.id, results=results, author=author)


PERSON = Author(AuthorKind.PERSON, "alice")


def test_a_neuron_shows_the_newest_scored_explanation(session: Session, make: Make) -> None:
    neuron = make.neuron(make.subject())
    for name, value in (("one", 0.6), ("two", 0.3), ("three", None)):
        explain(session, neuron, run_of(session, neuron, make.method(name)), scored(name, value))
    assert shown(session, neuron) == ("two", 0.3, "lexical")
    assert neuron.n_explanations == 3
    scores = session.scalars(select(Score.value).where(Score.explanation_id == neuron.current_explanation_id))
    assert scores.all() == [0.3]


def test_of_one_runs_candidates_only_the_preferred_stands_for_it(session: Session, make: Make) -> None:
    neuron = make.neuron(make.subject())
    author = run_of(session, neuron, make.method("best-of-2"))
    explain(session, neuron, author, scored("preferred", 0.4), scored("lucky", 0.9))
    assert shown(session, neuron) == ("preferred", 0.4, "lexical")
    assert session.scalars(select(Explanation.rank).order_by(Explanation.id)).all() == [0, 1]


def test_ten_replays_of_a_random_method_do_not_raise_a_neurons_score(session: Session, make: Make) -> None:
    subject = make.subject()
    neuron, method = make.neuron(subject), make.method("random")
    for number, value in enumerate((0.31, *np.random.default_rng(5).random(10))):
        author = run_of(session, neuron, method, subject.collection_id)
        explain(session, neuron, author, scored(f"draw {number}", float(value)))
        assert shown(session, neuron) == ("draw 0", 0.31, "lexical")
    assert neuron.n_explanations == 11


def test_scores_of_different_simulators_never_compete(session: Session, make: Make) -> None:
    neuron = make.neuron(make.subject())
    (explanation_id,) = explain(session, neuron, run_of(session, neuron, make.method("one")), scored("x", 0.4))
    add_results(session, explanation_id=explanation_id, result=scored("x", 0.9, "structured"), author=PERSON)
    assert shown(session, neuron) == ("x", 0.4, "lexical")
    add_results(session, explanation_id=explanation_id, result=scored("x", 0.2), author=PERSON)
    assert shown(session, neuron) == ("x", 0.2, "lexical")


def test_a_persons_text_comes_first_once_it_is_scored_and_has_the_score_of_its_last_simulator(
    session: Session, make: Make
) -> None:
    neuron = make.neuron(make.subject())
    explain(session, neuron, run_of(session, neuron, make.method("one")), scored("a method's", 0.9))
    own = store_explanation(session, neuron_id=neuron.id, result=ExplanationResult("a person's"), author=PERSON)
    assert shown(session, neuron) == ("a method's", 0.9, "lexical")
    for value, simulator in ((0.5, "lexical"), (0.3, "structured")):
        add_results(session, explanation_id=own, result=scored("", value, simulator), author=PERSON)
        assert shown(session, neuron) == ("a person's", value, simulator)


def test_a_method_that_ran_on_a_newer_collection_is_shown_anew(session: Session, make: Make) -> None:
    subject = make.subject()
    neuron, method = make.neuron(subject), make.method("one")
    explain(session, neuron, run_of(session, neuron, method, subject.collection_id), scored("old", 0.8))
    newer = make.collection(subject)
    explain(session, neuron, run_of(session, neuron, method, newer.id), scored("new", 0.2))
    assert shown(session, neuron) == ("new", 0.2, "lexical")


histories = st.lists(
    st.tuples(
        st.sampled_from(["one", "two", None]),  # the method; None for a person
        st.booleans(),  # on the second collection
        st.lists(
            st.tuples(st.sampled_from(["lexical", "structured", None]), st.sampled_from([None, 0.1, 0.5, 0.9])),
            max_size=4,
        ),
    ),
    max_size=6,
)


@given(histories)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_kept_and_listed_follows_one_rule(session: Session, make: Make, history: list[Any]) -> None:
    """What is kept, and what lists read, is what ``shown_first``, ``standing_score`` and ``headline_of`` choose."""
    subject = make.subject(slug=f"s{uuid4().hex}")
    methods = {name: make.method(uuid4().hex) for name in ("one", "two")}
    collections = (subject.collection_id, make.collection(subject).id)
    neuron = make.neuron(subject)
    for name, is_newer, scores in history:
        author = PERSON if name is None else run_of(session, neuron, methods[name], collections[is_newer])
        (explanation_id,) = explain(session, neuron, author, ExplanationResult("x"))
        for simulator, value in scores:
            add_results(session, explanation_id=explanation_id, result=scored("x", value, simulator), author=author)
        refresh_current(session, neuron_id=neuron.id)
    rows = neuron_explanations(session, neuron_id=neuron.id)
    for method in methods.values():
        own = [row for row in rows if row.method_id == method.id]
        first = shown_first(own, lambda row: row.score_2023 is not None and row.score_2023.value is not None)
        found = session.scalars(select(MethodStanding).where(MethodStanding.method_id == method.id)).all()
        kept = {r.is_whole_corpus: (r.explanation_id, r.score_id, r.score, r.simulator) for r in found}
        expected = {} if first is None else {kind: (first.id, *_numbers(first, kind)) for kind in (True, False)}
        assert (kept, {r.neuron_id for r in found} <= {neuron.id}) == (expected, True)
    listed = standings_of(session, explanation_ids=[row.id for row in rows])
    assert {key: (_id_of(s.score_2023), _headline_id(s.headline), s.line) for key, s in listed.items()} == {
        row.id: (_id_of(row.score_2023), _headline_id(row.headline), row.line) for row in rows
    }
    assert shown(session, neuron)[0] == ("x" if history else None)


def _numbers(row: Any, is_whole_corpus: bool) -> tuple[Any, Any, Any]:
    """Id, value and simulator of a text's score of one kind."""
    score = row.score_2023
    if is_whole_corpus:
        score = row.headline.score if row.headline is not None and row.headline.is_whole_corpus else None
    return (None, None, None) if score is None else (score.id, score.value, score.simulator)


def _id_of(score: Any) -> int | None:
    return None if score is None else score.id


def _headline_id(headline: Any) -> int | None:
    return None if headline is None else headline.score.id


def test_two_runs_of_a_neuron_that_end_together_see_each_other(fresh_database: str, fresh_sessions: Sessions) -> None:
    with transaction(fresh_sessions) as session:
        make = Make(session)
        neuron = make.neuron(make.subject())
        authors = [run_of(session, neuron, make.method(name)) for name in ("first", "second")]

    def store(session: Session, text: str, author: Author) -> None:
        store_explanation(session, neuron_id=neuron.id, result=scored(text, 0.5), author=author)
        refresh_current(session, neuron_id=neuron.id)

    def end_later() -> None:
        with transaction(fresh_sessions) as session:
            store(session, "second", authors[1])

    with ThreadPoolExecutor(1) as pool:
        with transaction(fresh_sessions) as session:
            store(session, "first", authors[0])
            later = pool.submit(end_later)
            wait_for_one_that_waits(fresh_database)
        later.result()
    with transaction(fresh_sessions) as session:
        stored = session.get_one(Neuron, neuron.id)
        assert (stored.current_text, stored.n_explanations) == ("second", 2)


def wait_for_one_that_waits(url: str) -> None:
    """Returns when a transaction of the database waits for another one's lock."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with psycopg.connect(url, autocommit=True) as connection:
        while connection.execute(waiting).fetchone() == (0,):
            sleep(0.01)
