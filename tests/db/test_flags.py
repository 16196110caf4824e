import itertools
from dataclasses import dataclass

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.domain.bounds import LONGEST_NOTE
from app.domain.flags import FlagReason, FlagVerdict
from app.domain.review import VerdictKind
from app.errors import Conflict, Invalid, NotFound
from app.models import Event, Neuron
from app.queries.explanations.standing import refresh_current
from app.queries.review.flags import open_flag, open_flags, resolve_flag, withdraw_flag, withdraw_flags
from app.queries.review.flags_shown import FlagsWanted, flag_row, flags_page, n_open_flags
from app.queries.review.judging import Judgement, give_verdict
from app.queries.review.taking import LeaseExpired, Reviewer, take_item
from tests.factories import Make


@dataclass(frozen=True)
class Cast:
    """An explanation, a reader who doubts it, a reviewer who judges."""

    neuron: Neuron
    explanation_id: int
    charlie: int
    bob: int

    def flag(self, session: Session, reason: str = "wrong", note: str = "") -> int:
        return open_flag(session, explanation_id=self.explanation_id, account_id=self.charlie, reason=reason, note=note)

    def resolve(self, session: Session, flag_id: int, kind: str, note: str = "") -> None:
        resolve_flag(session, flag_id=flag_id, reviewer=Reviewer(self.bob), kind=kind, note=note)


@pytest.fixture
def cast(make: Make) -> Cast:
    neuron = make.neuron(make.subject(), layer=1, index=3)
    explanation = make.explanation(neuron, text="fires on cats")
    charlie, bob = make.account("charlie", "viewer"), make.account("bob", "reviewer")
    return Cast(neuron, explanation.id, charlie.id, bob.id)


def test_an_opened_flag_is_listed_counted_and_in_the_history(session: Session, cast: Cast) -> None:
    flag_id = cast.flag(session, reason="too_broad", note="  also on dogs ")

    (row,) = flags_page(session, size=10).rows
    assert (row.id, row.reason, row.note, row.by) == (flag_id, FlagReason.TOO_BROAD, "also on dogs", "charlie")
    assert (row.subject, row.layer, row.index, row.explanation) == ("tiny", 1, 3, "fires on cats")
    assert n_open_flags(session) == 1
    assert _reread(session, cast.neuron).n_open_flags == 1
    assert session.scalars(select(Event.kind).where(Event.neuron_id == cast.neuron.id)).all() == ["flag.opened"]


def test_a_resolved_flag_leaves_the_open_list_and_the_neuron(session: Session, cast: Cast) -> None:
    flag_id = cast.flag(session)
    cast.resolve(session, flag_id, "wrong", "it is wrong")

    assert flags_page(session, size=10).rows == ()
    (row,) = flags_page(session, size=10, wanted=FlagsWanted(is_open=False)).rows
    assert (row.verdict, row.kind, row.resolution_note, row.resolved_by) == (
        FlagVerdict.UPHELD, VerdictKind.WRONG, "it is wrong", "bob",
    )  # fmt: skip
    assert _reread(session, cast.neuron).n_open_flags == 0
    assert "verdict.given" in session.scalars(select(Event.kind)).all()


def test_resolving_twice_is_a_conflict_and_changes_nothing(session: Session, cast: Cast) -> None:
    flag_id = cast.flag(session)
    cast.resolve(session, flag_id, "wrong")
    with pytest.raises(Conflict):
        cast.resolve(session, flag_id, "holds")
    assert flag_row(session, flag_id=flag_id).verdict is FlagVerdict.UPHELD
    assert _reread(session, cast.neuron).n_open_flags == 0


def test_the_same_complaint_is_not_opened_twice(session: Session, cast: Cast) -> None:
    cast.flag(session, reason="wrong")
    cast.flag(session, reason="other")
    with pytest.raises(Conflict), session.begin_nested():
        cast.flag(session, reason="wrong")
    assert _reread(session, cast.neuron).n_open_flags == 2


@pytest.mark.parametrize("note", ["a\x00b", "x" * (LONGEST_NOTE + 1)])
def test_a_note_that_cannot_be_stored_is_refused(session: Session, cast: Cast, note: str) -> None:
    with pytest.raises(Invalid):
        cast.flag(session, note=note)


