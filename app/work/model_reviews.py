"""Queueing of a language model's reviews: it takes items of a campaign like a person."""

from sqlalchemy.orm import Session

from app.domain.review import ReviewerKind
from app.domain.work import MODEL_REVIEW
from app.queries.language_models.providers import provider_named
from app.queries.review.campaigns import campaign_row
from app.queries.review.reviewers import reviewer_account
from app.work.tasks import QueuedTask, enqueue_task


def enqueue_model_review(
    session: Session, *, campaign_id: int, provider: str, n_items: int, account_id: int, price_cap: float | None = None
) -> QueuedTask:
    """Let a language model judge up to ``n_items`` of a campaign, for ``price_cap`` at most. Raises NotFound.

    The account pays, and its cap per day applies too.
    """
    campaign, row = campaign_row(session, campaign_id=campaign_id), provider_named(session, name=provider)
    reviewer = reviewer_account(session, name=f"{row.name}: {row.model}"[:64], kind=ReviewerKind.LANGUAGE_MODEL)
    return enqueue_task(
        session,
        kind=MODEL_REVIEW,
        title=f"{campaign.name} by {row.name}",
        account_id=account_id,
        subject_id=campaign.subject_id,
        provider=provider,
        unique_key=f"{MODEL_REVIEW.name}:{campaign_id}:{provider}",
        parameters={
            "campaign_id": campaign_id,
            "provider": provider,
            "reviewer_id": reviewer,
            "n_items": n_items,
            "price_cap": price_cap,
        },
    )
