"""Campaigns: listed, created, looked at, changed, ended."""

from dataclasses import dataclass
from secrets import randbelow
from typing import Annotated

from fastapi import Form, Query
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel, Field

from app.domain.bounds import (
    LONGEST_CAMPAIGN_NAME,
    LONGEST_FIELD,
    LONGEST_FILTERS,
    LONGEST_INSTRUCTIONS,
    LONGEST_QUESTION,
    MOST_ITEMS,
)
from app.domain.review import HIGHEST_CONTROL_SHARE, CampaignState, ItemSource, ItemState, Participants, Stratifier
from app.domain.roles import Permission
from app.errors import Invalid
from app.queries.common.inputs import one_of, price_of
from app.queries.language_models.providers import enabled_providers
from app.queries.neurons.selection import NeuronSelection
from app.queries.people.accounts import accounts_with
from app.queries.review.campaigns import (
    CampaignRow,
    CampaignRules,
    campaign_row,
    campaign_rows,
    change_rules,
    end_campaign,
)
from app.queries.review.items import (
    SEEDS,
    ItemsWanted,
    SampleWanted,
    create_campaign,
    current_explanations,
)
from app.queries.review.own import OwnProgress, own_standing
from app.queries.review.shown import ItemTold, items_in_states, n_verdicts
from app.queries.subjects.lookup import SubjectHead, subject_head
from app.web.deps import CurrentViewer, DbSession, IdInPath, MayManageCampaigns, MayQueue
from app.web.http.routing import PageRouter
from app.web.listing.filters import kept_filters
from app.web.listing.sent_filters import ListFilters
from app.web.rendering.templating import page
from app.work.controls import enqueue_controls
from app.work.model_reviews import enqueue_model_review

router = PageRouter()


QUESTION = "Does the explanation say what this neuron fires on?"
INSTRUCTIONS = """Read the excerpts first, also those on which the neuron hardly fires.
Holds: someone who knows only the explanation would colour nearly the same tokens.
Partly: right where it applies, but it claims too much, leaves much out, or the neuron has several meanings.
Fails: wrong, not understandable, or about what the neuron causes rather than what it fires on."""
MOST_SHOWN = 12


@dataclass(frozen=True, slots=True)
class CampaignsPage:
    """Every campaign."""

    campaigns: tuple[CampaignRow, ...]


@dataclass(frozen=True, slots=True)
class CampaignsCampaign:
    """One campaign: its rules, and how far it is."""

    campaign: CampaignRow
    n_verdicts: int
    own: OwnProgress | None
    """The viewer's, where the viewer may review."""
    may_take_part: bool
    disputed: tuple[ItemTold, ...]
    settled: tuple[ItemTold, ...]
    """Some of them, for those who may adjudicate."""
    providers: tuple[str, ...]
    """Language models that may be asked to take part, for those who manage campaigns."""


@dataclass(frozen=True, slots=True)
class CampaignsNew:
    """The form that creates a campaign."""

    subject: SubjectHead
    filters: str
    """The filters that choose among the subject's explanations, as a query string."""
    n_matching: int
    rules: CampaignRules
    """What the form suggests."""
    seed: int
    stratifiers: tuple[Stratifier, ...]
    people: tuple[tuple[int, str], ...]
    most_controls: int = int(100 * HIGHEST_CONTROL_SHARE)


@dataclass(frozen=True, slots=True)
class CampaignsRules:
    """The form that changes a campaign's rules."""

    campaign: CampaignRow
    people: tuple[tuple[int, str], ...]


