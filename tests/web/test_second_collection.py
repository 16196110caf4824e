"""What was simulated before a subject was collected anew is drawn by its own numbers."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from app.db import Sessions
from app.domain.activations import SampleKind, Split
from app.domain.authors import AuthorKind
from app.domain.methods import LEXICAL
from app.domain.results import ExplanationResult
from app.models import Neuron, Score, Simulation, Subject
from app.queries.explanations.standing import refresh_current
from app.queries.explanations.store import Author, store_explanation
from app.queries.methods.definitions import ensure_builtin_methods, newest_method
from app.queries.neurons.records import neuron_records, vocabulary
from app.web.neuron.claim import NeuronClaim
from app.work.enqueue import enqueue_scoring
from tests.web.conftest import Context
from tests.worker.collecting import corpus_of
from tests.worker.looping import work_off
from tests.worker.models import save_model
from worker.collection.run import CollectOptions, collect
from worker.run.runs import build_work
from worker.subjects.load import LoadOptions, load_subject

OPTIONS = CollectOptions(slug="tiny", context_length=8)
CELL = re.compile(r"<tr role=row><th scope=row role=rowheader>.*?<td role=cell>([^<]*)"
                  r"<td role=cell(?: class=(\w+))?>([^<]*)<td role=cell(?: class=\w+)?>([^<]*)")  # fmt: skip
"""Of the numbers of an excerpt: the real one, the step and number of the expected one, their difference."""


def letters(n_documents: int, alphabet: Sequence[int], seed: int) -> list[tuple[str, str]]:
    """Documents of 24 random letters."""
    drawn = np.random.default_rng(seed)
    return [(f"document {i}", bytes(drawn.choice(alphabet, 24).tolist()).decode()) for i in range(n_documents)]


class Collected:
    """A tiny subject, collected over text without its strongest letters and then over text with them."""

    def __init__(self, session: Session, sessions: Sessions, folder: Path) -> None:
        self.session, self.sessions, self.folder = session, sessions, folder
        self.model = load_subject(str(save_model(folder / "model")), LoadOptions("cpu", "float32"))
        self.collect(letters(60, range(ord("a"), ord("n")), seed=0))

    def collect(self, documents: list[tuple[str, str]]) -> None:
        collect(self.sessions, self.model, corpus_of(f"{len(documents)} texts", documents), self.folder, OPTIONS)
        self.session.expire_all()

    def neuron(self, neuron_id: int) -> Neuron:
        return self.session.get_one(Neuron, neuron_id)

    def score(self, neuron: Neuron, text: str) -> None:
        """A person's text, simulated and scored by a worker with the lexical method."""
        author = Author(AuthorKind.PERSON, "alice")
        explanation_id = store_explanation(
            self.session, neuron_id=neuron.id, result=ExplanationResult(text), author=author
        )
        refresh_current(self.session, neuron_id=neuron.id)
        ensure_builtin_methods(self.session, definitions=[LEXICAL])
        method_id = newest_method(self.session, name="lexical").id
        enqueue_scoring(self.session, explanation_id=explanation_id, method_id=method_id, account_id=None)
        self.session.commit()
        assert work_off(self.sessions, build_work) == 1
        self.session.expire_all()


@pytest.fixture
def collected(session: Session, sessions: Sessions, tmp_path: Path) -> Collected:
    return Collected(session, sessions, tmp_path)


def strongest_token(session: Session, neuron: Neuron) -> str:
    """What the neuron's highest activation is on."""
    record = neuron_records(session, neuron_id=neuron.id).of(SampleKind.TOP)[0]
    words = vocabulary(session, tokenizer_id=session.scalars(select(Subject.tokenizer_id)).one())
    return words.strings(record.token_ids)[int(record.activations.argmax())]


def shown(context: Context, kind: str = "top") -> list[Any]:
    """The rows of the one simulation that the page shows, of one sample."""
    (simulation,) = context().simulations
    return [row for row in simulation.rows if row.kind == kind]


def lines(client: TestClient, address: str, context: Context) -> list[str]:
    """The strips of expected activations of the page."""
    client.get(f"{address}?show=expected")
    return [row.expected_line for group in context().groups for row in group.rows]


def is_headline_earlier(claim: NeuronClaim) -> bool:
    """Whether the page says that its headline is of an earlier collection."""
    assert claim.headline is not None
    return claim.is_of_earlier_collection(claim.headline.score)


