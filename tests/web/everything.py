"""One of everything that an address can name, and what a person sends to each route that changes something."""

import uuid
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import select

from app.domain.flags import FlagReason
from app.domain.inspections import Inspection, SubjectRequest
from app.domain.language_models import ProviderKind
from app.domain.review import ItemSource, Participants
from app.domain.work import INSPECTION, Lane
from app.models import Neuron, Run, SecondFactor, Subject
from app.queries.explanations.standing import refresh_current
from app.queries.imports.state import begin_import, complete_import
from app.queries.imports.subjects import import_target
from app.queries.language_models.providers import ProviderSettings, add_provider, disable_provider
from app.queries.lists.kept import add_to_list, create_list
from app.queries.lists.searches import save_search
from app.queries.neurons.selection import NeuronSelection
from app.queries.review.campaigns import CampaignRules
from app.queries.review.flags import open_flag
from app.queries.review.items import ItemsWanted, SampleWanted, add_items, create_campaign
from app.work.begin import Taker, begin_task
from app.work.collections import enqueue_inspection
from app.work.enqueue import enqueue_batch
from app.work.lease import finish
from app.work.trials import enqueue_trial
from tests.factories import Make


@dataclass(frozen=True)
class Mutation:
    """One route that changes something, with what a person sends to it."""

    path: str
    event: str | None
    """None for leases, and for what a person has seen: neither changes anything that is known."""
    form: dict[str, str]
    further: tuple[str, ...] = ()
    """Events of what else such a request changes, one each."""


