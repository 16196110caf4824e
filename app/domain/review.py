"""Terms of reviewing: campaigns, their items and slots, verdicts, controls, and the rule that settles an item.

A campaign asks one question about many explanations. Each item is one explanation version; a slot is one required
judgement of it; a verdict fills a slot. Verdicts are never changed: an undo is a newer row.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from app.domain.flags import FlagReason, FlagVerdict


class Verdict(StrEnum):
    """The outcome of a judgement. Two judgements agree where their outcomes are equal, whatever the reasons."""

    HOLDS = "holds"
    PARTLY = "partly"
    FAILS = "fails"
    CANNOT_TELL = "cannot_tell"

    @property
    def label(self) -> str:
        """The verdict as pages write it."""
        return self.value.replace("_", " ").capitalize()


class VerdictKind(StrEnum):
    """A verdict with its reason, in the order of the keys ``1`` to ``8``."""

    HOLDS = "holds"
    TOO_BROAD = "too_broad"
    TOO_NARROW = "too_narrow"
    SEVERAL_MEANINGS = "several_meanings"
    WRONG = "wrong"
    UNREADABLE = "unreadable"
    ABOUT_THE_OUTPUT = "about_the_output"
    """The explanation describes what the neuron does, not what it fires on."""
    CANNOT_TELL = "cannot_tell"

    @property
    def verdict(self) -> Verdict:
        """The verdict without its reason."""
        return _VERDICTS[self]

    @property
    def reason(self) -> str | None:
        """The reason as pages write it; None for a verdict without one."""
        return None if self.value == self.verdict.value else self.value.replace("_", " ").capitalize()

    @property
    def label(self) -> str:
        """The verdict with its reason as pages write it."""
        return self.verdict.label if self.reason is None else f"{self.verdict.label}: {self.reason.lower()}"

    @property
    def key(self) -> str:
        """The keyboard key that chooses the verdict."""
        return str(list(VerdictKind).index(self) + 1)


_VERDICTS = {
    VerdictKind.HOLDS: Verdict.HOLDS,
    VerdictKind.TOO_BROAD: Verdict.PARTLY,
    VerdictKind.TOO_NARROW: Verdict.PARTLY,
    VerdictKind.SEVERAL_MEANINGS: Verdict.PARTLY,
    VerdictKind.WRONG: Verdict.FAILS,
    VerdictKind.UNREADABLE: Verdict.FAILS,
    VerdictKind.ABOUT_THE_OUTPUT: Verdict.FAILS,
    VerdictKind.CANNOT_TELL: Verdict.CANNOT_TELL,
}

REJECTING = (Verdict.PARTLY, Verdict.FAILS)
"""Outcomes that uphold a flag and so reject the explanation."""


def rejects_text(outcome: Verdict, *, is_flag: bool) -> bool:
    """Whether an outcome rejects the explanation, so that it is no longer shown first.

    A flag claims that something is wrong with the explanation, so ``partly`` upholds it. In a campaign only ``fails``
    rejects.
    """
    return outcome in REJECTING if is_flag else outcome is Verdict.FAILS


class Confidence(StrEnum):
    """How sure a reviewer is."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class ReviewerKind(StrEnum):
    """The kinds of reviewers. Pages and reports mark every reviewer who is not a person."""

    PERSON = "person"
    LANGUAGE_MODEL = "language_model"
    SIMULATED = "simulated"
    """A program with known error rates, in demonstrations and tests."""


class CampaignState(StrEnum):
    """The state of a campaign; it decides whether items may be taken."""

    PREPARING = "preparing"
    """A worker is still making the campaign's controls."""
    OPEN = "open"
    ENDED = "ended"
    """No item may be taken any more; pages show which items were controls."""


class Participants(StrEnum):
    """Who may take part in a campaign. Only accounts with the permission to review can take items at all."""

    REVIEWERS = "reviewers"
    """Every account that may review."""
    NAMED = "named"
    """The accounts listed in the campaign."""


class ItemSource(StrEnum):
    """The reason why an explanation is an item. Only ``SAMPLE`` items enter an estimate."""

    FLAG = "flag"
    DOUBT = "doubt"
    FILTER = "filter"
    SAMPLE = "sample"
    CONTROL = "control"


class Stratifier(StrEnum):
    """The property that a sample is stratified by."""

    LAYER = "layer"
    SCORE_BAND = "score_band"
    """The band of the whole-corpus score, executed or estimated."""
    SCORE_2023_BAND = "score_2023_band"
    FIRING_RATE = "firing_rate"

    @property
    def label(self) -> str:
        """The words as pages write them."""
        return _STRATIFIED_BY[self]


_STRATIFIED_BY = {
    Stratifier.LAYER: "layer",
    Stratifier.SCORE_BAND: "whole-corpus score",
    Stratifier.SCORE_2023_BAND: "2023 score",
    Stratifier.FIRING_RATE: "firing rate",
}


class ItemState(StrEnum):
    """The state of an item's judgement."""

    OPEN = "open"
    """Required verdicts are missing, and the present ones do not contradict each other."""
    DISPUTED = "disputed"
    """The verdicts do not settle the item: a further reviewer or an adjudicator is needed."""
    SETTLED = "settled"
    WITHDRAWN = "withdrawn"
    """The item was removed before anybody judged it."""


UNSETTLED = (ItemState.OPEN, ItemState.DISPUTED)


