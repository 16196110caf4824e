"""Every route that changes something: who may, who may not, and that it leaves a line in the history."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from fastapi.routing import APIRoute
from sqlalchemy import func, select
from starlette.testclient import TestClient

from app.domain.flags import FlagReason
from app.models import Event, Run
from app.queries.review.flags import open_flag
from app.web.main import ROUTERS
from app.work.enqueue import cancel_run, enqueue_batch
from app.work.tasks import cancel_task
from app.work.trials import enqueue_trial
from tests.factories import Make

LogIn = Callable[[str], Any]
NOT_OURS = {"/login", "/logout"}
"""Tested by themselves: they change who somebody is, not what is known."""


@dataclass(frozen=True)
class Mutation:
    """One route with what a person sends to it, and an account that is refused."""

    path: str
    event: str
    refused: str | None
    form: dict[str, str]


MUTATIONS = (
    Mutation(
        "/{slug}/queue", "batch.queued", "charlie", {"neuron": "{neuron}", "n_neurons": "1", "method_id": "{method}"}
    ),
    Mutation("/{slug}/check", "task.queued", "charlie", {}),
    Mutation("/{slug}/{layer}/{index}/runs", "batch.queued", "charlie", {"method_id": "{method}"}),
    Mutation(
        "/{slug}/{layer}/{index}/explanations",
        "explanation.written",
        "charlie",
        {"text": "fires on cats", "method_id": "{method}"},
    ),
    Mutation(
        "/{slug}/{layer}/{index}/flags", "flag.opened", None, {"explanation_id": "{explanation}", "reason": "wrong"}
    ),
    Mutation("/{slug}/{layer}/{index}/try", "task.queued", None, {"text": " import os"}),
    Mutation("/{slug}/{layer}/{index}/try/warm-up", "task.queued", None, {}),
    Mutation("/flags/{flag_id}/resolve", "flag.resolved", "charlie", {"verdict": "upheld"}),
    Mutation("/explanations/{explanation_id}/replay", "batch.queued", "charlie", {}),
    Mutation("/batches/{batch_id}/cancel", "batch.cancelled", "charlie", {}),
    Mutation("/runs/{run_id}/cancel", "run.cancelled", "charlie", {}),
    Mutation("/runs/{run_id}/retry", "run.retried", "charlie", {}),
    Mutation("/tasks/{task_id}/cancel", "task.cancelled", "charlie", {}),
    Mutation("/tasks/{task_id}/retry", "task.retried", "charlie", {}),
)


@pytest.fixture
def things(make: Make) -> dict[str, Any]:
    """One of everything that an address can name."""
    subject, method, other = make.subject(), make.method("lexical"), make.method("other")
    neuron = make.neuron(subject)
    explanation = make.explanation(neuron)
    reader = make.account("dora", "reader")
    queued = enqueue_batch(
        make.session, subject_id=subject.id, neuron_ids=[neuron.id], method_id=other.id, account_id=reader.id
    )
    flag = open_flag(
        make.session, explanation_id=explanation.id, account_id=reader.id, reason=FlagReason.WRONG, note=""
    )
    run_id = make.session.scalars(select(Run.id).where(Run.batch_id == queued.batch_id)).one()
    made = make.explanation(neuron, "made by a method", method_id=method.id)
    make.session.flush()
    return {
        "slug": subject.slug,
        "layer": 0,
        "index": 0,
        "neuron": neuron.id,
        "method": method.id,
        "explanation": explanation.id,
        "flag_id": flag,
        "batch_id": queued.batch_id,
        "run_id": run_id,
        "task_id": enqueue_trial(
            make.session, neuron_id=neuron.id, explanation_id=None, account_id=reader.id, words="x"
        ),
        "explanation_id": made.id,
    }


def send(client: TestClient, mutation: Mutation, things: dict[str, Any]) -> int:
    form = {name: value.format(**things) for name, value in mutation.form.items()}
    return client.post(mutation.path.format(**things), data=form, headers={"Sec-Fetch-Site": "same-origin"}).status_code


def n_events(make: Make, kind: str | None = None) -> int:
    events = select(func.count()).select_from(Event)
    return make.session.scalar(events if kind is None else events.where(Event.kind == kind)) or 0


def test_the_table_lists_every_route_that_changes_something() -> None:
    def plain(path: str) -> str:
        return re.sub(r":\w+}", "}", path)

    routes = [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]
    changing = {plain(route.path) for route in routes if not (route.methods or set()) <= {"GET", "HEAD"}}
    assert changing - NOT_OURS == {m.path for m in MUTATIONS}


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda m: m.path)
def test_who_is_not_logged_in_is_refused(
    client: TestClient, make: Make, things: dict[str, Any], mutation: Mutation
) -> None:
    before = n_events(make)
    assert send(client, mutation, things) == 401
    assert n_events(make) == before


@pytest.mark.parametrize("mutation", [m for m in MUTATIONS if m.refused], ids=lambda m: m.path)
def test_a_role_that_may_not_is_refused(
    client: TestClient, make: Make, things: dict[str, Any], log_in_as: LogIn, mutation: Mutation
) -> None:
    log_in_as(str(mutation.refused))
    before = n_events(make)
    assert send(client, mutation, things) == 403
    assert n_events(make) == before


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda m: m.path)
def test_another_site_is_refused(
    client: TestClient, make: Make, things: dict[str, Any], log_in_as: LogIn, mutation: Mutation
) -> None:
    log_in_as("alice")
    answer = client.post(mutation.path.format(**things), headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda m: m.path)
def test_who_may_leaves_a_line_in_the_history(
    client: TestClient, make: Make, things: dict[str, Any], log_in_as: LogIn, mutation: Mutation
) -> None:
    log_in_as("alice")
    if mutation.event == "run.retried":
        cancel_run(make.session, run_id=things["run_id"], account_id=None)
    if mutation.event == "task.retried":
        cancel_task(make.session, task_id=things["task_id"], account_id=None)
    make.session.flush()
    before = n_events(make, mutation.event)
    assert send(client, mutation, things) in (200, 303)
    assert n_events(make, mutation.event) == before + 1