def test_unknown_words_are_refused(session: Session, cast: Cast) -> None:
    with pytest.raises(Invalid, match="too_broad"):
        cast.flag(session, reason="boring")
    with pytest.raises(Invalid, match="holds"):
        cast.resolve(session, cast.flag(session), "perhaps")


@pytest.mark.parametrize("number", [0, -1, 10**9, 2**63, 10**30])
def test_unknown_ids_are_not_found(session: Session, cast: Cast, number: int) -> None:
    with pytest.raises(NotFound):
        open_flag(session, explanation_id=number, account_id=cast.charlie, reason="wrong", note="")
    with pytest.raises(NotFound):
        cast.resolve(session, number, "wrong")
    with pytest.raises(NotFound):
        flag_row(session, flag_id=number)


@pytest.mark.parametrize("size", [1, 2, 3, 6])
def test_pages_show_every_flag_once_in_both_directions(session: Session, cast: Cast, size: int) -> None:
    ids = [cast.flag(session, reason=reason) for reason in FlagReason]
    pages = [flags_page(session, size=size)]
    while pages[-1].next is not None:
        pages.append(flags_page(session, size=size, after=pages[-1].next))

    assert [row.id for page in pages for row in page.rows] == ids[::-1]
    assert pages[0].previous is None
    for earlier, later in itertools.pairwise(pages):
        assert flags_page(session, size=size, before=later.previous).rows == earlier.rows


def test_one_verdict_resolves_all_flags_of_an_explanation(session: Session, cast: Cast) -> None:
    ids = [cast.flag(session, reason="wrong"), cast.flag(session, reason="too_narrow")]
    cast.resolve(session, ids[0], "too_narrow")
    assert {flag_row(session, flag_id=i).verdict for i in ids} == {FlagVerdict.UPHELD}
    assert _reread(session, cast.neuron).n_open_flags == 0


def test_a_flag_after_a_verdict_is_a_new_item(session: Session, cast: Cast) -> None:
    first = cast.flag(session)
    cast.resolve(session, first, "holds")
    second = cast.flag(session)
    assert flag_row(session, flag_id=first).verdict is FlagVerdict.REJECTED
    assert flag_row(session, flag_id=second).verdict is None
    assert flag_row(session, flag_id=first).item_id != flag_row(session, flag_id=second).item_id


def test_an_upheld_flag_makes_way_for_the_next_candidate(session: Session, make: Make, cast: Cast) -> None:
    make.explained(cast.neuron, "fires on dogs", 0.9)
    newest = make.explained(cast.neuron, "fires on birds", 0.4)
    assert cast.neuron.current_explanation_id == newest
    flag = open_flag(session, explanation_id=newest, account_id=cast.charlie, reason="wrong", note="")
    cast.resolve(session, flag, "wrong")
    assert _reread(session, cast.neuron).current_text == "fires on dogs"


def test_a_neuron_whose_every_text_is_rejected_needs_an_explanation(session: Session, cast: Cast) -> None:
    refresh_current(session, neuron_id=cast.neuron.id)
    cast.resolve(session, cast.flag(session), "unreadable")
    reread = _reread(session, cast.neuron)
    assert (reread.current_explanation_id, reread.n_explanations) == (None, 1)


def test_many_flags_are_one_event_and_one_undo(session: Session, make: Make, cast: Cast) -> None:
    subject_id = cast.neuron.subject_id
    ids = [cast.explanation_id, make.explained(cast.neuron, "fires on dogs")]
    cast.flag(session)
    draw_id, n = open_flags(
        session, explanation_ids=ids, subject_id=subject_id, account_id=cast.charlie, reason="wrong", note="all"
    )
    assert (n, _reread(session, cast.neuron).n_open_flags) == (1, 2)
    assert withdraw_flags(session, draw_id=draw_id, account_id=cast.charlie) == 1
    assert (n_open_flags(session), _reread(session, cast.neuron).n_open_flags) == (1, 1)
    with pytest.raises(Conflict):
        withdraw_flags(session, draw_id=draw_id, account_id=cast.charlie)
    kinds = session.scalars(select(Event.kind).where(Event.kind.in_(["flags.opened", "items.withdrawn"]))).all()
    assert sorted(kinds) == ["flags.opened", "items.withdrawn"]


def test_flags_are_filtered_by_reason(session: Session, cast: Cast) -> None:
    for reason in FlagReason:
        cast.flag(session, reason=reason)
    (row,) = flags_page(session, size=10, wanted=FlagsWanted(reason=FlagReason.UNREADABLE)).rows
    assert row.reason is FlagReason.UNREADABLE