class RulesForm(BaseModel):
    """The rules of a campaign as a form sends them."""

    question: str = Field(default="", max_length=2 * LONGEST_QUESTION)
    instructions: str = Field(default="", max_length=2 * LONGEST_INSTRUCTIONS)
    verdicts_per_item: int = 2
    participant: list[int] = Field(default_factory=list)
    is_blind: str = Field(default="", max_length=LONGEST_FIELD)
    asks_guess: str = Field(default="", max_length=LONGEST_FIELD)

    def rules(self, *, control_share: float = 0.0) -> CampaignRules:
        """What they mean. Raises Invalid."""
        return CampaignRules(
            question=self.question,
            instructions=self.instructions,
            verdicts_per_item=self.verdicts_per_item,
            participants=Participants.NAMED if self.participant else Participants.REVIEWERS,
            account_ids=tuple(sorted(set(self.participant))),
            is_blind=bool(self.is_blind),
            asks_guess=bool(self.asks_guess),
            control_share=control_share,
        )


class NewCampaignForm(RulesForm):
    """A campaign as a form sends it."""

    name: str = Field(default="", max_length=2 * LONGEST_CAMPAIGN_NAME)
    subject: str = Field(max_length=LONGEST_FIELD * 2)
    filters: str = Field(default="", max_length=LONGEST_FILTERS)
    control_percent: float = Field(default=0.0, ge=0, le=100 * HIGHEST_CONTROL_SHARE)
    source: str = Field(default=ItemSource.SAMPLE, max_length=LONGEST_FIELD)
    n: int = Field(default=100, ge=1, le=MOST_ITEMS)
    stratified_by: str = Field(default="", max_length=LONGEST_FIELD)
    seed: int = Field(default=0, ge=0, lt=SEEDS)


class ModelReviewForm(BaseModel):
    """Which language model is to review how much, and for how much money."""

    provider: str = Field(max_length=LONGEST_FIELD * 2)
    n_items: int = Field(ge=1, le=MOST_ITEMS)
    price_cap: str = Field("", max_length=LONGEST_FIELD)


@page(router, "/campaigns", template="campaigns/page.html")
def campaigns(session: DbSession) -> CampaignsPage:
    """Every campaign, the standing one first, then the newest."""
    return CampaignsPage(campaign_rows(session))


@page(router, "/campaigns/new", template="campaigns/new.html")
def new(
    session: DbSession,
    filters: ListFilters,
    subject: Annotated[str, Query(max_length=LONGEST_FIELD * 2)],
    _viewer: MayManageCampaigns,
) -> CampaignsNew:
    """What a campaign about a subject's explanations, or those that match filters, would ask."""
    head = subject_head(session, slug=subject)
    matching = current_explanations(session, neurons=NeuronSelection(head.id, filters.filter))
    return CampaignsNew(
        subject=head,
        filters=filters.fields.query(sort=None).removeprefix("?"),
        n_matching=len(matching),
        rules=CampaignRules(QUESTION, INSTRUCTIONS),
        seed=randbelow(SEEDS),
        stratifiers=tuple(Stratifier),
        people=tuple((person.id, person.name) for person in accounts_with(session, permission=Permission.REVIEW)),
    )


@router.post("/campaigns", include_in_schema=False)
def create(session: DbSession, viewer: MayManageCampaigns, form: Annotated[NewCampaignForm, Form()]) -> Response:
    """Create a campaign with its items."""
    head = subject_head(session, slug=form.subject)
    source = one_of(form.source, ItemSource, what="source")
    kept = kept_filters(form.filters).filter
    neurons = NeuronSelection(head.id, kept)
    parameters = {"filters": form.filters}
    wanted: SampleWanted | ItemsWanted
    if source is ItemSource.SAMPLE:
        by = one_of(form.stratified_by, Stratifier, what="stratifier") if form.stratified_by else None
        wanted = SampleWanted(neurons, form.n, by, parameters)
    elif source is ItemSource.FILTER:
        chosen_by = ItemSource.FILTER if kept.doubt is None else ItemSource.DOUBT
        wanted = ItemsWanted(chosen_by, current_explanations(session, neurons=neurons), parameters)
    else:
        raise Invalid("Items of a new campaign are a sample, or all that match the filters.")
    campaign_id = create_campaign(
        session,
        name=form.name,
        subject_id=head.id,
        rules=form.rules(control_share=form.control_percent / 100),
        wanted=wanted,
        account_id=viewer.id,
        seed=form.seed,
    )
    if form.control_percent:
        enqueue_controls(
            session, campaign_id=campaign_id, name=form.name.strip(), subject_id=head.id, account_id=viewer.id
        )
    return RedirectResponse(f"/campaigns/{campaign_id}", status_code=303)


