"""The figures of a campaign, as pages and reports show them."""

from collections.abc import Mapping
from dataclasses import dataclass

from app.domain.audit.agreement import Agreement
from app.domain.audit.prediction import Prediction
from app.domain.review import ControlKind, ItemSource, ItemState, ReviewerKind, Stratifier, Verdict
from app.domain.sampling import Stratified, stratum_label
from app.domain.scores import Estimate

SEED = 0
"""Seed of bootstraps, so that equal verdicts give equal figures."""


@dataclass(frozen=True, slots=True)
class OutcomeShare:
    """Sampled items with one outcome, and their share of the population."""

    outcome: Verdict
    n: int
    share: Estimate


@dataclass(frozen=True, slots=True)
class GroupShare:
    """The share that holds in a part of the population, such as one layer."""

    label: str
    n_sampled: int
    n_judged: int
    n_holds: int
    share: Estimate


@dataclass(frozen=True, slots=True)
class Grouping:
    """The share that holds by layer, by score band or by firing rate."""

    by: Stratifier
    groups: tuple[GroupShare, ...]


@dataclass(frozen=True, slots=True)
class SampleFigures:
    """Estimates from the sample for all explanations that it was drawn from."""

    stratified_by: Stratifier | None
    population: int
    n_sampled: int
    n_settled: int
    n_cannot_tell: int
    n_silent_strata: int
    """Strata that have no verdict yet."""
    outcomes: tuple[OutcomeShare, ...]
    share: Estimate
    corrected: Estimate
    width: float
    n_needed: int | None
    """Further settled items that narrow the share's interval to ``width``; None before the first verdict."""
    groupings: tuple[Grouping, ...]


@dataclass(frozen=True, slots=True)
class ControlFigures:
    """Verdicts on controls and on repeats of settled items."""

    n_right: int
    n_wrong: int
    sensitivity: Estimate
    specificity: Estimate
    n_repeats: int
    n_repeats_equal: int


@dataclass(frozen=True, slots=True)
class ReviewerFigures:
    """One reviewer's figures in a campaign. ``controls`` is None while they are hidden."""

    account_id: int
    name: str
    kind: ReviewerKind
    n_verdicts: int
    per_hour: float | None
    """Verdicts per hour of holding items; None if that time is not known, and for simulated reviewers."""
    median_seconds: float | None
    outcomes: Mapping[Verdict, int]
    controls: ControlFigures | None


@dataclass(frozen=True, slots=True)
class ScorerFigures:
    """How well a scorer's score predicts the outcomes of sampled items."""

    scorer: str
    sample: str
    simulator: str | None
    """The simulator of the scores, which are not compared across simulators; None for a scorer that uses none."""
    prediction: Prediction


@dataclass(frozen=True, slots=True)
class CampaignFigures:
    """All figures of a campaign."""

    n_items: int
    n_settled: int
    n_disputed: int
    n_open: int
    n_verdicts: int
    per_hour: float | None
    """Verdicts of people per hour of holding items."""
    sample: SampleFigures | None
    agreement: Agreement
    """Agreement between the required verdicts, controls excluded."""
    controls: ControlFigures | None
    """Figures of settled controls; None while they are hidden."""
    reviewers: tuple[ReviewerFigures, ...]
    scorers: tuple[ScorerFigures, ...]


@dataclass(frozen=True, slots=True)
class ItemFacts:
    """The facts about an item that figures need."""

    draw_id: int
    explanation_id: int
    source: ItemSource
    stratum: int | None
    state: ItemState
    outcome: Verdict | None
    of: Stratified
    control: ControlKind | None
    truth: Verdict | None

    @property
    def is_judged(self) -> bool:
        """Whether the item counts in the share: settled and decided."""
        return self.outcome is not None and self.outcome is not Verdict.CANNOT_TELL

    def label(self, by: Stratifier | None) -> str:
        """The label of the part of the population to which the item belongs."""
        return stratum_label(by, self.of)
