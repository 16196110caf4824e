"""A campaign's results so far: the share that holds, agreement, controls, and which scores predict verdicts.

Only sampled items enter an estimate. An item counts once it is settled; "cannot tell" is counted apart.
"""

from collections import Counter

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.domain.audit.agreement import agreement, count_table
from app.domain.review import ControlKind, ItemSource, ItemState, ReviewerKind, Verdict
from app.domain.sampling import Stratified
from app.models import Explanation, Neuron, ReviewControl, ReviewItem
from app.queries.audit.given import control_counts, given_verdicts, per_hour, reviewer_figures
from app.queries.audit.sampled import sample_figures, scorer_figures
from app.queries.audit.shapes import SEED, CampaignFigures, ItemFacts
from app.queries.review.live import truth_of


def campaign_figures(session: Session, *, campaign_id: int, width: float, shows_controls: bool) -> CampaignFigures:
    """All figures of a campaign. Four queries. ``width`` is the wanted width of the share's interval, 0 to 1.

    Without ``shows_controls`` the figures on controls and the share corrected by them are left out: a reviewer who
    watches them change after each verdict would learn which items are controls.
    """
    items = _items(session, campaign_id)
    given = given_verdicts(session, campaign_id=campaign_id)
    settled = [item for item in items if item.control is not None and item.outcome is not None]
    controls = control_counts((i.control, i.truth, i.outcome) for i in settled) if shows_controls else None
    reviewers = reviewer_figures(given, shows_controls=shows_controls)
    n_verdicts = sum(reviewer.n_verdicts for reviewer, _ in reviewers)
    people = [(each.n_verdicts, seconds) for each, seconds in reviewers if each.kind is ReviewerKind.PERSON]
    states = Counter(item.state for item in items)
    return CampaignFigures(
        n_items=len(items),
        n_settled=states[ItemState.SETTLED],
        n_disputed=states[ItemState.DISPUTED],
        n_open=states[ItemState.OPEN],
        n_verdicts=n_verdicts,
        per_hour=per_hour(sum(n for n, _ in people), sum(seconds for _, seconds in people)),
        sample=sample_figures(session, campaign_id, items, controls[0] if controls else None, width),
        agreement=agreement(count_table(given.kinds_per_item)[0], seed=SEED),
        controls=controls[1] if controls is not None else None,
        reviewers=tuple(reviewer for reviewer, _ in reviewers),
        scorers=scorer_figures(
            session, [item for item in items if item.source is ItemSource.SAMPLE and item.is_judged]
        ),
    )


def _items(session: Session, campaign_id: int) -> list[ItemFacts]:
    rows = session.execute(
        select(
            ReviewItem.draw_id,
            ReviewItem.explanation_id,
            ReviewItem.source,
            ReviewItem.stratum,
            ReviewItem.state,
            ReviewItem.outcome,
            Neuron.layer,
            ReviewItem.headline,
            ReviewItem.score,
            Neuron.firing_rate,
            ReviewControl.kind,
            truth_of().label("truth"),
        )
        .join(Explanation, Explanation.id == ReviewItem.explanation_id)
        .join(Neuron, Neuron.id == Explanation.neuron_id)
        .outerjoin(ReviewControl, ReviewControl.item_id == ReviewItem.id)
        .where(ReviewItem.campaign_id == campaign_id, ReviewItem.state != ItemState.WITHDRAWN)
        .order_by(ReviewItem.position, ReviewItem.id)
    )
    return [
        ItemFacts(
            row.draw_id,
            row.explanation_id,
            ItemSource(row.source),
            row.stratum,
            ItemState(row.state),
            None if row.outcome is None else Verdict(row.outcome),
            Stratified(row.layer, row.headline, row.score, row.firing_rate),
            None if row.kind is None else ControlKind(row.kind),
            None if row.truth is None else Verdict(row.truth),
        )
        for row in rows
    ]
