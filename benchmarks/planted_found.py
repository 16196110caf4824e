"""How well scores and doubts find explanations that were made wrong in a known way, among right ones."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from app.domain.audit.prediction import found_at_false_alarms
from app.domain.doubts import Facts, Measure, ScoreFacts, doubts
from app.domain.judgements import auc
from app.domain.scores import Estimate
from benchmarks.truth.numbers import EXECUTED, SCORE_2023, WHOLE_CORPUS, Numbers
from benchmarks.truth.planted import UNDEFINED, Case, kinds_of

SHARES = (0.05, 0.2, 0.5)
"""Of the explanations that are wrong."""
FALSE_ALARMS = 0.05
DOUBTS = "doubts"
"""How many doubts are raised."""
DETECTORS = (EXECUTED, WHOLE_CORPUS, SCORE_2023, "detection_auc", DOUBTS)


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
    """Every detector on every kind at every share. Each neuron has one text: its right one or the wrong one."""
    for kind in kinds_of(cases):
        own = [case for case in cases if kind in case.wrong]
        order = np.random.default_rng(seed).permutation(len(own))
        for share in SHARES:
            n_wrong = round(share * len(own))
            wrong = [int(place) < n_wrong for place in order]
            if not any(wrong) or all(wrong):
                continue
            shown = [case.wrong[kind] if is_wrong else case.right for case, is_wrong in zip(own, wrong, strict=True)]
            for detector in DETECTORS:
                suspicion = [suspected(numbers, detector) for numbers in shown]
                yield Found(
                    kind,
                    share,
                    detector,
                    n_wrong,
                    len(own) - n_wrong,
                    auc(wrong, suspicion),
                    found_at_false_alarms(wrong, suspicion, false_alarms=FALSE_ALARMS),
                )


def suspected(numbers: Numbers, detector: str) -> float:
    """How much a detector doubts a text: the lower its score, the more; an undefined score most of all."""
    if detector == DOUBTS:
        return float(len(doubts(facts_of(numbers))))
    value = numbers.get(detector)
    return -(UNDEFINED if value is None else value)


def facts_of(numbers: Numbers) -> Facts:
    """What doubts follow from, as far as these numbers know it."""
    score, margin = numbers.get(SCORE_2023), numbers.get(f"{SCORE_2023}_margin")
    return Facts(
        text="",
        scores=ScoreFacts(
            score=None if score is None else Measure(score),
            token_table=None if score is None or margin is None else score - margin,
            precision=_measure(numbers.get("whole_corpus_precision")),
            recall=_measure(numbers.get("whole_corpus_recall")),
            n_valid=1,
        ),
    )


def _measure(value: float | None) -> Measure | None:
    return None if value is None else Measure(value)
