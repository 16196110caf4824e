"""Campaigns and their rules: created, changed by a newer version, ended."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, and_, func, select, true
from sqlalchemy.orm import Session

from app.domain.bounds import BIGGEST_ID, LONGEST_CAMPAIGN_NAME, LONGEST_INSTRUCTIONS, LONGEST_QUESTION
from app.domain.events import EventKind
from app.domain.review import (
    FEWEST_VERDICTS,
    HIGHEST_CONTROL_SHARE,
    MOST_VERDICTS,
    CampaignState,
    ItemState,
    Participants,
)
from app.errors import Conflict, Invalid, NotFound
from app.models import Account, Campaign, CampaignVersion, ReviewItem, Subject
from app.queries.common.inputs import plain_text
from app.queries.history.events import record_event


@dataclass(frozen=True, slots=True)
class CampaignRules:
    """The rules of one version of a campaign. Raises Invalid for values out of bounds."""

    question: str
    instructions: str = ""
    verdicts_per_item: int = 2
    participants: Participants = Participants.REVIEWERS
    account_ids: tuple[int, ...] = ()
    """The accounts that may take part, if participants are named."""
    is_blind: bool = True
    asks_guess: bool = True
    control_share: float = 0.0

    def __post_init__(self) -> None:
        question = plain_text(self.question, what="question", limit=LONGEST_QUESTION)
        if not question:
            raise Invalid("Write the question that reviewers are to answer.")
        object.__setattr__(self, "question", question)
        instructions = plain_text(self.instructions, what="instructions", limit=LONGEST_INSTRUCTIONS)
        object.__setattr__(self, "instructions", instructions)
        if not FEWEST_VERDICTS <= self.verdicts_per_item <= MOST_VERDICTS:
            raise Invalid(f"Verdicts per item are {FEWEST_VERDICTS} to {MOST_VERDICTS}.")
        if not 0 <= self.control_share <= HIGHEST_CONTROL_SHARE:
            raise Invalid(f"The share of controls is 0 to {HIGHEST_CONTROL_SHARE}, or 0 to 50 %.")
        if (self.participants is Participants.NAMED) != bool(self.account_ids):
            raise Invalid("Name the accounts that may take part, or let all reviewers take part.")

    @property
    def instructions_digest(self) -> str:
        """SHA-256 of the instructions in UTF-8, in hexadecimal."""
        return hashlib.sha256(self.instructions.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class ItemCounts:
    """Items of a campaign by state, controls among them."""

    open: int = 0
    disputed: int = 0
    settled: int = 0
    withdrawn: int = 0

    @property
    def total(self) -> int:
        """All items except the withdrawn ones."""
        return self.open + self.disputed + self.settled


@dataclass(frozen=True, slots=True)
class CampaignHead:
    """A campaign with its current rules."""

    id: int
    name: str
    subject_id: int | None
    slug: str | None
    subject: str | None
    is_standing: bool
    state: CampaignState
    version: int
    seed: int
    by: str | None
    created_at: datetime
    ended_at: datetime | None
    rules: CampaignRules

    def lets_take_part(self, account_id: int) -> bool:
        """Whether an account that may review may take part in this campaign."""
        return self.rules.participants is Participants.REVIEWERS or account_id in self.rules.account_ids

    def keeps_blind(self, account_id: int) -> bool:
        """Whether controls and others' verdicts are still hidden from an account that may review.

        The account may still be asked for a verdict, and could tell which items are controls from changes in their
        figures.
        """
        is_ended = self.state is CampaignState.ENDED
        return self.rules.is_blind and not is_ended and self.lets_take_part(account_id)


@dataclass(frozen=True, slots=True)
class CampaignRow(CampaignHead):
    """A campaign with the number of its items by state, which costs a pass over them."""

    counts: ItemCounts


def insert_campaign(
    session: Session, *, name: str, subject_id: int, rules: CampaignRules, account_id: int | None, seed: int
) -> int:
    """A new campaign without items; returns its id. The caller records the event.

    A campaign with controls begins in the state ``preparing``. Raises Invalid for a bad name or for
    controls in a campaign that is not blind, NotFound for an unknown account.
    """
    _require_blind_controls(rules)
    clean = plain_text(name, what="name", limit=LONGEST_CAMPAIGN_NAME)
    if not clean:
        raise Invalid("Give the campaign a name.")
    state = CampaignState.PREPARING if rules.control_share else CampaignState.OPEN
    campaign = Campaign(name=clean, subject_id=subject_id, seed=seed, account_id=account_id, state=state)
    session.add(campaign)
    session.flush()  # the version needs its id
    _insert_version(session, campaign.id, 1, rules, account_id)
    return campaign.id


def change_rules(session: Session, *, campaign_id: int, rules: CampaignRules, account_id: int) -> int:
    """Make a newer version of the rules the current one; returns its number.

    Existing slots stay; items added later get the number of slots in the new rules. Raises NotFound; Conflict for a
    campaign that has ended or for unchanged rules; Invalid for a changed share of controls, since its items already
    exist, and for controls that would no longer be judged blind.
    """
    _require_blind_controls(rules)
    campaign = _locked(session, campaign_id)
    if campaign.state == CampaignState.ENDED:
        raise Conflict("This campaign has ended. Its rules are what its verdicts were given under.")
    before = campaign_row(session, campaign_id=campaign_id).rules
    if rules == before:
        raise Conflict("These are the rules that are in force already.")
    if rules.control_share != before.control_share:
        raise Invalid("The share of controls is fixed when a campaign is created.")
    campaign.version += 1
    _insert_version(session, campaign_id, campaign.version, rules, account_id)
    changed = {key: value for key, value in _as_json(rules).items() if value != _as_json(before)[key]}
    detail = {
        "campaign_id": campaign_id,
        "version": campaign.version,
        "before": {key: _as_json(before)[key] for key in changed},
        "after": changed,
    }
    _record(session, EventKind.CAMPAIGN_CHANGED, campaign, account_id, detail)
    return campaign.version


def end_campaign(session: Session, *, campaign_id: int, account_id: int) -> None:
    """End a campaign: no item may be taken any more, and controls are shown as controls.

    Raises NotFound, Conflict for a campaign that has ended, and for the standing campaign, which never ends.
    """
    campaign = _locked(session, campaign_id)
    if campaign.is_standing:
        raise Conflict("The standing campaign never ends: it holds what is flagged.")
    if campaign.state == CampaignState.ENDED:
        raise Conflict("This campaign has ended already.")
    before = campaign.state
    campaign.state = CampaignState.ENDED
    campaign.ended_at = func.now()
    detail = {"campaign_id": campaign_id, "before": before, "after": CampaignState.ENDED}
    _record(session, EventKind.CAMPAIGN_ENDED, campaign, account_id, detail)


def open_prepared(session: Session, *, campaign_id: int, n_controls: Mapping[str, int]) -> None:
    """Open a campaign once its controls were made. Does nothing if the campaign is not being prepared."""
    campaign = _locked(session, campaign_id)
    if campaign.state != CampaignState.PREPARING:
        return
    campaign.state = CampaignState.OPEN
    detail = {
        "campaign_id": campaign_id,
        "n_controls": dict(n_controls),
        "before": CampaignState.PREPARING,
        "after": CampaignState.OPEN,
    }
    _record(session, EventKind.CAMPAIGN_OPENED, campaign, None, detail)


def campaign_head(session: Session, *, campaign_id: int) -> CampaignHead:
    """One campaign without counts, as each verdict needs it. One query. Raises NotFound."""
    found = _campaigns().where(Campaign.id == campaign_id)
    row = session.execute(found).first() if 0 < campaign_id <= BIGGEST_ID else None
    if row is None:
        raise NotFound("There is no such campaign.")
    return CampaignHead(**_of_head(row))


def campaign_row(session: Session, *, campaign_id: int) -> CampaignRow:
    """One campaign. Raises NotFound."""
    rows = campaign_rows(session, campaign_ids=[campaign_id]) if 0 < campaign_id <= BIGGEST_ID else ()
    if not rows:
        raise NotFound("There is no such campaign.")
    return rows[0]


def open_campaigns(session: Session, *, limit: int) -> tuple[CampaignRow, ...]:
    """The newest open campaigns, without the standing one. One query."""
    found = _campaigns().where(Campaign.state == CampaignState.OPEN, ~Campaign.is_standing)
    return _with_counts(session, found.order_by(Campaign.id.desc()).limit(limit))


def campaign_rows(session: Session, *, campaign_ids: Sequence[int] | None = None) -> tuple[CampaignRow, ...]:
    """All campaigns, or those with these ids: the standing one first, then the newest. One query."""
    found = _campaigns().order_by(Campaign.is_standing.desc(), Campaign.id.desc())
    return _with_counts(session, found if campaign_ids is None else found.where(Campaign.id.in_(campaign_ids)))


def _with_counts(session: Session, campaigns: Select[*tuple[Any, ...]]) -> tuple[CampaignRow, ...]:
    """The campaigns with the number of their items by state."""
    counts = [func.count().filter(ReviewItem.state == state).label(f"n_{state}") for state in ItemState]
    counted = select(*counts).where(ReviewItem.campaign_id == Campaign.id).correlate(Campaign).lateral("counted")
    rows = session.execute(campaigns.add_columns(*counted.c).join(counted, true()))
    return tuple(
        CampaignRow(**_of_head(row), counts=ItemCounts(**{each: getattr(row, f"n_{each}") for each in ItemState}))
        for row in rows
    )


def standing_campaign_id(session: Session) -> int:
    """The campaign whose items are flagged explanations. It exists in every database from the start."""
    return session.scalars(select(Campaign.id).where(Campaign.is_standing)).one()


def _campaigns() -> Select[*tuple[Any, ...]]:
    columns = (Campaign, CampaignVersion, Subject.slug, Subject.name.label("subject"), Account.name.label("by"))
    return (
        select(*columns)
        .join(
            CampaignVersion,
            and_(CampaignVersion.campaign_id == Campaign.id, CampaignVersion.number == Campaign.version),
        )
        .outerjoin(Subject, Subject.id == Campaign.subject_id)
        .outerjoin(Account, Account.id == Campaign.account_id)
    )


def _of_head(row: Any) -> dict[str, Any]:
    campaign: Campaign = row.Campaign
    return {
        "id": campaign.id,
        "name": campaign.name,
        "subject_id": campaign.subject_id,
        "slug": row.slug,
        "subject": row.subject,
        "is_standing": campaign.is_standing,
        "state": CampaignState(campaign.state),
        "version": campaign.version,
        "seed": campaign.seed,
        "by": row.by,
        "created_at": campaign.created_at,
        "ended_at": campaign.ended_at,
        "rules": rules_of(row.CampaignVersion),
    }


def rules_of(version: CampaignVersion) -> CampaignRules:
    """The rules of a stored version."""
    return CampaignRules(
        question=version.question,
        instructions=version.instructions,
        verdicts_per_item=version.verdicts_per_item,
        participants=Participants(version.participants),
        account_ids=tuple(version.account_ids),
        is_blind=version.is_blind,
        asks_guess=version.asks_guess,
        control_share=version.control_share,
    )


def _insert_version(
    session: Session, campaign_id: int, number: int, rules: CampaignRules, account_id: int | None
) -> None:
    known = session.scalar(select(func.count()).select_from(Account).where(Account.id.in_(rules.account_ids)))
    if known != len(set(rules.account_ids)):
        raise NotFound("One of the named accounts does not exist.")
    session.add(
        CampaignVersion(
            campaign_id=campaign_id,
            number=number,
            question=rules.question,
            instructions=rules.instructions,
            instructions_digest=rules.instructions_digest,
            verdicts_per_item=rules.verdicts_per_item,
            participants=rules.participants,
            account_ids=list(rules.account_ids),
            is_blind=rules.is_blind,
            asks_guess=rules.asks_guess,
            control_share=rules.control_share,
            account_id=account_id,
        )
    )


def _require_blind_controls(rules: CampaignRules) -> None:
    if rules.control_share and not rules.is_blind:
        raise Invalid(
            "Reviewers who know which items are controls say nothing by them: keep it blind, or set 0 controls."
        )


def _as_json(rules: CampaignRules) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(rules).items()}


def _locked(session: Session, campaign_id: int) -> Campaign:
    found = select(Campaign).where(Campaign.id == campaign_id).with_for_update()
    campaign = (
        session.scalar(found.execution_options(populate_existing=True)) if 0 < campaign_id <= BIGGEST_ID else None
    )
    if campaign is None:
        raise NotFound("There is no such campaign.")
    return campaign


def _record(
    session: Session, kind: EventKind, campaign: Campaign, account_id: int | None, detail: dict[str, Any]
) -> None:
    record_event(session, kind=kind, account_id=account_id, subject_id=campaign.subject_id, detail=detail)