class SlotKind(StrEnum):
    """The reason why a judgement is required."""

    REVIEW = "review"
    """One of the judgements that the campaign requires of each item."""
    FURTHER = "further"
    """The required verdicts did not settle the item, so a further one is needed."""
    ADJUDICATION = "adjudication"
    """The further verdict did not settle the item either. An adjudicator's verdict does."""
    SENT_BACK = "sent_back"
    """The item was settled, and a person requested another verdict."""


class SlotState(StrEnum):
    """The state of a slot. A held slot whose lease has expired counts as free."""

    FREE = "free"
    HELD = "held"
    JUDGED = "judged"


class ControlKind(StrEnum):
    """The kinds of controls: items whose right verdict is known."""

    SWAPPED = "swapped"
    """The text of another neuron's explanation."""
    BROAD = "broad"
    """A text that claims several times as many tokens as the right one."""
    NARROW = "narrow"
    """A text that leaves out half of what the right one claims."""
    KNOWN_FUNCTION = "known_function"
    """A text that is known to hold, for example since its execution on the whole corpus is right almost everywhere."""
    REPEAT = "repeat"
    """An item that was settled before, shown again."""

    @property
    def label(self) -> str:
        """The kind as pages write it."""
        return self.value.replace("_", " ")


WITH_PLANTED_TEXT = (ControlKind.SWAPPED, ControlKind.BROAD, ControlKind.NARROW)
"""Controls that show a text made for them instead of the explanation's own."""
CONTROL_TRUTH = {
    ControlKind.SWAPPED: Verdict.FAILS,
    ControlKind.BROAD: Verdict.PARTLY,
    ControlKind.NARROW: Verdict.PARTLY,
    ControlKind.KNOWN_FUNCTION: Verdict.HOLDS,
}
"""The right verdict on a control of each kind. The right verdict on a repeat is the earlier outcome."""

FLAG_KINDS = {
    FlagReason.WRONG: VerdictKind.WRONG,
    FlagReason.TOO_BROAD: VerdictKind.TOO_BROAD,
    FlagReason.TOO_NARROW: VerdictKind.TOO_NARROW,
    FlagReason.SEVERAL_MEANINGS: VerdictKind.SEVERAL_MEANINGS,
    FlagReason.UNREADABLE: VerdictKind.UNREADABLE,
}
"""The verdict that matches a flag's reason; ``other`` matches none."""


def flag_verdict(state: "ItemState", outcome: Verdict | None) -> FlagVerdict | None:
    """The outcome of the flags that an item was made for; None while they are open."""
    if state is ItemState.WITHDRAWN:
        return FlagVerdict.WITHDRAWN
    if outcome is None:
        return None
    if outcome in REJECTING:
        return FlagVerdict.UPHELD
    return FlagVerdict.REJECTED if outcome is Verdict.HOLDS else FlagVerdict.UNDECIDED


LEASE_SECONDS = 300
"""Seconds for which a taken item stays reserved without activity of the reviewer."""
RENEW_SECONDS = 60
"""Seconds between two renewals of the lease by an open page."""
UNDO_SECONDS = 600
"""Seconds within which a reviewer may undo a verdict."""
FEWEST_VERDICTS = 1
MOST_VERDICTS = 5
"""Maximum number of required verdicts per item."""
SETTLING = 2
"""Number of equal verdicts that settle an item, if the campaign requires at least as many."""
HIGHEST_CONTROL_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class GivenVerdict:
    """A verdict that was not undone, with the kind of its slot."""

    verdict: Verdict
    slot: SlotKind


@dataclass(frozen=True, slots=True)
class Settlement:
    """The state of an item. ``needs`` is the kind of slot to add now, None if none is to be added."""

    state: ItemState
    outcome: Verdict | None = None
    needs: SlotKind | None = None


def settlement(given: Sequence[GivenVerdict], *, n_required: int) -> Settlement:
    """The state of an item after these verdicts, in the order in which they were given.

    The most frequent of the required and further verdicts settles the item if at least two are equal and no other
    verdict is as frequent. If only one verdict is required, it settles the item. Otherwise a further slot is added,
    then an adjudicator's. An adjudicator's verdict settles. A verdict on an item that was sent back confirms the
    outcome, or else an adjudicator decides.
    """
    if not given:
        return Settlement(ItemState.OPEN)
    last = given[-1]
    if last.slot is SlotKind.ADJUDICATION:
        return Settlement(ItemState.SETTLED, last.verdict)
    if last.slot is SlotKind.SENT_BACK:
        before = settlement(given[:-1], n_required=n_required)
        if last.verdict == before.outcome:
            return before
        return Settlement(ItemState.DISPUTED, needs=SlotKind.ADJUDICATION)
    counts = Counter(each.verdict for each in given)
    if len(given) < n_required:
        return Settlement(ItemState.OPEN)
    outcome = _most_frequent(counts, at_least=min(SETTLING, n_required))
    if outcome is not None:
        return Settlement(ItemState.SETTLED, outcome)
    has_further = any(each.slot is SlotKind.FURTHER for each in given)
    return Settlement(ItemState.DISPUTED, needs=SlotKind.ADJUDICATION if has_further else SlotKind.FURTHER)


def _most_frequent(counts: Counter[Verdict], *, at_least: int) -> Verdict | None:
    (verdict, n), *others = counts.most_common()
    is_tied = any(other == n for _, other in others)
    return verdict if n >= at_least and not is_tied else None
