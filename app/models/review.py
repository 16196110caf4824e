"""Campaigns, their items and slots, verdicts. Versions, draws, controls and verdicts are never updated or deleted."""

import uuid
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    SmallInteger,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.domain.review import (
    FEWEST_VERDICTS,
    HIGHEST_CONTROL_SHARE,
    MOST_VERDICTS,
    UNSETTLED,
    WITH_PLANTED_TEXT,
    CampaignState,
    Confidence,
    ControlKind,
    ItemSource,
    ItemState,
    Participants,
    SlotKind,
    SlotState,
    Stratifier,
    Verdict,
    VerdictKind,
)
from app.models.base import Base, BigId, CreatedAt, Moment, is_one_of, one_of

IS_STANDING = text("is_standing")


class Campaign(Base):
    """A question asked about many explanations. Its rules are those of its newest version."""

    __tablename__ = "campaign"
    __table_args__ = (
        one_of("state", CampaignState),
        CheckConstraint(f"(state = '{CampaignState.ENDED}') = (ended_at IS NOT NULL)", name="ended"),
        CheckConstraint("is_standing OR subject_id IS NOT NULL", name="subject"),
        Index("uq_campaign_standing", "is_standing", unique=True, postgresql_where=IS_STANDING),
        Index("ix_campaign_subject_id", "subject_id"),
    )

    id: Mapped[BigId]
    name: Mapped[str]
    subject_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("subject.id"))
    """NULL for the standing campaign, whose items are flagged explanations of all subjects."""
    is_standing: Mapped[bool] = mapped_column(server_default=text("false"))
    state: Mapped[str] = mapped_column(server_default=CampaignState.OPEN)
    version: Mapped[int] = mapped_column(server_default="1")
    """The number of the current version."""
    seed: Mapped[int] = mapped_column(BigInteger)
    """The seed of the order of items and of the evidence shown with each."""
    account_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("account.id"))
    """The account that created the campaign."""
    created_at: Mapped[CreatedAt]
    ended_at: Mapped[Moment | None]


class CampaignVersion(Base):
    """The rules of a campaign from some time on. Changed rules are a newer version."""

    __tablename__ = "campaign_version"
    __table_args__ = (
        one_of("participants", Participants),
        CheckConstraint(
            f"verdicts_per_item BETWEEN {FEWEST_VERDICTS} AND {MOST_VERDICTS}",
            name="verdicts_per_item",
        ),
        CheckConstraint(f"control_share BETWEEN 0 AND {HIGHEST_CONTROL_SHARE}", name="control_share"),
        CheckConstraint(f"(participants = '{Participants.NAMED}') = (cardinality(account_ids) > 0)", name="named"),
    )

    campaign_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("campaign.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    question: Mapped[str]
    instructions: Mapped[str]
    instructions_digest: Mapped[str]
    """SHA-256 of the instructions (UTF-8), in hexadecimal."""
    verdicts_per_item: Mapped[int] = mapped_column(SmallInteger)
    participants: Mapped[str]
    account_ids: Mapped[list[int]] = mapped_column(ARRAY(BigInteger), server_default=text("'{}'::bigint[]"))
    """The accounts that may take part, if participants are named."""
    is_blind: Mapped[bool]
    """Whether author, score, doubts, flags and others' verdicts are hidden until the reviewer has given a verdict."""
    asks_guess: Mapped[bool]
    """Whether the reviewer sees the evidence before the text and may write a guess."""
    control_share: Mapped[float]
    """Share of items that are controls."""
    account_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("account.id"))
    created_at: Mapped[CreatedAt]


