"""Estimates from a campaign's sample for all explanations that it was drawn from."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from app.domain.audit.correction import Controls, corrected_share
from app.domain.audit.prediction import prediction
from app.domain.audit.shares import (
    NO_VERDICT,
    JudgedStratum,
    domain_share,
    population_share,
    silent_strata,
    verdicts_needed,
)
from app.domain.marking import N_
from app.domain.review import REJECTING, ItemSource, Stratifier, Verdict
from app.domain.sampling import NOT_KNOWN, NOT_SCORED, RATE_BANDS, SCORE_BANDS
from app.domain.scores import Estimate
from app.models import CampaignDraw, Score
from app.queries.audit.shapes import (
    SEED,
    Grouping,
    GroupShare,
    ItemFacts,
    OutcomeShare,
    SampleFigures,
    ScorerFigures,
)

HIDDEN = N_("controls are shown when the campaign has ended")


def sample_figures(
    session: Session,
    campaign_id: int,
    items: Sequence[ItemFacts],
    controls: Controls | None,
    width: float,
) -> SampleFigures | None:
    """The estimates of a campaign's sample; None without a sample. ``controls`` is None while hidden. One query."""
    draws = session.execute(
        select(CampaignDraw.id, CampaignDraw.stratified_by, CampaignDraw.strata)
        .where(CampaignDraw.campaign_id == campaign_id, CampaignDraw.source == ItemSource.SAMPLE)
        .order_by(CampaignDraw.id)
    ).all()
    if not draws:
        return None
    keys = [(draw.id, i) for draw in draws for i in range(len(draw.strata))]
    drawn = [stratum for draw in draws for stratum in draw.strata]
    members: dict[tuple[int, int], list[ItemFacts]] = {key: [] for key in keys}
    for item in items:
        if item.source is ItemSource.SAMPLE and item.stratum is not None:
            members[item.draw_id, item.stratum].append(item)
    by_stratum = list(members.values())
    strata = [_stratum(s, of, _holds) for s, of in zip(drawn, by_stratum, strict=True)]
    seen = population_share(strata)
    sampled = [item for of in by_stratum for item in of]
    return SampleFigures(
        stratified_by=Stratifier(draws[0].stratified_by) if draws[0].stratified_by else None,
        population=sum(stratum.population for stratum in strata),
        n_sampled=len(sampled),
        n_settled=sum(item.outcome is not None for item in sampled),
        n_cannot_tell=sum(item.outcome is Verdict.CANNOT_TELL for item in sampled),
        n_silent_strata=silent_strata(strata),
        outcomes=tuple(_outcome(outcome, drawn, by_stratum) for outcome in (Verdict.HOLDS, *REJECTING)),
        share=Estimate(None, NO_VERDICT) if seen is None else seen.estimate,
        corrected=Estimate(None, HIDDEN) if controls is None else corrected_share(seen, controls, seed=SEED),
        width=width,
        n_needed=verdicts_needed(strata, width=width),
        groupings=tuple(_grouping(by, strata, by_stratum) for by in Stratifier),
    )


def _holds(item: ItemFacts) -> bool:
    return item.outcome is Verdict.HOLDS


def _stratum(
    drawn: Mapping[str, Any], members: Sequence[ItemFacts], counts: Callable[[ItemFacts], bool]
) -> JudgedStratum:
    return JudgedStratum(
        drawn["label"],
        drawn["population"],
        drawn["n"],
        sum(item.is_judged for item in members),
        sum(item.is_judged and counts(item) for item in members),
    )


def _outcome(
    outcome: Verdict, drawn: Sequence[Mapping[str, Any]], by_stratum: Sequence[Sequence[ItemFacts]]
) -> OutcomeShare:
    strata = [_stratum(s, of, lambda item: item.outcome is outcome) for s, of in zip(drawn, by_stratum, strict=True)]
    found = population_share(strata)
    n = sum(stratum.holds for stratum in strata)
    return OutcomeShare(outcome, n, Estimate(None, NO_VERDICT) if found is None else found.estimate)


def _grouping(by: Stratifier, strata: Sequence[JudgedStratum], by_stratum: Sequence[Sequence[ItemFacts]]) -> Grouping:
    members: dict[str, list[list[ItemFacts]]] = {}
    for stratum, of in enumerate(by_stratum):
        for item in of:
            members.setdefault(item.label(by), [[] for _ in by_stratum])[stratum].append(item)
    return Grouping(by, tuple(_group(label, strata, members[label]) for label in sorted(members, key=_order)))


def _group(label: str, strata: Sequence[JudgedStratum], within: Sequence[Sequence[ItemFacts]]) -> GroupShare:
    counts = [
        (sum(item.is_judged for item in of), sum(item.is_judged and _holds(item) for item in of)) for of in within
    ]
    found = domain_share(strata, counts)
    return GroupShare(
        label=label,
        n_sampled=sum(map(len, within)),
        n_judged=sum(judged for judged, _ in counts),
        n_holds=sum(holds for _, holds in counts),
        share=Estimate(None, NO_VERDICT) if found is None else found.estimate,
    )


_BANDS = (*SCORE_BANDS, NOT_SCORED, *RATE_BANDS, NOT_KNOWN)


def _order(label: str) -> tuple[int, str]:
    """Layers by number, bands in their own order."""
    if label in _BANDS:
        return _BANDS.index(label), ""
    number = label.rpartition(" ")[2]
    return (int(number) if number.isdigit() else 0), label


def scorer_figures(session: Session, judged: Sequence[ItemFacts]) -> tuple[ScorerFigures, ...]:
    """Every scorer's newest scores of the judged explanations, by simulator, the highest area first.

    An explanation whose newest score is undefined predicts nothing.
    """
    outcomes = {item.explanation_id: item.outcome is Verdict.HOLDS for item in judged}
    key = (Score.explanation_id, Score.scorer, Score.sample, Score.simulator)
    rows = session.execute(
        select(*key, Score.value)
        .where(Score.explanation_id.in_(outcomes))
        .ext(distinct_on(*key))
        .order_by(*key, Score.id.desc())
    )
    values: dict[tuple[str, str, str | None], dict[int, float]] = {}
    for explanation_id, scorer, sample, simulator, value in rows:
        if value is not None:
            values.setdefault((scorer, sample, simulator), {})[explanation_id] = value
    found = [
        ScorerFigures(
            *name, prediction([outcomes[i] for i in outcomes if i in of], [of[i] for i in outcomes if i in of])
        )
        for name, of in values.items()
    ]
    return tuple(sorted(found, key=_best_first))


def _best_first(figures: ScorerFigures) -> tuple[float, str, str, str]:
    return -(figures.prediction.area.value or 0.0), figures.scorer, figures.sample, figures.simulator or ""