@pytest.mark.parametrize("cursor", ["", "x", "-1", "1.5", "²", "9" * 40])
def test_a_damaged_cursor_is_refused(session: Session, cursor: str) -> None:
    with pytest.raises(Invalid):
        flags_page(session, size=10, after=cursor)


def _reread(session: Session, neuron: Neuron) -> Neuron:
    session.flush()
    session.refresh(neuron)
    return neuron


def test_a_flag_is_withdrawn_by_who_has_flagged_and_once(session: Session, cast: Cast) -> None:
    flag_id = cast.flag(session)
    assert flag_row(session, flag_id=flag_id).may_be_withdrawn
    with pytest.raises(NotFound, match="no such flag"):
        withdraw_flag(session, flag_id=flag_id, account_id=cast.bob)
    withdraw_flag(session, flag_id=flag_id, account_id=cast.charlie)
    assert flag_row(session, flag_id=flag_id).verdict is FlagVerdict.WITHDRAWN
    assert (n_open_flags(session), _reread(session, cast.neuron).n_open_flags) == (0, 0)
    assert _kinds(session, cast) == ["flag.opened", "flag.withdrawn"]
    with pytest.raises(Conflict, match="not open any more"):
        withdraw_flag(session, flag_id=flag_id, account_id=cast.charlie)
    assert cast.flag(session) != flag_id  # it may be flagged again


def test_others_flags_stay_when_one_is_withdrawn(session: Session, cast: Cast) -> None:
    own = cast.flag(session)
    other = open_flag(session, explanation_id=cast.explanation_id, account_id=cast.bob, reason="other", note="")
    withdraw_flag(session, flag_id=own, account_id=cast.charlie)
    assert flag_row(session, flag_id=own).verdict is FlagVerdict.WITHDRAWN
    assert flag_row(session, flag_id=other).verdict is None
    assert (n_open_flags(session), _reread(session, cast.neuron).n_open_flags) == (1, 1)
    cast.resolve(session, other, VerdictKind.HOLDS)
    assert (n_open_flags(session), _reread(session, cast.neuron).n_open_flags) == (0, 0)
    assert flag_row(session, flag_id=own).verdict is FlagVerdict.WITHDRAWN


def test_a_flag_that_was_judged_is_not_withdrawn(session: Session, cast: Cast) -> None:
    flag_id = cast.flag(session)
    cast.resolve(session, flag_id, VerdictKind.HOLDS)
    assert not flag_row(session, flag_id=flag_id).may_be_withdrawn
    with pytest.raises(Conflict, match="not open any more"):
        withdraw_flag(session, flag_id=flag_id, account_id=cast.charlie)
    with pytest.raises(NotFound):
        withdraw_flag(session, flag_id=0, account_id=cast.charlie)


@pytest.mark.parametrize("as_many", [False, True])
def test_who_holds_an_item_while_its_flag_is_withdrawn_cannot_judge_it(
    session: Session, cast: Cast, as_many: bool
) -> None:
    """Judging it would settle what was withdrawn, and count the flag as closed a second time."""
    reviewer = Reviewer(cast.bob)
    draw_id = 0
    if as_many:
        one = {"explanation_ids": [cast.explanation_id], "subject_id": cast.neuron.subject_id}
        draw_id, _ = open_flags(session, **one, account_id=cast.charlie, reason="wrong", note="")  # type: ignore[arg-type]  # values of several types
        (row,) = flags_page(session, size=1).rows
        flag_id = row.id
    else:
        flag_id = cast.flag(session)
    slot = take_item(session, item_id=flag_row(session, flag_id=flag_id).item_id, reviewer=reviewer)
    if as_many:
        withdraw_flags(session, draw_id=draw_id, account_id=cast.charlie)
    else:
        withdraw_flag(session, flag_id=flag_id, account_id=cast.charlie)
    with pytest.raises(LeaseExpired):
        give_verdict(
            session, slot_id=slot.id, lease_token=slot.lease_token, reviewer=reviewer, judgement=Judgement("wrong")
        )
    assert (n_open_flags(session), _reread(session, cast.neuron).n_open_flags) == (0, 0)


def _kinds(session: Session, cast: Cast) -> list[str]:
    return list(session.scalars(select(Event.kind).where(Event.neuron_id == cast.neuron.id).order_by(Event.id)))