class CampaignDraw(Base):
    """Items that were added together, with everything needed to draw the same ones again.

    ``frame`` is the population from which a sample was drawn: explanation ids in ascending order. ``frame_strata`` has,
    for each of these, the index of its stratum in ``strata``. Both are empty if nothing was drawn.
    """

    __tablename__ = "campaign_draw"
    __table_args__ = (
        one_of("source", ItemSource),
        one_of("stratified_by", Stratifier),
        CheckConstraint("cardinality(frame) = cardinality(frame_strata)", name="frame"),
        CheckConstraint(f"(source = '{ItemSource.SAMPLE}') = (cardinality(frame) > 0)", name="sample_has_frame"),
        Index("ix_campaign_draw_campaign_id", "campaign_id"),
    )

    id: Mapped[BigId]
    campaign_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("campaign.id"))
    source: Mapped[str]
    stratified_by: Mapped[str | None]
    """NULL for a simple sample, and for items that were not sampled."""
    seed: Mapped[int] = mapped_column(BigInteger)
    parameters: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'::jsonb"))
    """The request: the filter, the doubts, the number of items."""
    frame: Mapped[list[int]] = mapped_column(ARRAY(BigInteger), server_default=text("'{}'::bigint[]"))
    frame_strata: Mapped[list[int]] = mapped_column(ARRAY(SmallInteger), server_default=text("'{}'::smallint[]"))
    strata: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, server_default=text("'[]'::jsonb"))
    """``label``, ``population`` and ``n`` (drawn) of each stratum; one stratum for a simple sample."""
    n_items: Mapped[int]
    account_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("account.id"))
    created_at: Mapped[CreatedAt]


class ReviewItem(Base):
    """One explanation version in a campaign. A control may show another text: see ``ReviewControl``."""

    __tablename__ = "review_item"
    __table_args__ = (
        one_of("source", ItemSource),
        one_of("state", ItemState),
        one_of("outcome", Verdict),
        CheckConstraint(f"(state = '{ItemState.SETTLED}') = (outcome IS NOT NULL)", name="settled_with_outcome"),
        CheckConstraint("(outcome IS NULL) = (settled_at IS NULL)", name="settled_at"),
        CheckConstraint(f"(source = '{ItemSource.SAMPLE}') = (stratum IS NOT NULL)", name="sample_has_stratum"),
        Index(
            "uq_review_item_unsettled",
            "campaign_id",
            "explanation_id",
            unique=True,
            postgresql_where=text(f"source <> '{ItemSource.CONTROL}' AND {is_one_of('state', UNSETTLED)}"),
        ),
        Index("ix_review_item_campaign_id", "campaign_id", "position"),
        Index("ix_review_item_explanation_id", "explanation_id"),
        Index(
            "ix_review_item_outcome",
            "outcome",
            "explanation_id",
            postgresql_where=text(f"outcome IS NOT NULL AND source <> '{ItemSource.CONTROL}'"),
        ),
        Index("ix_review_item_draw_id", "draw_id"),
    )

    id: Mapped[BigId]
    campaign_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("campaign.id"))
    draw_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("campaign_draw.id"))
    explanation_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("explanation.id"))
    source: Mapped[str]
    stratum: Mapped[int | None] = mapped_column(SmallInteger)
    """Index in the draw's ``strata``."""
    position: Mapped[int]
    """Items are taken in ascending order of position, which is derived from the campaign's seed."""
    headline: Mapped[float | None]
    """The neuron's whole-corpus score when the item was added."""
    score: Mapped[float | None]
    """The explanation's 2023 score when the item was added."""
    state: Mapped[str] = mapped_column(server_default=ItemState.OPEN)
    outcome: Mapped[str | None]
    settled_at: Mapped[Moment | None]
    created_at: Mapped[CreatedAt]


class ReviewControl(Base):
    """Marks an item as a control, with its true verdict. Hidden until the campaign has ended."""

    __tablename__ = "review_control"
    __table_args__ = (
        one_of("kind", ControlKind),
        one_of("truth", Verdict),
        CheckConstraint(f"(kind = '{ControlKind.REPEAT}') = (repeats_item_id IS NOT NULL)", name="repeat"),
        CheckConstraint(f"({is_one_of('kind', WITH_PLANTED_TEXT)}) = (planted_text IS NOT NULL)", name="planted_text"),
    )

    item_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("review_item.id"), primary_key=True)
    kind: Mapped[str]
    truth: Mapped[str]
    planted_text: Mapped[str | None]
    """The text shown instead of the explanation; NULL if the explanation itself is shown."""
    repeats_item_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("review_item.id"))
    detail: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'::jsonb"))
    """How the control was made, and the figures that prove its truth."""
    created_at: Mapped[CreatedAt]


