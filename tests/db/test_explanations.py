from concurrent.futures import ThreadPoolExecutor
from time import sleep

import psycopg
from sqlalchemy.orm import Session

from app.db import make_engine, make_sessions, transaction
from app.domain.authors import AuthorKind
from app.domain.results import ExplanationResult, ScoreResult
from app.models import Batch, Neuron, Run
from app.queries.explanations.store import Author, refresh_current, store_explanation
from tests.factories import Make


def scored(text: str, value: float | None) -> ExplanationResult:
    reason = "constant" if value is None else None
    return ExplanationResult(text, scores=(ScoreResult("correlation", "top_and_random", value, 10, 0, reason),))


def run_of(session: Session, make: Make, neuron: Neuron, method_name: str) -> Author:
    method = make.method(method_name)
    batch = Batch(subject_id=neuron.subject_id, method_id=method.id, n_runs=1)
    session.add(batch)
    session.flush()
    run = Run(batch_id=batch.id, neuron_id=neuron.id, method_id=method.id)
    session.add(run)
    session.flush()
    return Author(AuthorKind.METHOD, method_name, method_id=method.id, run_id=run.id)


def test_a_neuron_shows_its_best_explanation(session: Session, make: Make) -> None:
    neuron = make.neuron(make.subject())
    for name, value in (("one", 0.3), ("two", 0.6), ("three", None)):
        author = run_of(session, make, neuron, name)
        store_explanation(session, neuron_id=neuron.id, result=scored(name, value), author=author)
    refresh_current(session, neuron_id=neuron.id)
    session.refresh(neuron)
    assert (neuron.current_text, neuron.n_explanations) == ("two", 3)


def test_of_one_runs_candidates_only_the_preferred_stands_for_it(session: Session, make: Make) -> None:
    neuron = make.neuron(make.subject())
    author = run_of(session, make, neuron, "best-of-2")
    for text, value in (("preferred", 0.4), ("lucky", 0.9)):
        store_explanation(session, neuron_id=neuron.id, result=scored(text, value), author=author)
    refresh_current(session, neuron_id=neuron.id)
    session.refresh(neuron)
    assert neuron.current_text == "preferred"


def test_texts_of_people_stand_each_for_itself(session: Session, make: Make) -> None:
    neuron = make.neuron(make.subject())
    for text, value in (("weak", 0.1), ("strong", 0.5)):
        result = scored(text, value)
        store_explanation(session, neuron_id=neuron.id, result=result, author=Author(AuthorKind.PERSON, "alice"))
    refresh_current(session, neuron_id=neuron.id)
    session.refresh(neuron)
    assert neuron.current_text == "strong"


def test_two_runs_of_a_neuron_that_end_together_see_each_other(fresh_database: str) -> None:
    engine = make_engine(fresh_database)
    sessions = make_sessions(engine)
    with transaction(sessions) as session:
        make = Make(session)
        neuron = make.neuron(make.subject())
        authors = [run_of(session, make, neuron, name) for name in ("good", "bad")]

    def store(session: Session, text: str, value: float, author: Author) -> None:
        store_explanation(session, neuron_id=neuron.id, result=scored(text, value), author=author)
        refresh_current(session, neuron_id=neuron.id)

    def end_later() -> None:
        with transaction(sessions) as session:
            store(session, "bad", 0.1, authors[1])

    with ThreadPoolExecutor(1) as pool:
        with transaction(sessions) as session:
            store(session, "good", 0.9, authors[0])
            later = pool.submit(end_later)
            wait_for_one_that_waits(fresh_database)
        later.result()
    with transaction(sessions) as session:
        stored = session.get_one(Neuron, neuron.id)
        assert (stored.current_text, stored.n_explanations) == ("good", 2)
    engine.dispose()


def wait_for_one_that_waits(url: str) -> None:
    """Returns when a transaction of the database waits for another one's lock."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with psycopg.connect(url, autocommit=True) as connection:
        while connection.execute(waiting).fetchone() == (0,):
            sleep(0.01)