def test_an_older_simulation_keeps_its_unit_and_its_own_real_activations(
    client: TestClient, collected: Collected, context: Context
) -> None:
    session = collected.session
    neuron = session.scalars(select(Neuron).where(Neuron.max > 0.01).order_by(Neuron.id).limit(1)).one()
    before, address = neuron.max, f"/tiny/{neuron.layer}/{neuron.index}"
    old = neuron_records(session, neuron_id=neuron.id).of(SampleKind.TOP, Split.VALIDATION)
    collected.score(neuron, f'fires on "{strongest_token(session, neuron)}"')
    client.get(address)
    first = lines(client, address, context)

    collected.collect(letters(300, range(ord("A"), ord("z") + 1), seed=1))

    now = collected.neuron(neuron.id).max
    assert before is not None
    assert now is not None
    assert now > 1.2 * before
    html = client.get(address).text
    assert "on an earlier collection" in html
    rows, explanation_id = shown(context), context().claim.shown.id
    for row, record in zip(rows, old, strict=False):
        assert row.excerpt_id == record.excerpt_id
        assert row.activations == record.activations.tolist()
        assert row.unit == pytest.approx(before / 10)
        asked = f"{address}/excerpts/{row.excerpt_id}?explanation={explanation_id}"
        cells = CELL.findall(client.get(asked).text)
        assert len(cells) == 8
        real, expected = np.array(row.activations), np.array(row.expected)
        drawn = np.array([[float(number) for number in (a, b, c)] for a, _step, b, c in cells])
        np.testing.assert_allclose(drawn[:, 0], real, rtol=5e-3, atol=1e-6)
        np.testing.assert_allclose(drawn[:, 1], expected * before / 10, rtol=5e-3, atol=1e-6)
        np.testing.assert_allclose(drawn[:, 2], real - expected * before / 10, rtol=2e-2, atol=2e-3 * now)
        steps = [int(step.removeprefix("h") or 0) for _real, step, _expected, _difference in cells]
        np.testing.assert_allclose(steps, np.floor(10 * expected * before / 10 / now), atol=1)
        assert max(steps) < 10
    assert lines(client, address, context) != first


def test_an_older_score_says_that_it_is_of_an_earlier_collection(
    client: TestClient, collected: Collected, context: Context
) -> None:
    session = collected.session
    neuron = session.scalars(select(Neuron).where(Neuron.max > 0.01).order_by(Neuron.id).limit(1)).one()
    address, first = f"/tiny/{neuron.layer}/{neuron.index}", session.scalars(select(Subject.collection_id)).one()
    collected.score(neuron, f'fires on "{strongest_token(session, neuron)}"')
    client.get(address)
    assert not is_headline_earlier(context().claim)
    collected.collect(letters(300, range(ord("A"), ord("z") + 1), seed=1))
    client.get(address)
    assert is_headline_earlier(context().claim)
    assert set(session.scalars(select(Score.collection_id))) == {first}
    assert set(session.scalars(select(Simulation.collection_id))) == {first}
    explanation_id = context().claim.shown.id
    assert "on an earlier collection" in client.get(f"/explanations/{explanation_id}").text


def test_a_text_scored_on_both_collections_is_drawn_by_the_newer_one(
    client: TestClient, collected: Collected, context: Context
) -> None:
    session = collected.session
    neuron = session.scalars(select(Neuron).where(Neuron.max > 0.01).order_by(Neuron.id).limit(1)).one()
    address, text = f"/tiny/{neuron.layer}/{neuron.index}", f'fires on "{strongest_token(session, neuron)}"'
    collected.score(neuron, text)
    collected.collect(letters(300, range(ord("A"), ord("z") + 1), seed=1))
    explanation_id = collected.neuron(neuron.id).current_explanation_id
    assert explanation_id is not None
    method_id = newest_method(session, name="lexical").id
    enqueue_scoring(session, explanation_id=explanation_id, method_id=method_id, account_id=None)
    session.commit()
    assert work_off(collected.sessions, build_work) == 1
    session.expire_all()
    client.get(address)
    assert not is_headline_earlier(context().claim)
    newest = session.scalars(select(Subject.collection_id)).one()
    (unit,) = session.scalars(select(Simulation.unit).where(Simulation.collection_id == newest).distinct())
    maximum = collected.neuron(neuron.id).max
    assert maximum is not None
    assert unit == pytest.approx(maximum / 10)
    assert {row.unit for row in shown(context)} == {unit}
    client.get(f"{address}/compare?explanation={explanation_id}")
    assert {excerpt.strips[0].unit for excerpt in context().excerpts} == {unit}
