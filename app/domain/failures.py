"""The causes of failed runs and what a person can do. The errors themselves are sentences of the pipeline."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Cause(StrEnum):
    """The cause of a failed run."""

    NEVER_FIRES = "never_fires"
    NO_RECORDS = "no_records"
    LANGUAGE_MODEL = "language_model"
    """The language model refused the request and would again: a bad key, a used-up quota, an unknown model."""
    REPLY = "reply"
    """The language model replied, but no reply could be used."""
    CAPABILITY = "capability"
    SUBJECT = "subject"
    CAP = "cap"
    CRASHED = "crashed"
    OTHER = "other"

    @property
    def label(self) -> str:
        """The cause in words."""
        return _ADVICE[self][0]

    @property
    def next_step(self) -> str:
        """What a person can do."""
        return _ADVICE[self][1]


_ADVICE = {
    Cause.NEVER_FIRES: (
        "The neuron does not fire on this corpus",
        "Nothing is wrong with the method. Collect the subject over a larger or another corpus.",
    ),
    Cause.NO_RECORDS: (
        "There are too few excerpts to explain it from",
        "Collect the subject again; a longer corpus gives neurons that seldom fire more excerpts.",
    ),
    Cause.LANGUAGE_MODEL: (
        "The language model refused the request",
        "Check its key, quota and name with “neuron-audit provider probe”, then retry the runs.",
    ),
    Cause.REPLY: (
        "The language model's replies could not be used",
        "Read the replies on the run's explanation or calls. Another model, or another method, may follow the prompt.",
    ),
    Cause.CAPABILITY: (
        "The language model cannot do what the method needs",
        "Queue the neurons with a method that needs less, or probe the model again.",
    ),
    Cause.SUBJECT: (
        "The method runs the subject, and the worker has not loaded it",
        "Start a worker that has the subject's checkpoint and retry the runs.",
    ),
    Cause.CAP: (
        "The price cap was reached",
        "Raise the cap, or queue fewer neurons, and queue the rest again.",
    ),
    Cause.CRASHED: (
        "The worker ended in the middle, more than once",
        "See the worker's log and its memory, then retry the runs.",
    ),
    Cause.OTHER: (
        "Something unexpected happened",
        "Read the error below and retry the run. If it stays, report it with the error.",
    ),
}
_SIGNS = (
    (Cause.NEVER_FIRES, r"never fires|does not fire"),
    (Cause.NO_RECORDS, r"no train records|is a copy of one that is held out|no hard negatives|[Nn]o records"),
    (Cause.CAP, r"\bcap\b"),
    (Cause.SUBJECT, r"runs the subject itself|has loaded .* belongs to"),
    (Cause.CAPABILITY, r"does not offer|names no provider|cannot do"),
    (Cause.REPLY, r"no usable explanation|could not be (read|parsed)|every simulation failed|reply|replies"),
    (Cause.LANGUAGE_MODEL, r"\bHTTP \d|\bstatus \d|\bquota\b|\bkey\b|provider|language model|public address"),
    (Cause.CRASHED, r"[Ww]orker (crash|died|ended|froze)"),
)


def cause_of(error: str | None) -> Cause:
    """The cause to which an error's sentence belongs."""
    return next((cause for cause, sign in _SIGNS if re.search(sign, error or "")), Cause.OTHER)


@dataclass(frozen=True, slots=True)
class CauseCount:
    """The number of a batch's failed runs with one cause, and the error of one of them."""

    cause: Cause
    number: int
    example: str


def causes_of(errors: Iterable[str | None]) -> tuple[CauseCount, ...]:
    """The causes of these errors, the most frequent first."""
    found: dict[Cause, list[str]] = {}
    for error in errors:
        found.setdefault(cause_of(error), []).append(error or "")
    counts = (CauseCount(cause, len(own), own[0]) for cause, own in found.items())
    return tuple(sorted(counts, key=lambda count: (-count.number, list(Cause).index(count.cause))))