MUTATIONS = (
    Mutation("/{slug}/queue", "batch.queued", {"neuron": "{neuron}", "n_neurons": "1", "method_id": "{method}"}),
    Mutation(
        "/{slug}/bulk/flag",
        "flags.opened",
        {"neuron": "{neuron}", "n_explanations": "1", "reason": "wrong"},
    ),
    Mutation(
        "/{slug}/bulk/campaign",
        "items.added",
        {"neuron": "{neuron}", "n_explanations": "1", "campaign_id": "{other_campaign_id}"},
    ),
    Mutation(
        "/imports",
        "task.queued",
        {"source": "http://127.0.0.1:9/x", "subject": "new", "layers": "0", "indices": "0"},
    ),
    Mutation("/imports/{import_id}/show", "collection.shown", {}),
    Mutation("/exports", "task.queued", {"subject": "{slug}", "format": "jsonl"}),
    Mutation("/subjects/new", "task.queued", {"model": "openai-community/gpt2", "corpus": "demo:stdlib"}),
    Mutation("/subjects/new/{task_id}/collect", "task.queued", {}),
    Mutation("/search/meaning", "task.queued", {"meaning": "animals"}),
    Mutation("/embeddings/{slug}", "task.queued", {}),
    Mutation("/searches", "search.saved", {"name": "n", "address": "/{slug}?layer=1"}),
    Mutation("/searches/{search_id}/delete", "search.deleted", {}),
    Mutation("/{slug}/lists", "list.changed", {"neuron": "{neuron}", "list_id": "{list_id}"}),
    Mutation("/lists/{list_id}/neurons/{neuron_id}", "list.changed", {"act": "note", "note": "n"}),
    Mutation("/lists/{list_id}/name", "list.changed", {"name": "another"}),
    Mutation("/lists/{list_id}/delete", "list.deleted", {}),
    Mutation("/draws/{draw_id}/withdraw", "items.withdrawn", {}),
    Mutation("/{slug}/check", "task.queued", {}),
    Mutation("/{slug}/{layer}/{index}/runs", "batch.queued", {"method_id": "{method}"}),
    Mutation(
        "/{slug}/{layer}/{index}/explanations",
        "explanation.written",
        {"text": "fires on cats", "method_id": "{method}"},
        further=("batch.queued",),  # the run that scores it
    ),
    Mutation("/{slug}/{layer}/{index}/flags", "flag.opened", {"explanation_id": "{explanation}", "reason": "wrong"}),
    Mutation("/{slug}/{layer}/{index}/try", "task.queued", {"text": " import os"}),
    Mutation("/{slug}/{layer}/{index}/try/warm-up", "task.queued", {}),
    Mutation("/{slug}/firing", "task.queued", {"text": " import os"}),
    Mutation("/campaigns", "campaign.created", {"subject": "{slug}", "name": "n", "question": "q", "n": "1"}),
    Mutation("/campaigns/{campaign_id}/rules", "campaign.changed", {"question": "another"}),
    Mutation("/campaigns/{campaign_id}/statements", "report.stated", {"payer": "Nobody"}),
    Mutation("/campaigns/{campaign_id}/end", "campaign.ended", {}),
    Mutation(
        "/campaigns/{campaign_id}/model-review",
        "task.queued",
        {"provider": "house", "n_items": "1"},
        further=("account.added",),  # of the language model, the first time that it judges
    ),
    Mutation("/campaigns/{campaign_id}/next", None, {}),
    Mutation("/items/{item_id}/take", None, {}),
    Mutation("/items/{item_id}/send-back", "item.sent_back", {}),
    Mutation("/review/{slot_id}/guess", None, {"lease_token": "{lease_token}"}),
    Mutation("/review/{slot_id}/renew", None, {"lease_token": "{lease_token}"}),
    Mutation("/review/{slot_id}/skip", None, {"lease_token": "{lease_token}"}),
    Mutation("/review/{slot_id}/verdict", "verdict.given", {"lease_token": "{lease_token}", "kind": "holds"}),
    Mutation("/verdicts/{verdict_id}/undo", "verdict.undone", {}),
    Mutation("/flags/{flag_id}/resolve", "verdict.given", {"verdict": "wrong"}),
    Mutation("/flags/{flag_id}/withdraw", "flag.withdrawn", {}),
    Mutation("/explanations/{explanation_id}/flags", "flag.opened", {"reason": "wrong"}),
    Mutation("/mine/seen", None, {"newest_id": "0"}),
    Mutation("/explanations/{explanation_id}/replay", "batch.queued", {}),
    Mutation("/explanations/{explanation_id}/score", "batch.queued", {"method_id": "{method}"}),
    Mutation("/batches/{batch_id}/cancel", "batch.cancelled", {}),
    Mutation("/runs/{run_id}/cancel", "run.cancelled", {}),
    Mutation("/runs/{run_id}/retry", "run.retried", {}),
    Mutation("/tasks/{task_id}/cancel", "task.cancelled", {}),
    Mutation("/tasks/{task_id}/retry", "task.retried", {}),
    Mutation("/people", "account.added", {"name": "emil", "role": "reviewer"}),
    Mutation("/people/{account_id}/role", "account.role_changed", {"role": "reviewer"}),
    Mutation("/people/{account_id}/address", "account.invited", {}),
    Mutation("/people/{account_id}/email", "account.email_set", {"email": "dora@example.org"}),
    Mutation("/people/{account_id}/disable", "account.disabled", {}),
    Mutation("/people/{account_id}/enable", "account.enabled", {}),
    Mutation("/people/{account_id}/factor/reset", "factor.removed", {}),
    Mutation("/people/{account_id}/cap", "cap.set", {"price": "2,50"}),
    Mutation("/providers", "provider.added", {"name": "n", "kind": "local", "model": "m"}),
    Mutation(
        "/providers/{provider_id}",
        "provider.changed",
        {"kind": "openai_compatible", "model": "m", "base_url": "https://house.example.org/v1", "price_in": "3"},
    ),
    Mutation("/providers/{provider_id}/key", "provider.key_set", {"key": "a key of twenty letters"}),
    Mutation("/providers/{provider_id}/key/delete", "provider.key_deleted", {}),
    Mutation("/providers/{provider_id}/probe", "task.queued", {}),
    Mutation("/providers/{provider_id}/disable", "provider.disabled", {}),
    Mutation("/providers/{provider_id}/enable", "provider.enabled", {}),
    Mutation("/account/password", "password.set", {"password": "four words in a row"}),
    Mutation("/account/sessions/{name}/end", "session.ended", {}),
    Mutation("/account/tokens", "token.created", {"name": "script", "scope": "read", "days": "1"}),
    Mutation("/account/tokens/{token_id}/revoke", "token.revoked", {}),
)


def imported_beside(make: Make, slug: str) -> int:
    """A complete import into a subject that shows another collection."""
    target = import_target(make.session, slug=slug, collection="published", values={})
    values = {"subject_id": target.subject_id, "collection_id": target.collection_id, "source": "x", "format": "openai"}
    begun = begin_import(make.session, key="x", values=values)
    complete_import(make.session, begun=begun, context_length=8, n_excerpts=0)
    return begun.id


def inspected(make: Make, account_id: int) -> int:
    """An inspection of a model and a text that has succeeded."""
    request = SubjectRequest("new", "openai-community/gpt2", "demo:stdlib")
    task = enqueue_inspection(make.session, request=request, account_id=account_id)
    taker = Taker(uuid.uuid4(), uuid.uuid4(), 60.0)
    lease = begin_task(make.session, taker=taker, lane=Lane.INTERACTIVE, kinds=[INSPECTION.name])
    assert lease is not None
    finish(make.session, lease=lease, result=FOUND.as_json())
    return task.id


FOUND = Inspection(
    architecture="GPT2LMHeadModel",
    module_path="transformer.h.{layer}.mlp.c_proj",
    activation_function="gelu_new",
    n_layers=12,
    neurons_per_layer=3072,
    n_parameters=124_439_808,
    vocabulary_size=50_257,
    bos_policy="none",
    longest_context=1024,
    dtype="float32",
    device="cpu",
    weight_bytes=None,
    memory_bytes=3_500_000_000,
    free_bytes=16_000_000_000,
    tokens=1_000_000,
    tokens_are_exact=True,
    seconds=754.0,
)


