"""What an audit leaves behind, made as pages make it: flags, a judged campaign, a call, an import, an inspection."""

from collections.abc import Mapping, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db import transaction
from app.domain.flags import FlagReason
from app.domain.inspections import SubjectRequest
from app.domain.language_models import Outcome, ProviderKind
from app.domain.review import ItemSource, VerdictKind
from app.domain.roles import Role
from app.models import Neuron, Run, Subject
from app.queries.language_models.calls import Call, store_call
from app.queries.language_models.providers import ProviderSettings, add_provider
from app.queries.neurons.selection import NeuronSelection
from app.queries.people.accounts import ensure_account
from app.queries.review.campaigns import CampaignRules, end_campaign
from app.queries.review.flags import open_flag, resolve_flag
from app.queries.review.items import ItemsWanted, SampleWanted, add_items, create_campaign, current_explanations
from app.queries.review.judging import Judgement, give_verdict
from app.queries.review.taking import Reviewer, take_next
from app.transfer.importing import ImportRequest
from app.transfer.sources import Location
from app.transfer.tasks import enqueue_import
from app.work.collections import enqueue_inspection
from app.work.trials import enqueue_firing, enqueue_trial
from tests.browser.site import SLUG, Site, has_ended, wait_until
from tests.openai_files import write_data_set
from tests.worker.models import save_model

QUESTION = "Does the explanation say what this neuron fires on?"
UNDISTURBED = range(18, 24)
"""Neurons of layer 0 that no other test flags."""
VERDICTS = {"h": VerdictKind.HOLDS, "b": VerdictKind.TOO_BROAD, "w": VerdictKind.WRONG}


def audit_some(site: Site) -> None:
    """Flag, judge and call, and let the worker import, inspect and try."""
    source, model = write_data_set(site.folder / "published"), save_model(site.folder / "subjects" / "inspected")
    with transaction(site.sessions) as session:
        alice = ensure_account(session, name="alice", role=Role.ADMINISTRATOR).id
        subject_id = session.scalars(select(Subject.id).where(Subject.slug == SLUG)).one()
        chosen = select(Neuron.id).where(Neuron.subject_id == subject_id, Neuron.layer == 0)
        neuron_ids = session.scalars(chosen.where(Neuron.index.in_(UNDISTURBED)).order_by(Neuron.index)).all()
        texts = current_explanations(session, neurons=NeuronSelection.of(subject_id, neuron_ids))
        flag_some(session, texts)
        judge_some(session, subject_id, neuron_ids, alice)
        end_one(session, subject_id, neuron_ids[2:], alice)
        call_a_language_model(session)
        published = ImportRequest("published", name="Published records")
        inspected = SubjectRequest("inspected", str(model), "demo:stdlib", max_tokens=1_000)
        task_ids = [
            enqueue_import(session, location=Location(str(source)), request=published, account_id=alice).id,
            enqueue_inspection(session, request=inspected, account_id=alice).id,
            enqueue_trial(
                session, neuron_id=neuron_ids[0], explanation_id=texts[0], account_id=alice, words="import os\n"
            ),
            enqueue_firing(session, subject_id=subject_id, slug=SLUG, account_id=alice, words="raise ValueError(x)"),
        ]
    wait_until(lambda: all(has_ended(site, task_id) for task_id in task_ids))


def flag_some(session: Session, explanation_ids: Sequence[int]) -> None:
    """One flag that is open and one that was upheld."""
    charlie = ensure_account(session, name="charlie", role=Role.VIEWER).id
    judge = Reviewer(ensure_account(session, name="nora", role=Role.REVIEWER).id)
    first, second = (
        open_flag(session, explanation_id=explanation_id, account_id=charlie, reason=reason, note=note)
        for explanation_id, reason, note in zip(
            explanation_ids,
            (FlagReason.TOO_BROAD, FlagReason.WRONG),
            ("It also fires on names of modules.", ""),
            strict=False,
        )
    )
    assert first < second
    resolve_flag(session, flag_id=second, reviewer=judge, kind="wrong", note="None of the excerpts has it.")


def judge_some(session: Session, subject_id: int, neuron_ids: Sequence[int], account_id: int) -> None:
    """A campaign of which two people have judged some items, not always alike; the last neuron is added to it later."""
    campaign_id = sampled_campaign(session, "Spot check", subject_id, neuron_ids[:-1], account_id)
    added = NeuronSelection.of(subject_id, neuron_ids[-1:])
    wanted = ItemsWanted(ItemSource.FILTER, current_explanations(session, neurons=added))
    add_items(session, campaign_id=campaign_id, wanted=wanted, account_id=account_id)
    judge_as(session, campaign_id, {"nora": "hhwh", "emil": "hbw"})


def end_one(session: Session, subject_id: int, neuron_ids: Sequence[int], account_id: int) -> None:
    """A campaign that was judged and has ended, so that everybody may read its figures and report."""
    campaign_id = sampled_campaign(session, "First quarter", subject_id, neuron_ids, account_id)
    judge_as(session, campaign_id, {"nora": "hhb", "emil": "hbb"})
    end_campaign(session, campaign_id=campaign_id, account_id=account_id)


def sampled_campaign(session: Session, name: str, subject_id: int, neuron_ids: Sequence[int], account_id: int) -> int:
    """A campaign about a sample of these neurons' explanations, all of them; its id."""
    return create_campaign(
        session,
        name=name,
        subject_id=subject_id,
        rules=CampaignRules(QUESTION, "Judge by the excerpts."),
        wanted=SampleWanted(NeuronSelection.of(subject_id, neuron_ids), len(neuron_ids)),
        account_id=account_id,
        seed=2,
    )


def judge_as(session: Session, campaign_id: int, kinds_of: Mapping[str, str]) -> None:
    """Verdicts of reviewers, a letter each, on the items that they are given."""
    for name, kinds in kinds_of.items():
        reviewer = Reviewer(ensure_account(session, name=name, role=Role.REVIEWER).id)
        for letter in kinds:
            slot = take_next(session, campaign_id=campaign_id, reviewer=reviewer)
            assert slot is not None
            give_verdict(
                session,
                slot_id=slot.id,
                lease_token=slot.lease_token,
                reviewer=reviewer,
                judgement=Judgement(VERDICTS[letter]),
            )


def call_a_language_model(session: Session) -> None:
    """A provider, and a call of the first run that it replied to."""
    house = ProviderSettings(ProviderKind.OPENAI_COMPATIBLE, "llama-3.1-8b", "http://127.0.0.1:9/v1")
    add_provider(session, name="house", settings=house)
    request = {"messages": [{"role": "user", "content": "What does this neuron fire on?"}]}
    text = "the token import at the start of a line"
    reply = {"choices": [{"message": {"content": text}}]}
    call = Call(
        step="explain",
        request_digest="0" * 16,
        provider="house",
        request=request,
        reply=reply,
        returned_model="llama-3.1-8b",
        parser_version="1",
        outcome=Outcome.OK,
        error=None,
        attempt=1,
        tokens=(412, 0, 12),
        is_estimated=False,
        price=0.0002,
        latency_seconds=0.5,
    )
    store_call(session, run_id=session.scalars(select(Run.id).order_by(Run.id).limit(1)).one(), call=call)