class ReviewSlot(Base):
    """One required judgement of an item: free, held under a lease, or judged. ``lease_token`` is the fence."""

    __tablename__ = "review_slot"
    __table_args__ = (
        one_of("kind", SlotKind),
        one_of("state", SlotState),
        UniqueConstraint("item_id", "number"),
        UniqueConstraint("item_id", "account_id"),  # nobody judges an item twice
        CheckConstraint(f"(state = '{SlotState.FREE}') = (account_id IS NULL)", name="account"),
        CheckConstraint(f"(state = '{SlotState.HELD}') = (lease_token IS NOT NULL)", name="lease_token"),
        CheckConstraint("(lease_token IS NULL) = (lease_until IS NULL)", name="lease_until"),
        Index(
            "ix_review_slot_waiting",
            "campaign_id",
            "position",
            "number",
            postgresql_where=text(f"state <> '{SlotState.JUDGED}'"),
        ),
        Index("ix_review_slot_account_id", "account_id", "campaign_id"),
    )

    id: Mapped[BigId]
    item_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("review_item.id"))
    campaign_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("campaign.id"))
    position: Mapped[int]
    """The item's ``position``."""
    number: Mapped[int] = mapped_column(SmallInteger)
    """The number of the slot within its item, from 1."""
    kind: Mapped[str]
    state: Mapped[str] = mapped_column(server_default=SlotState.FREE)
    account_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("account.id"))
    lease_token: Mapped[uuid.UUID | None]
    lease_until: Mapped[Moment | None]
    taken_at: Mapped[Moment | None]
    guess: Mapped[str | None]
    """The reviewer's guess from before the text was shown; NULL until it was shown."""


class ReviewSkip(Base):
    """Records that a reviewer has skipped an item. It is offered to that person again when nothing else is left."""

    __tablename__ = "review_skip"

    item_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("review_item.id"), primary_key=True)
    account_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("account.id"), primary_key=True)
    skipped_at: Mapped[CreatedAt]


class ReviewVerdict(Base):
    """One reviewer's judgement, or the undoing of one, which has ``undoes_id`` and no ``kind``.

    A verdict is valid unless another row undoes it.
    """

    __tablename__ = "verdict"
    __table_args__ = (
        one_of("kind", VerdictKind),
        one_of("confidence", Confidence),
        CheckConstraint("(kind IS NULL) = (undoes_id IS NOT NULL)", name="kind_or_undoes"),
        CheckConstraint("(kind IS NULL) = (confidence IS NULL)", name="kind_with_confidence"),
        ForeignKeyConstraint(["campaign_id", "version"], ["campaign_version.campaign_id", "campaign_version.number"]),
        UniqueConstraint("undoes_id"),
        Index("ix_verdict_item_id", "item_id", "id"),
        Index("ix_verdict_account_id", "account_id", "campaign_id", "id"),
        Index("ix_verdict_campaign_id", "campaign_id", "id"),
    )

    id: Mapped[BigId]
    campaign_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("campaign.id"))
    version: Mapped[int]
    """The campaign's version when the verdict was given."""
    item_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("review_item.id"))
    slot_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("review_slot.id"))
    account_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("account.id"))
    kind: Mapped[str | None]
    confidence: Mapped[str | None]
    note: Mapped[str] = mapped_column(server_default="")
    guess: Mapped[str] = mapped_column(server_default="")
    """The reviewer's guess from before the text was shown."""
    seconds: Mapped[float | None]
    """Seconds from taking the item to the verdict; NULL if not known."""
    undoes_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("verdict.id"))
    detail: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'::jsonb"))
    """For a language model's verdict: provider, model, the prompt's digest, the raw reply."""
    created_at: Mapped[CreatedAt]


class RejectedExplanation(Base):
    """An explanation that reviewers have rejected, so that it is no longer shown first. Derived from outcomes.

    ``item_id`` is the item whose outcome rejects it, by an upheld flag or in a campaign.
    """

    __tablename__ = "rejected_explanation"

    explanation_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("explanation.id"), primary_key=True)
    item_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("review_item.id"))