def kept(make: Make, slug: str, neuron_id: int, account_id: int) -> dict[str, int]:
    """A list of one neuron and a saved search of this account."""
    list_id = create_list(make.session, slug=slug, name="Seen", account_id=account_id)
    subject_id = make.session.get_one(Neuron, neuron_id).subject_id
    chosen = NeuronSelection.of(subject_id, [neuron_id])
    add_to_list(make.session, list_id=list_id, selection=chosen, account_id=account_id)
    search_id = save_search(make.session, account_id=account_id, name="Layer 0", address=f"/{slug}?layer=0")
    return {"list_id": list_id, "neuron_id": neuron_id, "search_id": search_id, "key": search_id}


def campaigns(make: Make, subject: Subject, account_id: int) -> dict[str, int]:
    """Three campaigns, with the ids that addresses have of them: of a sample, of chosen texts, of one reader."""
    rules = CampaignRules("Does it hold?")
    whole = SampleWanted(NeuronSelection(subject.id), 1)

    def create(name: str, rules: CampaignRules, wanted: SampleWanted | ItemsWanted) -> int:
        return create_campaign(
            make.session, name=name, subject_id=subject.id, rules=rules, wanted=wanted, account_id=account_id, seed=0
        )

    first = create("First look", replace(rules, verdicts_per_item=1), whole)
    first_text, second_text = (
        ItemsWanted(ItemSource.FILTER, [make.explained(make.neuron(subject, index=index), f"fires on {index}")])
        for index in (1, 2)
    )
    other = create("Another", rules, first_text)
    of_one = replace(rules, participants=Participants.NAMED, account_ids=(account_id,))
    named = create("Of one reader", of_one, whole)
    added = add_items(make.session, campaign_id=other, wanted=second_text, account_id=account_id)
    return {
        "campaign_id": first,
        "other_campaign_id": other,
        "named_campaign_id": named,
        "draw_id": added.draw_id,
        "slot_id": 1,
        "item_id": 1,
        "verdict_id": 1,
    }


def providers(make: Make) -> dict[str, int]:
    """A language model with a key, and a disabled one."""
    house = ProviderSettings(ProviderKind.OPENAI_COMPATIBLE, "m", "https://house.example.org/v1")
    provider = add_provider(make.session, name="house", settings=house)
    disabled = add_provider(make.session, name="disabled", settings=house)
    disable_provider(make.session, provider_id=disabled.id)
    provider.key_encrypted = b"sealed"
    return {"provider_id": provider.id, "disabled_id": disabled.id}


def work(make: Make, neuron: Neuron, account_id: int) -> dict[str, int]:
    """A batch with its run, a trial, an inspection and an import."""
    session, method = make.session, make.method("other")
    queued = enqueue_batch(
        session, subject_id=neuron.subject_id, neuron_ids=[neuron.id], method_id=method.id, account_id=account_id
    )
    trial = enqueue_trial(session, neuron_id=neuron.id, explanation_id=None, account_id=account_id, words="x")
    return {
        "batch_id": queued.batch_id,
        "run_id": session.scalars(select(Run.id).where(Run.batch_id == queued.batch_id)).one(),
        "task_id": trial,
        "inspection_id": inspected(make, account_id),
        "import_id": imported_beside(make, session.get_one(Subject, neuron.subject_id).slug),
    }


def one_of_everything(make: Make) -> dict[str, Any]:
    """One of everything that an address can name."""
    session, subject, method = make.session, make.subject(), make.method("lexical")
    neuron, reader = make.neuron(subject), make.account("dora", "viewer")
    explanation = make.explanation(neuron)
    flag_id = open_flag(session, explanation_id=explanation.id, account_id=reader.id, reason=FlagReason.WRONG, note="")
    made = make.explanation(neuron, "made by a method", method_id=method.id)
    refresh_current(session, neuron_id=neuron.id)
    session.add(SecondFactor(account_id=reader.id, secret_encrypted=b"sealed", last_step=0, recovery_hashes=[]))
    session.flush()
    return {
        **work(make, neuron, reader.id),
        **campaigns(make, subject, reader.id),
        **providers(make),
        **kept(make, subject.slug, neuron.id, reader.id),
        "slug": subject.slug,
        "layer": 0,
        "index": 0,
        "neuron": neuron.id,
        "method": method.id,
        "explanation": explanation.id,
        "flag_id": flag_id,
        "explanation_id": made.id,
        "account_id": reader.id,
        "name": "0000000000000000",
        "token_id": 1,
        "lease_token": "00000000-0000-0000-0000-000000000000",
    }
