"""Neurons that lack facts, as imports do, through the queue and every step: a run ends with numbers or a reason."""

import json
import math

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db import Sessions
from app.domain.glossary import term_of_score
from app.domain.methods import LEXICAL, MethodDefinition
from app.domain.steps.catalogue import EXPLAINERS, SCORERS
from app.domain.tokens import Vocabulary
from app.models import Method, Run, Score, Simulation
from app.queries.methods.definitions import ensure_builtin_methods
from app.work.enqueue import enqueue_batch, enqueue_scoring
from tests.factories import WORDS, Make
from tests.fake_provider import FakeProvider
from tests.imported import GAPS, TEXT, store_imported
from tests.llm_server import instance_of
from tests.worker.live_fakes import FakeSubject
from tests.worker.looping import work_off
from worker.method.contracts import Services
from worker.method.pipeline import run_method
from worker.method.registry import build_method
from worker.providers.base import ChatRequest
from worker.run.runs import Work

EVERY_SCORER = tuple(SCORERS)
METHODS = (
    LEXICAL,
    *(
        MethodDefinition(f"asked {name}", 1, name, name, "lexical", EVERY_SCORER, provider="fake")
        for name in EXPLAINERS
        if name != "lexical"
    ),
    MethodDefinition("asked", 1, "Asked", "highlighted", "structured", EVERY_SCORER, "fake", {"calibration": "linear"}),
)


def answer(request: ChatRequest) -> str:
    """What fits the schema that is asked for, and an explanation where none is."""
    if request.step.startswith("explain"):
        return json.dumps({"explanation": TEXT})
    return TEXT if request.json_schema is None else json.dumps(instance_of(request.json_schema))


def build(definition: MethodDefinition) -> Work:
    whole = tuple(word if word.isascii() else b"?" for word in WORDS)  # the fake splits text at characters
    subject = FakeSubject(Vocabulary("words", whole), {"import": 4.0})
    method = build_method(definition, Services(provider=FakeProvider(answer), subject=subject))
    return lambda task, report: run_method(method, task, report)


def assert_reason(reason: str | None) -> None:
    """A sentence for people, not what an exception is called."""
    assert reason
    assert reason[0].isupper() or reason[0].islower()
    assert "Error" not in reason
    assert "Traceback" not in reason


@pytest.mark.parametrize("definition", METHODS, ids=lambda method: method.name)
@pytest.mark.parametrize("gap", GAPS)
def test_runs_end_with_numbers_or_a_reason(
    session: Session, sessions: Sessions, make: Make, gap: str, definition: MethodDefinition
) -> None:
    rows = store_imported(make, GAPS[gap])
    ensure_builtin_methods(session, definitions=[definition])
    method_id = session.scalars(select(Method.id)).one()
    for explanation_id in rows.explanations[:1]:
        enqueue_scoring(session, explanation_id=explanation_id, method_id=method_id, account_id=None)
    ids = [neuron.id for neuron in (rows.neurons[1:] if rows.explanations else rows.neurons)]
    enqueue_batch(session, subject_id=rows.subject.id, neuron_ids=ids, method_id=method_id, account_id=None)
    session.commit()
    assert work_off(sessions, build) == len(rows.neurons)
    session.expire_all()
    for run in session.scalars(select(Run)):
        assert run.status in ("succeeded", "failed"), run.error
        if run.status == "failed":
            assert_reason(run.error)
    for score in session.scalars(select(Score).where(Score.run_id.is_not(None))):
        assert term_of_score(score.scorer) is not None
        assert (score.value is None) == (score.undefined_reason is not None)
        if score.value is None:
            assert_reason(score.undefined_reason)
        else:
            assert math.isfinite(score.value)
            assert score.n_valid > 0
    for simulation in session.scalars(select(Simulation).where(Simulation.run_id.is_not(None))):
        assert simulation.unit > 0
