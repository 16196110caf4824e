from dataclasses import dataclass

import pytest
from sqlalchemy import Engine, select
from starlette.testclient import TestClient

from app.domain.authors import AuthorKind
from app.domain.results import ExplanationResult, ScoreResult
from app.models import Batch, Event, Method, Neuron, Run
from app.queries.explanations.store import Author, store_candidates
from tests.factories import Make
from tests.queries import counted_queries
from tests.web.conftest import Context, LogIn


@dataclass(frozen=True)
class Explained:
    """A neuron and a method that explains it."""

    make: Make
    neuron: Neuron
    method: Method

    def run(self, *texts: str, value: float = 0.5) -> list[int]:
        """A run that has ended with these candidates; returns their ids."""
        session = self.make.session
        batch = Batch(subject_id=self.neuron.subject_id, method_id=self.method.id, n_runs=1)
        session.add(batch)
        session.flush()
        run = Run(batch_id=batch.id, neuron_id=self.neuron.id, method_id=self.method.id, status="succeeded")
        session.add(run)
        session.flush()
        author = Author(AuthorKind.METHOD, self.method.name, method_id=self.method.id, run_id=run.id)
        score = ScoreResult("correlation", "top_and_random", value, 10, 0, simulator="lexical")
        results = [ExplanationResult(text, scores=(score,)) for text in texts]
        ids = store_candidates(session, neuron_id=self.neuron.id, results=results, author=author)
        session.flush()
        return ids


@pytest.fixture
def explained(make: Make) -> Explained:
    return Explained(make, make.neuron(make.subject()), make.method())


def test_replay_queues_the_same_neuron_with_the_same_method(
    client: TestClient, explained: Explained, log_in_as: LogIn, context: Context
) -> None:
    (first,) = explained.run("fires on cats")
    log_in_as("olga")
    assert ">Replay</button>" in client.get(f"/explanations/{first}").text

    answer = client.post(f"/explanations/{first}/replay")

    assert answer.headers["location"] == f"/explanations/{first}#replay"
    run = explained.make.session.scalars(select(Run).where(Run.status == "queued")).one()
    assert (run.neuron_id, run.method_id, run.explanation_id) == (explained.neuron.id, explained.method.id, None)
    html = client.get(f"/explanations/{first}").text
    assert context().explanation.is_replaying
    assert ">Replay</button>" not in html
    assert client.post(f"/explanations/{first}/replay").status_code == 422


def test_after_a_replay_the_drift_is_one_click_away(client: TestClient, explained: Explained, context: Context) -> None:
    (first,) = explained.run("fires on cats", value=0.5)
    again, _second_best = explained.run("fires on dogs", "fires on mice", value=0.75)
    html = client.get(f"/explanations/{first}").text
    assert [c.id for c in context().explanation.replays] == [again]
    assert f'href="/tiny/0/0/compare?explanation={first}&amp;explanation={again}"' in html
    client.get(f"/tiny/0/0/compare?explanation={first}&explanation={again}")
    assert context().scores[0].cells[1].difference == 0.25
    assert [run.text for run in context().columns[1].difference] == ["fires on", " cats", " dogs"]


def test_a_persons_text_is_not_replayed_but_shows_what_scored_it(
    client: TestClient, make: Make, explained: Explained, log_in_as: LogIn, context: Context
) -> None:
    log_in_as("olga")
    client.post("/tiny/0/0/explanations", data={"text": "about joy", "method_id": explained.method.id})
    run = make.session.scalars(select(Run)).one()
    run.status, run.error = "failed", "Nothing in this sentence can be read."
    make.session.flush()
    html = client.get(f"/explanations/{run.explanation_id}").text
    assert "Nothing in this sentence can be read." in html
    assert "Replay" not in html
    assert client.post(f"/explanations/{run.explanation_id}/replay").status_code == 422


def test_what_a_persons_scores_came_from_is_shown(
    client: TestClient, make: Make, explained: Explained, log_in_as: LogIn
) -> None:
    log_in_as("olga")
    client.post("/tiny/0/0/explanations", data={"text": "about joy", "method_id": explained.method.id})
    run = make.session.scalars(select(Run)).one()
    run.status = "succeeded"
    detail = {"run_id": run.id, "provenance": {"simulator": {"name": "the lexical one"}}}
    make.session.add(Event(kind="run.succeeded", neuron_id=explained.neuron.id, detail=detail))
    make.session.flush()
    assert "the lexical one" in client.get(f"/explanations/{run.explanation_id}").text


def test_the_number_of_queries_does_not_grow_with_replays(
    client: TestClient, explained: Explained, engine: Engine
) -> None:
    (first,) = explained.run("one")
    with counted_queries(engine) as before:
        client.get(f"/explanations/{first}")
    for _ in range(5):
        explained.run("again")
    with counted_queries(engine) as sent:
        client.get(f"/explanations/{first}")
    assert len(sent) == len(before) <= 7
