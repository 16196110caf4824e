"""``history verify`` compares verdicts with the events that they left."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session
from typer.testing import CliRunner

from app.cli.main import cli
from app.db import make_sessions, transaction
from app.domain.history import verify
from app.domain.review import Confidence
from app.queries.history.chain import chain_links
from app.queries.history.verdicts import WORDS, changed_verdicts
from app.queries.review.judging import Judgement, give_verdict, send_back, undo_verdict
from app.queries.review.taking import keep_guess
from tests.db.auditing import audited
from tests.db.reviewing import reviewing
from tests.db.test_history import tamper
from tests.factories import Make


@pytest.fixture
def judged(fresh_engine: Engine) -> Engine:
    """A campaign that was judged, with controls, disputes and an adjudicator; committed."""
    with transaction(make_sessions(fresh_engine)) as session:
        audited(Make(session), ended=True)
    return fresh_engine


def found(engine: Engine) -> list[tuple[str, str]]:
    with make_sessions(engine)() as session:
        assert verify(chain_links(session)).faults == ()  # the chain alone does not see it
        return [(each.subject.partition(" ")[0], each.what) for each in changed_verdicts(session)]


def test_what_nobody_has_touched_is_what_its_events_say(judged: Engine) -> None:
    assert found(judged) == []


def test_undone_verdicts_and_items_that_were_sent_back_are_no_faults(session: Session, make: Make) -> None:
    cast = reviewing(make, n_items=2)
    slot = cast.take(session, cast.bob)
    keep_guess(session, slot_id=slot.id, lease_token=slot.lease_token, reviewer=cast.bob, guess="cats é")
    judgement = Judgement("wrong", Confidence.HIGH, note='quote " and \\ and é')
    given = give_verdict(session, slot_id=slot.id, lease_token=slot.lease_token, reviewer=cast.bob, judgement=judgement)
    undo_verdict(session, verdict_id=given.verdict_id, reviewer=cast.bob, now=datetime.now(UTC))
    cast.judge(session, cast.bob, "too_broad")
    settled = cast.judge(session, cast.dora, "too_narrow")
    send_back(session, item_id=settled.item_id, account_id=cast.alice.account_id, note="again")
    session.flush()
    assert changed_verdicts(session) == ()


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("UPDATE verdict SET kind = 'holds' WHERE id = (SELECT min(id) FROM verdict WHERE kind = 'wrong')", "edited"),
        ("UPDATE verdict SET confidence = 'high' WHERE id = (SELECT min(id) FROM verdict)", "edited"),
        ("UPDATE verdict SET note = note || '.' WHERE id = (SELECT min(id) FROM verdict)", "edited"),
        ("UPDATE verdict SET guess = 'x' WHERE id = (SELECT min(id) FROM verdict)", "edited"),
        (
            "UPDATE verdict SET account_id = (SELECT id FROM account WHERE name = 'alice')"
            " WHERE id = (SELECT min(id) FROM verdict)",
            "edited",
        ),
        ("DELETE FROM verdict WHERE id = (SELECT max(id) FROM verdict)", "removed"),
        (
            "INSERT INTO verdict (campaign_id, version, item_id, slot_id, account_id, kind, confidence, seconds)"
            " SELECT campaign_id, version, item_id, slot_id, account_id, 'holds', 'high', 1 FROM verdict LIMIT 1",
            "added",
        ),
    ],
)
def test_one_changed_verdict_is_found(judged: Engine, statement: str, expected: str) -> None:
    tamper(judged, statement)
    assert found(judged) == [("verdict", WORDS[expected])]


def test_a_judged_text_that_was_edited_is_found_with_each_of_its_verdicts(judged: Engine) -> None:
    tamper(
        judged,
        "UPDATE review_control SET planted_text = planted_text || 'x' WHERE item_id ="
        " (SELECT max(item_id) FROM review_control WHERE planted_text IS NOT NULL)",
    )
    assert set(found(judged)) == {("verdict", WORDS["text"])}
    assert len(found(judged)) >= 2


def test_an_outcome_that_was_edited_is_found(judged: Engine) -> None:
    tamper(
        judged,
        "UPDATE review_item SET outcome = 'holds' WHERE id = (SELECT min(id) FROM review_item WHERE outcome = 'fails')",
    )
    assert found(judged) == [("item", WORDS["edited"])]


def test_the_command_names_the_verdict_and_fails(
    judged: Engine, fresh_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", fresh_database)
    assert CliRunner().invoke(cli, ["history", "verify"]).exit_code == 0
    tamper(judged, "UPDATE verdict SET kind = 'holds' WHERE id = (SELECT min(id) FROM verdict WHERE kind = 'wrong')")
    told = CliRunner().invoke(cli, ["history", "verify"])
    assert told.exit_code == 1
    assert "it is not what its event says" in told.output
    assert "1 fault\n" in told.output
