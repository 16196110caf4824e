"""The verdicts of a campaign: agreement between reviewers, reviewers against controls, throughput."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import Float, func, select
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.orm import Session

from app.domain.audit.correction import Controls
from app.domain.review import ControlKind, ItemSource, ReviewerKind, SlotKind, Verdict, VerdictKind
from app.models import Account, ReviewControl, ReviewItem, ReviewSlot, ReviewVerdict
from app.queries.audit.shapes import ControlFigures, ReviewerFigures
from app.queries.review.live import stands, truth_of


def required_verdicts(session: Session, campaign_id: int) -> list[list[str]]:
    """The required verdicts on each item, controls excluded."""
    rows = session.scalars(
        select(func.array_agg(aggregate_order_by(ReviewVerdict.kind, ReviewVerdict.kind)))
        .join(ReviewSlot, ReviewSlot.id == ReviewVerdict.slot_id)
        .join(ReviewItem, ReviewItem.id == ReviewVerdict.item_id)
        .where(
            ReviewVerdict.campaign_id == campaign_id,
            ReviewSlot.kind == SlotKind.REVIEW,
            ReviewItem.source != ItemSource.CONTROL,
            stands(),
        )
        .group_by(ReviewVerdict.item_id)
    )
    return [[VerdictKind(str(kind)).verdict for kind in kinds] for kinds in rows]


def control_verdicts(session: Session, campaign_id: int) -> dict[int, list[tuple[ControlKind, Verdict, Verdict]]]:
    """Verdicts on controls by account: the kind of control, its truth, the verdict. One query."""
    rows = session.execute(
        select(
            ReviewVerdict.account_id, ReviewVerdict.kind.label("given"), ReviewControl.kind, truth_of().label("truth")
        )
        .join(ReviewControl, ReviewControl.item_id == ReviewVerdict.item_id)
        .where(ReviewVerdict.campaign_id == campaign_id, stands())
        .order_by(ReviewVerdict.id)
    )
    found: dict[int, list[tuple[ControlKind, Verdict, Verdict]]] = {}
    for row in rows:
        given = VerdictKind(str(row.given)).verdict
        found.setdefault(row.account_id, []).append((ControlKind(row.kind), Verdict(row.truth), given))
    return found


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


def reviewer_figures(
    session: Session,
    campaign_id: int,
    on_controls: Mapping[int, Sequence[tuple[ControlKind, Verdict, Verdict]]] | None,
) -> list[tuple[ReviewerFigures, float]]:
    """Figures of every reviewer, the most active first, with the seconds for which they held items."""
    median = func.percentile_cont(0.5).within_group(ReviewVerdict.seconds)
    rows = session.execute(
        select(
            Account.id,
            Account.name,
            Account.kind,
            func.array_agg(ReviewVerdict.kind).label("kinds"),
            median.label("median"),
            func.coalesce(func.sum(ReviewVerdict.seconds), 0).cast(Float).label("seconds"),
        )
        .join(Account, Account.id == ReviewVerdict.account_id)
        .where(ReviewVerdict.campaign_id == campaign_id, stands())
        .group_by(Account.id)
        .order_by(func.count().desc(), Account.id)
    )
    found = []
    for row in rows:
        counts = Counter(VerdictKind(kind).verdict for kind in row.kinds)
        is_simulated = row.kind == ReviewerKind.SIMULATED
        figures = ReviewerFigures(
            account_id=row.id,
            name=row.name,
            kind=ReviewerKind(row.kind),
            n_verdicts=len(row.kinds),
            per_hour=None if is_simulated else per_hour(len(row.kinds), row.seconds),
            median_seconds=None if is_simulated else row.median,
            outcomes={verdict: counts[verdict] for verdict in Verdict},
            controls=None if on_controls is None else control_counts(on_controls.get(row.id, ()))[1],
        )
        found.append((figures, row.seconds))
    return found


def per_hour(n: int, seconds: float) -> float | None:
    """Verdicts per hour of holding items; None if that time is not known."""
    return 3600 * n / seconds if seconds > 0 else None
