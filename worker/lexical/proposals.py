"""What a sentence could claim about a neuron: targets and positions at which it fires in train records."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from app.domain.activations import FloatArray
from worker.lexical.classes import CLASSES
from worker.lexical.grammar import ANY, Affixed, Context, Named, Near, Quoted, Reach, Spot, Target
from worker.lexical.matching import Block, Positions

ACTIVE_SHARE = 0.25
"""Share of the train maximum from which a token counts as one that the neuron fires on."""
MOST_ACTIVE = 48
MOST_TOKENS = 24
MOST_NEIGHBOURS = 12
ALWAYS_NEIGHBOURS = 3
MOST_AFFIXES = 8
_SHORTEST_AFFIX, _LONGEST_AFFIX = 2, 4
_NAMED = tuple(Named(c.name) for c in CLASSES if c.name != ANY.name)


@dataclass(frozen=True, slots=True)
class Proposals:
    """Targets, ``any token`` first, and positions, "anywhere" (None) first."""

    targets: tuple[Target, ...]
    contexts: tuple[Context | None, ...]


def propose(block: Block, activations: FloatArray, n_train: int) -> Proposals:
    """Everything worth trying; looks at the first ``n_train`` tokens of the block alone."""
    active = _active(activations[:n_train])
    weights = activations[active]
    tokens = _heaviest(block, active, weights, MOST_TOKENS)
    classes = [c for c in _NAMED if block.target(c)[active].sum() >= min(2, len(active))]
    targets: list[Target] = [ANY, *(Quoted(t) for t in tokens), *_any_case(tokens), *classes, *_affixes(tokens)]
    return Proposals(tuple(dict.fromkeys(targets)), (None, *_contexts(block, active, weights)))


def _active(activations: FloatArray) -> Positions:
    """Positions where the neuron fires, the strongest first."""
    order = np.argsort(-activations, kind="stable")[:MOST_ACTIVE]
    active: Positions = order[activations[order] >= ACTIVE_SHARE * activations[order[0]]]
    return active


def _heaviest(block: Block, places: Positions, weights: FloatArray, most: int) -> list[bytes]:
    """The distinct tokens at these positions, those with the greatest summed activation first."""
    totals: Counter[int] = Counter()
    for token_id, weight in zip(block.ids[places].tolist(), weights.tolist(), strict=True):
        totals[token_id] += weight
    found = (block.token(token_id) for token_id, _ in totals.most_common(most))
    return [token for token in found if token]


def _any_case(tokens: Iterable[bytes]) -> list[Quoted]:
    """``the word "x"`` where it was seen in more than one form."""
    forms = Counter(t.strip().lower() for t in dict.fromkeys(tokens) if t.strip().isalpha())
    return [Quoted(word, any_case=True) for word, n in forms.items() if n > 1]


def _affixes(tokens: Sequence[bytes]) -> list[Affixed]:
    """Beginnings and endings that at least two of the tokens share."""
    texts = [t.decode("utf-8", errors="replace").strip() for t in tokens]
    words = {t for t in texts if t.isalpha()}
    shared: Counter[Affixed] = Counter()
    for word in words:
        for length in range(_SHORTEST_AFFIX, min(_LONGEST_AFFIX, len(word)) + 1):
            shared[Affixed("starting with", word[:length])] += 1
            shared[Affixed("ending in", word[-length:])] += 1
    common = sorted((a for a, n in shared.items() if n > 1), key=lambda a: (-shared[a], -len(a.text), a))
    return common[:MOST_AFFIXES]


def _contexts(block: Block, active: Positions, weights: FloatArray) -> list[Context]:
    spots: list[Context] = [s for s in Spot if block.spot(s)[active].sum() >= min(2, len(active))]
    near: list[Context] = []
    for distance, reach in ((1, Reach.NEXT), (2, Reach.SECOND)):
        inside = active - distance >= block.start[active]
        before = active[inside] - distance
        near += _neighbours(block, reach, [(at, at) for at in before.tolist()], weights[inside])
        if reach is Reach.NEXT:
            near += [Near(reach, (c,)) for c in _NAMED if block.target(c)[before].sum() >= min(2, len(before))]
    spans = list(zip(block.start[active].tolist(), (active - 1).tolist(), strict=True))
    return spots + near + _neighbours(block, Reach.LINE, spans, weights)


def _neighbours(block: Block, reach: Reach, spans: Sequence[tuple[int, int]], weights: FloatArray) -> list[Context]:
    """The tokens that occur in many of the spans (first to last index), in more than one excerpt.

    The heaviest few may occur in a single excerpt.
    """
    totals: dict[int, float] = {}
    excerpts: dict[int, set[int]] = {}
    for (first, last), weight in zip(spans, weights.tolist(), strict=True):
        for token_id in set(block.ids[first : last + 1].tolist()):
            totals[token_id] = totals.get(token_id, 0.0) + weight
            excerpts.setdefault(token_id, set()).add(int(block.start[first]))
    ordered = sorted(totals, key=lambda token_id: -totals[token_id])
    known = [i for rank, i in enumerate(ordered) if rank < ALWAYS_NEIGHBOURS or len(excerpts[i]) > 1]
    tokens = [block.token(i) for i in known if block.token(i)]
    if reach is Reach.LINE:
        tokens = [token for token in tokens if token.strip()]
    return [Near(reach, (Quoted(token),)) for token in tokens[:MOST_NEIGHBOURS]]
