"""The words of a review: campaigns, their items and slots, verdicts, controls, and the rule that settles an item.

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
    """It is about what the neuron does and not about what it fires on."""
    CANNOT_TELL = "cannot_tell"

    @property
    def verdict(self) -> Verdict:
        """The verdict without its reason."""
        return _VERDICTS[self]

    @property
    def reason(self) -> str | None:
        """The reason, as pages write it; None for a verdict without one."""
        return None if self.value == self.verdict.value else self.value.replace("_", " ").capitalize()

    @property
    def label(self) -> str:
        """The verdict with its reason as pages write it."""
        return self.verdict.label if self.reason is None else f"{self.verdict.label}: {self.reason.lower()}"

    @property
    def key(self) -> str:
        """The key that chooses it."""
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
"""The outcomes that uphold a flag: the explanation is rejected."""


def rejects_text(outcome: Verdict, *, is_flag: bool) -> bool:
    """Whether an outcome rejects the explanation, so that it is not shown first any more.

    A flag says that something is wrong with it, so that ``partly`` upholds the flag; a campaign rejects what fails.
    """
    return outcome in REJECTING if is_flag else outcome is Verdict.FAILS


class Confidence(StrEnum):
    """How sure a reviewer is."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class ReviewerKind(StrEnum):
    """Who judges. Pages and reports mark everybody who is no person."""

    PERSON = "person"
    LANGUAGE_MODEL = "language_model"
    SIMULATED = "simulated"
    """A program with known error rates, in demonstrations and tests."""


class CampaignState(StrEnum):
    """Whether items may be taken."""

    PREPARING = "preparing"
    """A worker is still making its controls."""
    OPEN = "open"
    ENDED = "ended"
    """No item may be taken; controls are shown as controls."""


class Participants(StrEnum):
    """Who may take part in a campaign. Only accounts that may review at all ever take an item."""

    REVIEWERS = "reviewers"
    """Everybody who may review."""
    NAMED = "named"
    """The accounts that the campaign names."""


class ItemSource(StrEnum):
    """Why an explanation is an item. Only ``SAMPLE`` enters an estimate."""

    FLAG = "flag"
    DOUBT = "doubt"
    FILTER = "filter"
    SAMPLE = "sample"
    CONTROL = "control"


class Stratifier(StrEnum):
    """What a sample is stratified by."""

    LAYER = "layer"
    SCORE_BAND = "score_band"
    """The whole-corpus score: executed, or estimated."""
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
    """How far the judgement of an item is."""

    OPEN = "open"
    """Verdicts are missing, and those there are do not contradict each other."""
    DISPUTED = "disputed"
    """The verdicts do not settle it: a further reviewer or an adjudicator is needed."""
    SETTLED = "settled"
    WITHDRAWN = "withdrawn"
    """Taken out again before anybody judged it."""


UNSETTLED = (ItemState.OPEN, ItemState.DISPUTED)


class SlotKind(StrEnum):
    """Why a judgement is required."""

    REVIEW = "review"
    """One of the number that the campaign asks for."""
    FURTHER = "further"
    """The required verdicts did not settle the item."""
    ADJUDICATION = "adjudication"
    """The further verdict did not settle it either. An adjudicator's verdict does."""
    SENT_BACK = "sent_back"
    """The item was settled, and a person has requested another verdict."""


class SlotState(StrEnum):
    """The state of a slot. A held slot whose lease has passed counts as free."""

    FREE = "free"
    HELD = "held"
    JUDGED = "judged"


class ControlKind(StrEnum):
    """Items whose truth is known."""

    SWAPPED = "swapped"
    """The text of another neuron."""
    BROAD = "broad"
    """It claims several times as many tokens as the right text."""
    NARROW = "narrow"
    """Half of what the right text claims is left out."""
    KNOWN_FUNCTION = "known_function"
    """A text that is known to hold, such as one whose execution on the whole corpus is right almost everywhere."""
    REPEAT = "repeat"
    """An item that was settled before."""

    @property
    def label(self) -> str:
        """The kind as pages write it."""
        return self.value.replace("_", " ")


WITH_PLANTED_TEXT = (ControlKind.SWAPPED, ControlKind.BROAD, ControlKind.NARROW)
"""Controls that show a text made for them instead of the explanation."""
CONTROL_TRUTH = {
    ControlKind.SWAPPED: Verdict.FAILS,
    ControlKind.BROAD: Verdict.PARTLY,
    ControlKind.NARROW: Verdict.PARTLY,
    ControlKind.KNOWN_FUNCTION: Verdict.HOLDS,
}
"""The right verdict on a control of each kind; that of a repeat is the outcome it repeats."""

FLAG_KINDS = {
    FlagReason.WRONG: VerdictKind.WRONG,
    FlagReason.TOO_BROAD: VerdictKind.TOO_BROAD,
    FlagReason.TOO_NARROW: VerdictKind.TOO_NARROW,
    FlagReason.SEVERAL_MEANINGS: VerdictKind.SEVERAL_MEANINGS,
    FlagReason.UNREADABLE: VerdictKind.UNREADABLE,
}
"""The verdict that a flag's reason asks for; ``other`` asks for none."""


def flag_verdict(state: "ItemState", outcome: Verdict | None) -> FlagVerdict | None:
    """The outcome of an item's flags; None while they are open."""
    if state is ItemState.WITHDRAWN:
        return FlagVerdict.WITHDRAWN
    if outcome is None:
        return None
    if outcome in REJECTING:
        return FlagVerdict.UPHELD
    return FlagVerdict.REJECTED if outcome is Verdict.HOLDS else FlagVerdict.UNDECIDED


LEASE_SECONDS = 300
"""How long a taken item is held without a sign of the reviewer."""
RENEW_SECONDS = 60
"""How often an open page renews its lease."""
UNDO_SECONDS = 600
"""How long a reviewer may undo a verdict."""
FEWEST_VERDICTS = 1
MOST_VERDICTS = 5
"""Required verdicts per item."""
SETTLING = 2
"""So many equal verdicts settle an item, where the campaign asks for as many."""
HIGHEST_CONTROL_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class GivenVerdict:
    """A verdict that was not undone, and why it was required."""

    verdict: Verdict
    slot: SlotKind


@dataclass(frozen=True, slots=True)
class Settlement:
    """The state of an item. ``needs`` is the slot to be added now, None where none is to be added."""

    state: ItemState
    outcome: Verdict | None = None
    needs: SlotKind | None = None


def settlement(given: Sequence[GivenVerdict], *, n_required: int) -> Settlement:
    """The state of an item after these verdicts, in the order in which they were given.

    Of the required verdicts and the further one, the most frequent settles the item if at least two are equal and no
    other is as frequent; the only one does where one is required. Otherwise a further slot is added, and an
    adjudicator's after it. An adjudicator's verdict settles. A verdict on an item that was sent back confirms the
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
