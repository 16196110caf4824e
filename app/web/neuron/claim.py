"""A neuron's explanations, flags and newest run, as parts of its page and of responses to forms."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from sqlalchemy.orm import Session

from app.domain.flags import FlagReason
from app.domain.headlines import Headline
from app.domain.work import ACTIVE
from app.errors import NotFound
from app.queries.neurons.claims import ExplanationRow, FlagShown, RunShown, ScoreRow, neuron_runs
from app.queries.neurons.head import NeuronHead, neuron_head
from app.queries.subjects.null_twins import TwinStanding
from app.web.neuron.address import path_of
from app.web.neuron.trail import Trail


@dataclass(frozen=True, slots=True)
class FoldedExplanation:
    """An explanation, and others of the neuron with the same text."""

    row: ExplanationRow
    same: tuple[ExplanationRow, ...]

    def holds(self, explanation_id: int | None) -> bool:
        """Whether the explanation is one of them."""
        return any(row.id == explanation_id for row in (self.row, *self.same))


@dataclass(frozen=True, slots=True)
class NeuronClaim:
    """The explanation that is shown, its scores, and all others."""

    address: str
    shown: ExplanationRow | None
    headline: Headline[ScoreRow] | None
    """Over the whole corpus with both sides, else the 2023 score."""
    score_2023: ScoreRow | None
    collection_id: int | None
    """The collection that the page shows."""
    current_id: int | None
    percentile: float | None
    n_scored_in_layer: int
    twin: TwinStanding | None
    """The headline's rank in the null twin. Like the percentile it is of the current explanation."""
    layer: int
    explanations: tuple[ExplanationRow, ...]
    found_nothing: bool = False
    """Whether a method has found nothing worth saying."""
    is_out_of_band: bool = False

    def is_of_earlier_collection(self, score: ScoreRow) -> bool:
        """Whether a score was measured on records of an earlier collection than the one that is shown."""
        return score.collection_id not in (None, self.collection_id)

    @property
    def folded(self) -> tuple[FoldedExplanation, ...]:
        """The explanations in order, those with the same text as one."""
        by_text: dict[str, list[ExplanationRow]] = {}
        for row in self.explanations:
            by_text.setdefault(row.text, []).append(row)
        return tuple(FoldedExplanation(rows[0], tuple(rows[1:])) for rows in by_text.values())

    def n_candidates(self, explanation: ExplanationRow) -> int:
        """How many explanations its run has given; 1 for what no run has made."""
        if explanation.run_id is None:
            return 1
        return sum(row.run_id == explanation.run_id for row in self.explanations)

    @property
    def other_scores(self) -> tuple[ScoreRow, ...]:
        """The scores that are not shown as the headline, its sides or the 2023 score."""
        if self.shown is None:
            return ()
        main = [self.score_2023] if self.headline is None else [self.score_2023, self.headline.score]
        return tuple(score for score in self.shown.scores if score not in main)


@dataclass(frozen=True, slots=True)
class NeuronCounts:
    """What the top of a neuron's page counts."""

    n_explanations: int
    n_open_flags: int
    n_active_runs: int
    found_nothing: bool


@dataclass(frozen=True, slots=True)
class NeuronFlags:
    """Open flags, and what the form needs to open another."""

    address: str
    explanation_id: int | None
    open_flags: tuple[FlagShown, ...]
    reasons: tuple[FlagReason, ...]
    trail: Trail
    is_open: bool = False
    """Whether the form is unfolded, and leads to the next neuron."""
    told: str = ""
    """What has just been done."""
    counts: NeuronCounts | None = None
    """Their current state, where this part is inserted into an open page."""


@dataclass(frozen=True, slots=True)
class NeuronProgress:
    """The newest run of the neuron: none, active, or finished (then with the claim as it is now)."""

    address: str
    state: Literal["none", "active", "finished"]
    run: RunShown | None
    claim: NeuronClaim | None = None
    counts: NeuronCounts | None = None
    """Their current state, where this part is inserted into an open page."""


def claim_of(head: NeuronHead, explanations: Sequence[ExplanationRow], wanted: int | None) -> NeuronClaim:
    """The explanations, with the ``wanted`` one shown, or else the current one. Raises NotFound for an unknown one."""
    chosen = wanted if wanted is not None else head.current_explanation_id
    shown = next((row for row in explanations if row.id == chosen), None)
    if wanted is not None and shown is None:
        raise NotFound("This neuron has no such explanation.")
    headline = shown.headline if shown is not None else None
    return NeuronClaim(
        address=path_of(head),
        shown=shown,
        headline=headline,
        score_2023=shown.score_2023 if shown is not None else None,
        collection_id=head.collection_id,
        current_id=head.current_explanation_id,
        percentile=head.percentile,
        n_scored_in_layer=head.n_scored_in_layer,
        twin=head.twin,
        layer=head.layer,
        found_nothing=head.found_nothing,
        # Not by score: scores of different simulators are not comparable.
        explanations=tuple(sorted(explanations, key=lambda row: (row.id != head.current_explanation_id, -row.id))),
    )


def flags_of(claim: NeuronClaim, flags: Sequence[FlagShown], trail: Trail, *, is_open: bool) -> NeuronFlags:
    """The open flags, and the form that flags the explanation that is shown."""
    return NeuronFlags(
        address=claim.address,
        explanation_id=claim.shown.id if claim.shown is not None else None,
        open_flags=tuple(flags),
        reasons=tuple(FlagReason),
        trail=trail,
        is_open=is_open,
    )


def progress_of(address: str, run: RunShown | None) -> NeuronProgress:
    """How far a run is."""
    if run is None:
        return NeuronProgress(address, "none", None)
    return NeuronProgress(address, "active" if run.status in ACTIVE else "finished", run)


def queued_run(session: Session, head: NeuronHead) -> NeuronProgress:
    """The part of an open page that follows the run that was just queued."""
    shown = progress_of(path_of(head), neuron_runs(session, neuron_id=head.id)[0])
    return replace(shown, counts=counts_now(session, head))


def counts_of(head: NeuronHead) -> NeuronCounts:
    """The counts as they were when the head was read."""
    return NeuronCounts(head.n_explanations, head.n_open_flags, head.n_active_runs, head.found_nothing)


def counts_now(session: Session, head: NeuronHead) -> NeuronCounts:
    """The counts after this request's own changes."""
    return counts_of(neuron_head(session, slug=head.slug, layer=head.layer, index=head.index))
