"""The numbers that a reviewer's desk and a campaign's page show of verdicts."""

import pytest
from sqlalchemy.orm import Session

from app.queries.review.judging import undo_verdict
from app.queries.review.own import OwnProgress, own_standing
from app.queries.review.shown import n_verdicts
from app.queries.review.taking import Reviewer
from tests.db.reviewing import Cast, judge, reviewing
from tests.factories import Make


@pytest.fixture
def cast(session: Session, make: Make) -> Cast:
    """A campaign with three items, two verdicts for each."""
    return reviewing(make, n_items=3)


def progress(session: Session, cast: Cast, who: Reviewer) -> OwnProgress:
    return own_standing(session, campaign_id=cast.campaign_id, account_id=who.account_id).progress


def test_a_reviewer_sees_their_own_verdicts_out_of_all_items(session: Session, cast: Cast) -> None:
    assert progress(session, cast, cast.bob) == OwnProgress(0, 3)
    cast.judge(session, cast.bob)
    cast.judge(session, cast.bob, "wrong")
    cast.judge(session, cast.dora)
    assert progress(session, cast, cast.bob) == OwnProgress(2, 3)
    assert progress(session, cast, cast.dora) == OwnProgress(1, 3)


def test_an_item_that_is_only_held_is_not_judged(session: Session, cast: Cast) -> None:
    cast.take(session, cast.bob)
    assert progress(session, cast, cast.bob) == OwnProgress(0, 3)


def test_an_undone_verdict_counts_no_longer(session: Session, cast: Cast) -> None:
    given = cast.judge(session, cast.bob)
    cast.judge(session, cast.dora)
    assert n_verdicts(session, campaign_id=cast.campaign_id) == 2
    slot = undo_verdict(session, verdict_id=given.verdict_id, reviewer=cast.bob)
    assert n_verdicts(session, campaign_id=cast.campaign_id) == 1
    assert progress(session, cast, cast.bob) == OwnProgress(0, 3)
    judge(session, slot, cast.bob, "wrong")
    assert n_verdicts(session, campaign_id=cast.campaign_id) == 2
    assert progress(session, cast, cast.bob) == OwnProgress(1, 3)


def test_verdicts_of_another_campaign_do_not_count(session: Session, cast: Cast) -> None:
    cast.judge(session, cast.bob)
    assert n_verdicts(session, campaign_id=cast.campaign_id + 1) == 0
