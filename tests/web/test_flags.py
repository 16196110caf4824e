from typing import Any

import pytest
from sqlalchemy import Engine, select
from starlette.testclient import TestClient

from app.domain.bounds import LONGEST_NOTE
from app.domain.flags import FlagReason, FlagVerdict
from app.models import Event, Explanation, Neuron
from app.queries.review.flags import open_flag
from tests.factories import Make
from tests.queries import counted_queries
from tests.web.conftest import HTMX, Context, LogIn


@pytest.fixture
def explanation(make: Make) -> Explanation:
    return make.explanation(make.neuron(make.subject(), layer=1, index=3), "fires on <cats>")


@pytest.fixture
def flag_id(make: Make, explanation: Explanation) -> int:
    """Opened by charlie."""
    return flag(make, explanation, "too_broad", "also on <dogs>")


def flag(make: Make, explanation: Explanation, reason: str = "wrong", note: str = "") -> int:
    account = make.account(f"reader {reason}", "viewer")
    opened = open_flag(make.session, explanation_id=explanation.id, account_id=account.id, reason=reason, note=note)
    make.session.flush()
    return opened


def test_an_open_flag_shows_what_it_is_about(client: TestClient, flag_id: int, context: Context) -> None:
    answer = client.get("/flags")
    (shown,) = context().flags
    assert (shown.id, shown.reason, context().n_open) == (flag_id, FlagReason.TOO_BROAD, 1)
    assert "fires on &lt;cats&gt;" in answer.text
    assert "also on &lt;dogs&gt;" in answer.text
    assert 'href="/tiny/1/3?explanation=' in answer.text


def test_flags_are_filtered_and_paged(
    client: TestClient, make: Make, explanation: Explanation, context: Context, app: Any
) -> None:
    ids = [flag(make, explanation, reason) for reason in ("wrong", "other")]
    client.get("/flags?reason=wrong&state=open")
    assert [f.id for f in context().flags] == ids[:1]
    app.state.settings = app.state.settings.model_copy(update={"page_size": 1})
    client.get("/flags?reason=")
    assert [f.id for f in context().flags] == ids[1:]
    client.get(context().next)
    assert [f.id for f in context().flags] == ids[:1]
    client.get(context().previous)
    assert [f.id for f in context().flags] == ids[1:]


def test_no_flags_is_said_in_words(client: TestClient) -> None:
    assert "No flag is open" in client.get("/flags").text
    assert "no resolved flag with the reason “Wrong”" in client.get("/flags?state=resolved&reason=wrong").text


def test_a_reviewer_resolves_a_flag(client: TestClient, make: Make, flag_id: int, log_in_as: LogIn) -> None:
    log_in_as("bob")
    assert 'value="too_broad"' in client.get("/flags").text
    answer = client.post(f"/flags/{flag_id}/resolve", data={"verdict": "too_broad", "note": "indeed"})
    assert (answer.status_code, answer.headers["location"]) == (303, f"/flags/{flag_id}")
    make.session.expire_all()
    assert make.session.scalars(select(Neuron.n_open_flags)).all() == [0]
    assert "verdict.given" in make.session.scalars(select(Event.kind)).all()
    assert "partly: too broad" in client.get(f"/flags/{flag_id}").text
    assert "indeed" in client.get("/flags?state=resolved").text


def test_htmx_replaces_the_flag_alone(client: TestClient, flag_id: int, log_in_as: LogIn, context: Context) -> None:
    log_in_as("alice")
    answer = client.post(f"/flags/{flag_id}/resolve", data={"verdict": "holds"}, headers=HTMX)
    assert answer.text.lstrip().startswith(f'<article id="flag-{flag_id}"')
    assert context().flag.verdict is FlagVerdict.REJECTED
    assert "<form" not in answer.text


def test_resolving_twice_is_a_conflict(client: TestClient, flag_id: int, log_in_as: LogIn) -> None:
    log_in_as("bob")
    client.post(f"/flags/{flag_id}/resolve", data={"verdict": "wrong"})
    answer = client.post(f"/flags/{flag_id}/resolve", data={"verdict": "holds"})
    assert answer.status_code == 409
    assert "already resolved" in answer.text


@pytest.mark.parametrize(("name", "status"), [(None, 401), ("charlie", 403)])
def test_readers_may_not_resolve(
    client: TestClient, flag_id: int, log_in_as: LogIn, name: str | None, status: int
) -> None:
    if name is not None:
        log_in_as(name)
    assert '<button type="submit" class="quiet"' not in client.get("/flags").text
    assert client.post(f"/flags/{flag_id}/resolve", data={"verdict": "wrong"}).status_code == status


@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"verdict": "perhaps"},
        {"verdict": "wrong", "note": "x" * (LONGEST_NOTE + 1)},
        {"verdict": "wrong", "note": "\0"},
    ],
)
def test_a_verdict_that_cannot_be_used_is_refused(
    client: TestClient, flag_id: int, log_in_as: LogIn, sent: dict[str, str]
) -> None:
    log_in_as("bob")
    assert client.post(f"/flags/{flag_id}/resolve", data=sent).status_code == 422
    assert 'value="too_broad"' in client.get(f"/flags/{flag_id}").text


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/flags?reason=boring", 422), ("/flags?state=closed", 422), ("/flags?after=x", 422),
        ("/flags?before=%00", 422), ("/flags/0", 404), ("/flags/x", 404), ("/flags/123456789", 404),
        ("/flags/99999999999999999999", 404),
    ],
)  # fmt: skip
def test_unknown_and_malformed_addresses_have_different_errors(client: TestClient, path: str, status: int) -> None:
    assert client.get(path).status_code == status


def test_the_twin_says_the_same(client: TestClient, flag_id: int) -> None:
    assert client.get("/flags.json").json()["flags"][0]["note"] == "also on <dogs>"
    assert client.get(f"/flags/{flag_id}.json").json()["flag"]["reason"] == "too_broad"


def test_the_list_takes_few_queries_however_long_it_is(
    client: TestClient, make: Make, explanation: Explanation, engine: Engine, log_in_as: LogIn
) -> None:
    log_in_as("bob")
    for reason in FlagReason:
        flag(make, explanation, reason)
    with counted_queries(engine) as sent:
        client.get("/flags")
    assert len(sent) <= 6


def test_a_person_withdraws_a_flag_and_nobody_elses(
    client: TestClient, make: Make, explanation: Explanation, flag_id: int, log_in_as: LogIn
) -> None:
    bob = log_in_as("bob")
    own = open_flag(make.session, explanation_id=explanation.id, account_id=bob.id, reason="other", note="")
    make.session.flush()
    assert "Withdraw" in client.get(f"/flags/{own}").text
    assert "Withdraw" not in client.get(f"/flags/{flag_id}").text
    assert client.post(f"/flags/{flag_id}/withdraw").status_code == 404
    shown = client.post(f"/flags/{own}/withdraw", headers=HTMX)
    assert "Withdrawn" in shown.text
    assert "/withdraw" not in shown.text
    assert "Withdrawn" in client.get("/flags?state=resolved").text
