"""Right explanations against wrong ones of known kinds: who wins, in pairs and between neurons."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from app.domain.intervals import Interval, share_interval
from app.domain.judgements import auc
from app.domain.steps.scored_records import NEIGHBOURS_COMPARED
from app.domain.token_table import STRONGEST_TOKENS
from app.errors import MethodError
from benchmarks.truth.numbers import EXECUTED, WHOLE_CORPUS, Numbers, Reader, built, numbers_of
from benchmarks.truth.pool import Neuron, Pool
from worker.lexical.grammar import ANY, NOT, sentence
from worker.lexical.parser import executable
from worker.lexical.planted import Peer, Planter
from worker.method.contracts import NeuronTask
from worker.method.pipeline import without_held_out
from worker.method.registry import BuiltMethod

CONDITIONS_DROPPED = "conditions_dropped"
"""The conditions of the claims are left out. Where that wins, the conditions were noise."""
UNDEFINED = -2.0
"""An undefined score is below every other: who finds nothing to score has noticed."""
NEURONS_AT_ONCE = 25


@dataclass(frozen=True, slots=True)
class Case:
    """A neuron with its right text and its wrong ones by kind, and every number of each text."""

    text: str
    right: Numbers
    wrong: Mapping[str, Numbers]


@dataclass(frozen=True, slots=True)
class Comparison:
    """How often right comes before wrong, ties counting half: of n pairs, and between neurons (an area)."""

    n: int
    paired: float
    paired_interval: Interval
    unpaired: float
    unpaired_interval: Interval


def explained(pool: Pool, *, seed: int) -> Iterator[tuple[Neuron, NeuronTask, str]]:
    """The neurons that the lexical explainer explains, with their task and its text."""
    method = built()
    for neuron in pool.neurons:
        peers = [other for other in pool.neurons if other.layer == neuron.layer and other is not neuron]
        near = nearest(neuron, peers)
        task = pool.task(neuron, seed=seed, peer=peers[0] if peers else None, neighbours=near)
        try:
            candidates = method.explainer.explain(without_held_out(task))
        except MethodError:
            continue
        yield neuron, task, candidates[0].text


def cases(pool: Pool, *, seed: int) -> list[Case]:
    """Every explained neuron with its wrong texts, scored."""
    method = built()
    known = list(explained(pool, seed=seed))
    peers = {n.number: Peer(text, strongest(n)) for n, _, text in known}
    planter = Planter(list(pool.tokens[:: max(1, len(pool.tokens) // 512)]), pool.vocabulary)
    found = []
    for first in range(0, len(known), NEURONS_AT_ONCE):
        reader = Reader(pool)
        for neuron, task, text in known[first : first + NEURONS_AT_ONCE]:
            of_layer = [peers[n.number] for n, _, _ in known if n.layer == neuron.layer and n.number != neuron.number]
            own = peers[neuron.number].tokens
            wrong: dict[str, str] = {
                str(kind): planted
                for kind, planted in planter.planted(
                    text, tokens=own, peers=of_layer, seed=seed + neuron.number
                ).items()
            }
            dropped = without_conditions(text)
            if dropped is not None:
                wrong[CONDITIONS_DROPPED] = dropped
            found.append(_case(text, wrong, neuron, task, (reader, method)))
    return found


def _case(
    text: str, wrong: Mapping[str, str], neuron: Neuron, task: NeuronTask, tools: tuple[Reader, BuiltMethod]
) -> Case:
    reader, method = tools
    return Case(
        text,
        numbers_of(text, neuron, task, reader, method),
        {kind: numbers_of(planted, neuron, task, reader, method) for kind, planted in wrong.items()},
    )


def nearest(neuron: Neuron, peers: Sequence[Neuron]) -> list[Neuron]:
    """The neurons of the layer that are most like it by co-firing and input weights, as a run is given them."""
    alike = {other.number: _likeness(neuron, other) for other in peers}
    order = sorted((other for other in peers if alike[other.number] > 0), key=lambda o: (-alike[o.number], o.index))
    return order[:NEIGHBOURS_COMPARED]


def _likeness(neuron: Neuron, other: Neuron) -> float:
    firing = float(neuron.firing @ other.firing)
    if neuron.weights is None or other.weights is None:
        return firing
    return (firing + float(neuron.weights @ other.weights)) / 2


def strongest(neuron: Neuron) -> frozenset[int]:
    """The tokens that stand for a neuron."""
    return frozenset(neuron.table.token_ids[:STRONGEST_TOKENS].tolist())


def without_conditions(text: str) -> str | None:
    """The same claims about the same tokens without conditions; None where there are none."""
    clauses = executable(text)
    dropped = tuple(
        replace(clause, conditions=()) if clause.strength != NOT and clause.targets != (ANY,) else clause
        for clause in clauses
    )
    return None if dropped == tuple(clauses) else sentence(dropped)


def compared(found: Sequence[Case], scorer: str, kind: str) -> Comparison | None:
    """Right against one kind of wrong by one scorer; None where there is no such pair, or the scorer has no number."""
    own = [case for case in found if kind in case.wrong]
    if all(numbers.get(scorer) is None for case in own for numbers in (case.right, case.wrong[kind])):
        return None
    right = np.array([_value(case.right, scorer) for case in own])
    wrong = np.array([_value(case.wrong[kind], scorer) for case in own])
    wins = float(np.heaviside(right - wrong, 0.5).sum())
    area = auc([True] * len(own) + [False] * len(own), [*right, *wrong])
    return Comparison(
        n=len(own),
        paired=wins / len(own),
        paired_interval=share_interval(int(wins), len(own)),
        unpaired=float(area.value or 0.0),
        unpaired_interval=area.interval or (0.0, 1.0),
    )


def _value(numbers: Numbers, scorer: str) -> float:
    value = numbers.get(scorer)
    return UNDEFINED if value is None else value


def kinds_of(found: Sequence[Case]) -> tuple[str, ...]:
    """The kinds of wrong text that there are, most frequent first."""
    kinds = [kind for case in found for kind in case.wrong]
    return tuple(sorted(set(kinds), key=lambda kind: (-kinds.count(kind), kind)))


def bias(found: Sequence[Case]) -> tuple[float, Interval]:
    """The weighted estimate less the executed score, over right texts: its mean with its 95 % interval."""
    pairs = [(case.right.get(WHOLE_CORPUS), case.right.get(EXECUTED)) for case in found]
    differences = np.array([a - b for a, b in pairs if a is not None and b is not None])
    half = 1.96 * float(differences.std(ddof=1)) / np.sqrt(len(differences))
    mean = float(differences.mean())
    return mean, (mean - half, mean + half)
