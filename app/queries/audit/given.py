"""The verdicts of a campaign: agreement between reviewers, reviewers against controls, throughput."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import BigInteger, Float, bindparam, func, select
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.orm import Session

from app.domain.audit.correction import Controls
from app.domain.review import ControlKind, ItemSource, ReviewerKind, SlotKind, Verdict, VerdictKind
from app.models import Account, ReviewControl, ReviewItem, ReviewSlot, ReviewVerdict
from app.queries.audit.shapes import ControlFigures, ReviewerFigures
from app.queries.common.prepared import PreparedSelect, one_statement
from app.queries.review.live import stands, truth_of


@dataclass(frozen=True, slots=True)
class _OnItem:
    kinds: list[str]


@dataclass(frozen=True, slots=True)
class _OnControl:
    account_id: int
    given: VerdictKind
    kind: ControlKind
    truth: Verdict


@dataclass(frozen=True, slots=True)
class _ByReviewer:
    id: int
    name: str
    kind: ReviewerKind
    kinds: list[str]
    median: float | None
    seconds: float


_CAMPAIGN = ReviewVerdict.campaign_id == bindparam("campaign_id", type_=BigInteger)
_REQUIRED = PreparedSelect(
    _OnItem,
    select(func.array_agg(aggregate_order_by(ReviewVerdict.kind, ReviewVerdict.kind)).label("kinds"))
    .join(ReviewSlot, ReviewSlot.id == ReviewVerdict.slot_id)
    .join(ReviewItem, ReviewItem.id == ReviewVerdict.item_id)
    .where(_CAMPAIGN, ReviewSlot.kind == SlotKind.REVIEW, ReviewItem.source != ItemSource.CONTROL, stands())
    .group_by(ReviewVerdict.item_id),
)
_ON_CONTROLS = PreparedSelect(
    _OnControl,
    select(ReviewVerdict.account_id, ReviewVerdict.kind.label("given"), ReviewControl.kind, truth_of().label("truth"))
    .join(ReviewControl, ReviewControl.item_id == ReviewVerdict.item_id)
    .where(_CAMPAIGN, stands())
    .order_by(ReviewVerdict.id),
)
_BY_REVIEWER = PreparedSelect(
    _ByReviewer,
    select(
        Account.id,
        Account.name,
        Account.kind,
        func.array_agg(ReviewVerdict.kind).label("kinds"),
        func.percentile_cont(0.5).within_group(ReviewVerdict.seconds).label("median"),
        func.coalesce(func.sum(ReviewVerdict.seconds), 0).cast(Float).label("seconds"),
    )
    .join(Account, Account.id == ReviewVerdict.account_id)
    .where(_CAMPAIGN, stands())
    .group_by(Account.id)
    .order_by(func.count().desc(), Account.id),
)


@dataclass(frozen=True, slots=True)
class GivenVerdicts:
    """The verdicts of a campaign that were not undone, by item, on controls, and by reviewer."""

    required: list[_OnItem]
    on_controls: list[_OnControl]
    by_reviewer: list[_ByReviewer]

    @property
    def kinds_per_item(self) -> list[list[str]]:
        """The required verdicts on each item, controls excluded."""
        return [[VerdictKind(kind).verdict for kind in item.kinds] for item in self.required]


def given_verdicts(session: Session, *, campaign_id: int) -> GivenVerdicts:
    """The verdicts of a campaign. One query."""
    with one_statement(session) as asked:
        required = asked.send(_REQUIRED.given(campaign_id=campaign_id))
        on_controls = asked.send(_ON_CONTROLS.given(campaign_id=campaign_id))
        by_reviewer = asked.send(_BY_REVIEWER.given(campaign_id=campaign_id))
    return GivenVerdicts(required.rows, on_controls.rows, by_reviewer.rows)


def control_counts(
    judged: Iterable[tuple[ControlKind | None, Verdict | None, Verdict | None]],
) -> tuple[Controls, ControlFigures]:
    """Counts of verdicts on controls, given as (kind, truth, verdict); undecided verdicts are not counted."""
    told = [(kind, truth, given) for kind, truth, given in judged if given is not Verdict.CANNOT_TELL]
    known = [
        (truth is Verdict.HOLDS, given is Verdict.HOLDS) for k, truth, given in told if k is not ControlKind.REPEAT
    ]
    repeats = [truth is given for kind, truth, given in told if kind is ControlKind.REPEAT]
    counts = Controls(
        n_right=sum(truth for truth, _ in known),
        right_held=sum(truth and held for truth, held in known),
        n_wrong=sum(not truth for truth, _ in known),
        wrong_failed=sum(not truth and not held for truth, held in known),
    )
    figures = ControlFigures(
        counts.n_right, counts.n_wrong, counts.sensitivity, counts.specificity, len(repeats), sum(repeats)
    )
    return counts, figures


def reviewer_figures(given: GivenVerdicts, *, shows_controls: bool) -> list[tuple[ReviewerFigures, float]]:
    """Figures of every reviewer, the most active first, with the seconds for which they held items."""
    on_controls: dict[int, list[tuple[ControlKind, Verdict, Verdict]]] = {}
    for row in given.on_controls:
        on_controls.setdefault(row.account_id, []).append((row.kind, row.truth, row.given.verdict))
    found = []
    for each in given.by_reviewer:
        counts = Counter(VerdictKind(kind).verdict for kind in each.kinds)
        is_simulated = each.kind is ReviewerKind.SIMULATED
        figures = ReviewerFigures(
            account_id=each.id,
            name=each.name,
            kind=each.kind,
            n_verdicts=len(each.kinds),
            per_hour=None if is_simulated else per_hour(len(each.kinds), each.seconds),
            median_seconds=None if is_simulated else each.median,
            outcomes={verdict: counts[verdict] for verdict in Verdict},
            controls=control_counts(on_controls.get(each.id, ()))[1] if shows_controls else None,
        )
        found.append((figures, each.seconds))
    return found


def per_hour(n: int, seconds: float) -> float | None:
    """Verdicts per hour of holding items; None if that time is not known."""
    return 3600 * n / seconds if seconds > 0 else None
