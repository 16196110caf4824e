"""The demo's audit: twenty items with controls, three finished, each of the rest waiting for one verdict."""

from collections import Counter

from sqlalchemy import func, select

from app.db import Sessions, transaction
from app.domain.review import ItemSource, ItemState, ReviewerKind, SlotState
from app.models import Account, Campaign, CorpusCheck, Explanation, Neuron, ReviewItem, ReviewSlot, ReviewVerdict
from demo.audit import N_FINISHED, N_SAMPLED, create_demo_campaign, let_simulated_reviewers_begin
from tests.factories import Make
from tests.worker.test_campaign_controls import TEXTS, work

N_ITEMS = 20


def explained_subject(make: Make) -> str:
    """Thirty explained neurons; half of the texts are right almost everywhere."""
    subject = make.subject()
    for i in range(30):
        make.excerpt(subject, [(i * 7 + j * 3) % 12 for j in range(8)])
        neuron = make.neuron(subject, index=i)
        make.collected(neuron, subject)
        explanation_id = make.explained(neuron, TEXTS[i % len(TEXTS)])
        counts = {"n_tokens": 800, "n_firing": 100, "n_claimed": 100, "n_right": 90 if i % 2 else 10}
        make.session.add(
            CorpusCheck(
                explanation_id=explanation_id,
                collection_id=subject.collection_id,
                reading="",
                firing_level=3,
                code_version="test",
                **counts,
            )
        )
    make.session.flush()
    return subject.slug


def prepare(sessions: Sessions, slug: str) -> None:
    with transaction(sessions) as session:
        create_demo_campaign(session, slug=slug, account_id=None)
    with transaction(sessions) as session:
        assert not let_simulated_reviewers_begin(session, slug=slug)  # its controls are still to be made
    work(sessions)
    with transaction(sessions) as session:
        assert let_simulated_reviewers_begin(session, slug=slug)


def test_the_audit_is_ready_for_whoever_visits(sessions: Sessions, make: Make) -> None:
    slug = explained_subject(make)
    prepare(sessions, slug)
    session = make.session
    session.expire_all()
    sources = Counter(session.scalars(select(ReviewItem.source)))
    assert sources == {ItemSource.SAMPLE: N_SAMPLED, ItemSource.CONTROL: N_ITEMS - N_SAMPLED}
    assert {account.kind for account in session.scalars(select(Account))} == {ReviewerKind.SIMULATED}
    waiting = Counter(session.scalars(select(ReviewSlot.item_id).where(ReviewSlot.state == SlotState.FREE)))
    settled = session.scalar(select(func.count()).where(ReviewItem.state == ItemState.SETTLED))
    assert settled == N_FINISHED
    assert len(waiting) == N_ITEMS - N_FINISHED
    assert set(waiting.values()) == {1}


def test_to_prepare_it_again_changes_nothing(sessions: Sessions, make: Make) -> None:
    slug = explained_subject(make)
    prepare(sessions, slug)
    n_verdicts = make.session.scalar(select(func.count()).select_from(ReviewVerdict)) or 0
    assert n_verdicts >= N_ITEMS + N_FINISHED
    with transaction(sessions) as session:
        create_demo_campaign(session, slug=slug, account_id=None)
        assert let_simulated_reviewers_begin(session, slug=slug)
        assert session.scalar(select(func.count()).select_from(Campaign).where(~Campaign.is_standing)) == 1
        assert session.scalar(select(func.count()).select_from(ReviewVerdict)) == n_verdicts


def test_without_explanations_there_is_no_audit(sessions: Sessions, make: Make) -> None:
    subject = make.subject()
    make.neuron(subject)
    make.session.flush()
    with transaction(sessions) as session:
        create_demo_campaign(session, slug=subject.slug, account_id=None)
        assert let_simulated_reviewers_begin(session, slug=subject.slug)
        assert session.scalar(select(func.count()).select_from(Explanation)) == 0
        assert session.scalar(select(func.count()).select_from(Neuron)) == 1