@page(router, "/campaigns/{campaign_id}", template="campaigns/campaign.html", partial="campaigns/_progress.html")
def campaign(session: DbSession, viewer: CurrentViewer, campaign_id: IdInPath) -> CampaignsCampaign:
    """One campaign: its rules, and how far it is."""
    row = campaign_row(session, campaign_id=campaign_id)
    reviews = viewer is not None and viewer.may(Permission.REVIEW)
    queues = viewer is not None and viewer.may(Permission.QUEUE)
    decides = viewer is not None and viewer.may(Permission.ADJUDICATE)

    states = (ItemState.DISPUTED, ItemState.SETTLED) if decides else ()
    items = items_in_states(session, campaign_id=campaign_id, states=states, limit=MOST_SHOWN) if decides else {}
    return CampaignsCampaign(
        campaign=row,
        n_verdicts=n_verdicts(session, campaign_id=campaign_id),
        own=own_standing(session, campaign_id=campaign_id, account_id=viewer.id).progress
        if viewer and reviews
        else None,
        may_take_part=bool(viewer and reviews and row.state is CampaignState.OPEN and row.lets_take_part(viewer.id)),
        disputed=tuple(item.told for item in items.get(ItemState.DISPUTED, ())),
        settled=tuple(item.told for item in items.get(ItemState.SETTLED, ())),
        providers=tuple(enabled_providers(session)) if queues else (),
    )


@page(router, "/campaigns/{campaign_id}/rules", template="campaigns/rules.html")
def rules(session: DbSession, campaign_id: IdInPath, _viewer: MayManageCampaigns) -> CampaignsRules:
    """The rules in force, to be changed."""
    people = tuple((person.id, person.name) for person in accounts_with(session, permission=Permission.REVIEW))
    return CampaignsRules(campaign_row(session, campaign_id=campaign_id), people)


@router.post("/campaigns/{campaign_id}/rules", include_in_schema=False)
def change(
    session: DbSession, viewer: MayManageCampaigns, campaign_id: IdInPath, form: Annotated[RulesForm, Form()]
) -> Response:
    """Put a newer version of the rules in force."""
    share = campaign_row(session, campaign_id=campaign_id).rules.control_share
    change_rules(session, campaign_id=campaign_id, rules=form.rules(control_share=share), account_id=viewer.id)
    return RedirectResponse(f"/campaigns/{campaign_id}", status_code=303)


@router.post("/campaigns/{campaign_id}/end", include_in_schema=False)
def end(session: DbSession, viewer: MayManageCampaigns, campaign_id: IdInPath) -> Response:
    """End a campaign."""
    end_campaign(session, campaign_id=campaign_id, account_id=viewer.id)
    return RedirectResponse(f"/campaigns/{campaign_id}", status_code=303)


@router.post("/campaigns/{campaign_id}/model-review", include_in_schema=False)
def let_model_review(
    session: DbSession,
    viewer: MayQueue,
    campaign_id: IdInPath,
    form: Annotated[ModelReviewForm, Form()],
) -> Response:
    """Let a language model take part."""
    enqueue_model_review(
        session,
        campaign_id=campaign_id,
        provider=form.provider,
        n_items=form.n_items,
        account_id=viewer.id,
        price_cap=price_of(form.price_cap, what="price cap"),
    )
    return RedirectResponse(f"/campaigns/{campaign_id}", status_code=303)
