"""Pages whose every stored text turns its reading direction around."""

import re
from contextlib import suppress

import pytest
from sqlalchemy import String, Table, text, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import IntegrityError
from starlette.testclient import TestClient

from app.domain.activations import SampleKind
from app.models import Base, Batch, LlmCall, Provider, Run, Task
from app.queries.people.accounts import account_named
from app.queries.review.flags import open_flag, resolve_flag
from app.queries.review.taking import Reviewer
from app.work.trials import enqueue_trial
from tests.factories import Make
from tests.web.addressed import addressed
from tests.web.conftest import LogIn
from tests.web.test_figures import logged_in
from tests.web.test_hardening import pages

HOSTILE = "\u202e\u2066\u200f\u061c\u2028\x07\u200b<var>"
KEYS = {  # never a text that somebody writes; columns with a CHECK constraint refuse the change themselves
    "corpus.digest", "login_token.token_hash", "web_session.token_hash", "tokenizer.digest", "subject.slug",
    "subject.site", "method.explainer", "method.simulator", "method.scorers", "pause.provider", "run.stage",
    "task.stage", "task.kind", "task.lane", "sample.kind", "simulation.kind",
    "simulation.split", "score.sample", "score.scorer", "event.kind",
}  # fmt: skip
PAGES = [
    "/", "/activity", "/tiny", "/tiny?words=import", "/tiny/0/0", "/tiny/0/0/compare", "/tiny/0/0/try",
    "/tiny/0/0/try?trial={trial}", "/tiny/0/0/progress", "/tiny/queue?method={method}&all=true", "/batches",
    "/batches/{batch}", "/runs/{run}", "/runs/{failed}", "/flags", "/flags?state=resolved", "/flags/{flag}", "/methods",
    "/methods/{method}", "/methods/compare?first={method}&second={other}", "/explanations/{explanation}",
    "/calls/{call}", "/tasks", "/tasks/{task}", "/bill", "/bill?by=provider", "/bill?by=method", "/bill?by=person",
    "/login",
]  # fmt: skip


@pytest.fixture
def ids(make: Make, log_in_as: LogIn) -> dict[str, int]:
    """One of everything, and then every text of every table with hostile characters at its end."""
    log_in_as("alice")
    session, subject = make.session, make.subject()
    neuron, method, other, bob = make.neuron(subject), make.method(), make.method("other"), make.account("bob")
    make.sample(neuron, subject)
    make.sample(neuron, subject, SampleKind.RANDOM, rows=[(0.0, 0.0)])
    explanation = make.explained(neuron, method=method)
    make.explained(neuron, "another text", method=other)
    batch = Batch(subject_id=subject.id, method_id=method.id, n_runs=2, account_id=bob.id)
    session.add(batch)
    session.flush()
    queued, failed = (
        Run(batch_id=batch.id, neuron_id=neuron.id, method_id=method.id, status=status, error=error)
        for status, error in (("queued", None), ("failed", "it broke"))
    )
    session.add_all([queued, failed])
    session.flush()
    trial = enqueue_trial(session, neuron_id=neuron.id, explanation_id=explanation, account_id=bob.id, words="a text")
    session.execute(update(Task).values(status="failed", error="no"))
    call = LlmCall(
        run_id=failed.id, step="explain", request_digest="d", provider="house", outcome="ok", attempt=1, error="slow",
        request={"messages": [{"role": "user", "content": "words"}]}, reply={"raw": "yes"}, returned_model="m",
    )  # fmt: skip
    provider = Provider(name="house", kind="openai_compatible", model="m", base_url="http://localhost:1/v1")
    task = Task(kind="other", lane="interactive", title="a title", status="failed", error="no", result={"text": "a"})
    session.add_all([call, provider, task])
    session.execute(
        text("INSERT INTO pause (provider, reason, until) VALUES ('default', 'away', now() + interval '1 h')")
    )
    session.execute(text("INSERT INTO worker (id, host, pid, device) VALUES (gen_random_uuid(), 'host', 1, 'cpu')"))
    flags = [open_flag(session, explanation_id=explanation, account_id=bob.id, reason="wrong", note="hm")]
    resolve_flag(session, flag_id=flags[0], reviewer=Reviewer(bob.id), kind="wrong", note="yes")
    flags.append(open_flag(session, explanation_id=explanation, account_id=bob.id, reason="other", note="hm"))
    session.flush()
    spoil_everything(make)
    return {
        "trial": trial, "task": task.id, "method": method.id, "other": other.id, "batch": batch.id, "run": queued.id,
        "failed": failed.id, "flag": flags[0], "explanation": explanation, "call": call.id,
    }  # fmt: skip


IN_TEXT = '"{0}" || :hostile'
IN_JSON = """regexp_replace("{0}"::text, '(": "[^"]*)"', '\\1\\\\u202e\\\\u0007<var>"', 'g')::jsonb"""


def spoil_everything(make: Make) -> None:
    """Append hostile characters to every text of every table."""
    make.session.execute(text("SET LOCAL session_replication_role = replica"))  # no trigger, no foreign key
    for table in Base.metadata.sorted_tables:
        spoil(make, table)
    make.session.execute(text("SET LOCAL session_replication_role = origin"))
    make.session.expire_all()


def spoil(make: Make, table: Table) -> None:
    """Append hostile characters to every text of a table, those inside of JSON too."""
    for column in table.columns:
        change = IN_TEXT if isinstance(column.type, String) else IN_JSON if isinstance(column.type, JSONB) else None
        if change is None or f"{table.name}.{column.name}" in KEYS or column.computed is not None:
            continue
        statement = text(f'UPDATE "{table.name}" SET "{column.name}" = {change.format(column.name)}')
        with suppress(IntegrityError), make.session.begin_nested():
            make.session.execute(statement, {"hostile": HOSTILE} if change is IN_TEXT else {})


def hidden_in(page: str) -> list[str]:
    """What a page has of the hostile characters as they are. A form's field gives back what was typed."""
    page = re.sub(r"(<textarea[^>]*>).*?</textarea>", r"\1", page, flags=re.DOTALL)
    page = re.sub(r'(<input\b[^>]*) value="[^"]*"', r"\1", page)
    return re.findall("[\u202e\u2066\u200f\u061c\u2028\x07\u200b]|⟩<var>", page)


@pytest.mark.parametrize("address", PAGES)
def test_no_stored_text_hides_or_moves_its_neighbours(client: TestClient, ids: dict[str, int], address: str) -> None:
    answer = client.get(address.format(**ids))
    assert answer.status_code == 200
    assert hidden_in(answer.text) == []


def test_nor_does_one_on_any_other_page(client: TestClient, make: Make) -> None:
    known = addressed(make)
    logged_in(client, make, Reviewer(account_named(make.session, name="alice").id))
    spoil_everything(make)
    answers = {address: client.get(address) for address in pages(known) if not address.endswith(".json")}
    shown = {a: r.text for a, r in answers.items() if r.headers.get("content-type", "").startswith("text/html")}
    assert {address: found for address, page in shown.items() if (found := hidden_in(page))} == {}
    assert {address for address, answer in answers.items() if answer.status_code >= 500} == set()
    assert sum(answers[address].status_code == 200 for address in shown) > 45
    assert sum("⟨U+202E⟩" in page for page in shown.values()) > 40
