"""How well scores and doubts find explanations that were made wrong in a known way, among right ones."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from app.domain.audit.prediction import found_at_false_alarms
from app.domain.judgements import auc
from app.domain.scores import Estimate
from benchmarks.truth.numbers import (
    DOUBTS,
    DOUBTS_ESTIMATED,
    EXECUTED,
    FOUND_TEXTS,
    NEIGHBOURS,
    SCORE_2023,
    WHOLE_CORPUS,
    Numbers,
)
from benchmarks.truth.planted import UNDEFINED, Case, kinds_of

SHARES = (0.05, 0.2, 0.5)
"""Of the explanations that are wrong."""
FALSE_ALARMS = 0.05
ANY_KIND = "any_kind"
"""Each wrong text is of a kind that chance decides."""
COUNTED = (DOUBTS, DOUBTS_ESTIMATED)
"""The more of them, the more suspected is a text."""
DETECTORS = (
    EXECUTED, WHOLE_CORPUS, SCORE_2023, "detection_auc", "fuzzing_auc", NEIGHBOURS, FOUND_TEXTS, *COUNTED
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Found:
    """How well a detector finds one kind of wrong explanation. ``at_alarms``: the share found at 5 % false alarms."""

    kind: str
    share: float
    detector: str
    n_wrong: int
    n_right: int
    area: Estimate
    at_alarms: float | None


def found(cases: Sequence[Case], *, seed: int) -> Iterator[Found]:
    """Every detector on every kind at every share. Each neuron has one text: its right one or a wrong one."""
    kinds = kinds_of(cases)
    for kind in (*kinds, ANY_KIND) if len(kinds) > 1 else kinds:
        generator = np.random.default_rng(seed)
        pairs = [(case.right, _wrong(case, kind, generator)) for case in cases if kind in (*case.wrong, ANY_KIND)]
        own = [(right, wrong) for right, wrong in pairs if wrong is not None]
        order = generator.permutation(len(own))
        for share in SHARES:
            n_wrong = round(share * len(own))
            is_wrong = [int(rank) < n_wrong for rank in order]
            if any(is_wrong) and not all(is_wrong):
                yield from _detected(kind, share, own, is_wrong)


def _wrong(case: Case, kind: str, generator: np.random.Generator) -> Numbers | None:
    if kind != ANY_KIND:
        return case.wrong[kind]
    kinds = sorted(case.wrong)
    return case.wrong[kinds[int(generator.integers(len(kinds)))]] if kinds else None


def _detected(
    kind: str, share: float, own: Sequence[tuple[Numbers, Numbers]], is_wrong: Sequence[bool]
) -> Iterator[Found]:
    shown = [wrong if flag else right for (right, wrong), flag in zip(own, is_wrong, strict=True)]
    n_wrong = sum(is_wrong)
    for detector in DETECTORS:
        if not any(detector in right for right, _ in own):
            continue
        suspicion = [suspected(numbers, detector) for numbers in shown]
        yield Found(
            kind,
            share,
            detector,
            n_wrong,
            len(own) - n_wrong,
            auc(is_wrong, suspicion),
            found_at_false_alarms(is_wrong, suspicion, false_alarms=FALSE_ALARMS),
        )


def suspected(numbers: Numbers, detector: str) -> float:
    """How much a detector doubts a text: the lower its score, the more; an undefined score most of all."""
    value = numbers.get(detector)
    if detector in COUNTED:
        return value or 0.0
    return -(UNDEFINED if value is None else value)
