"""Candidates for the claims of a sentence: targets and conditions that occur where the neuron fires.

Train records give both; the neuron's token table gives tokens that explain its variance over the corpus.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from app.domain.arrays import Float64s
from worker.lexical.classes import CLASSES, TokenClass
from worker.lexical.evidence import CORPUS, Evidence
from worker.lexical.grammar import ANY, Affixed, AffixKind, Condition, Named, Near, Quoted, Reach, Spot, Target
from worker.lexical.matching import Block, Positions

ACTIVE_SHARE = 0.25
"""Share of the train records' maximum from which the neuron counts as firing on a token."""
MOST_ACTIVE = 48
MOST_TOKENS = 24
MOST_NEIGHBOURS = 12
ALWAYS_NEIGHBOURS = 3
MOST_AFFIXES = 8
_SHORTEST_AFFIX, _LONGEST_AFFIX = 2, 4
WORDS_OF_AN_AFFIX = 3
MOSTLY = 0.7
"""Share of occurrences that must be whole words for a target to be called a word."""
MOST_OF_TABLE = 45
MOST_SEQUENCES = 8
_TOLD = 0.1
"""Share of a class's tokens that must be telltale ones."""


@dataclass(frozen=True, slots=True)
class Proposals:
    """Targets, beginning with ``any token``, and conditions, beginning with none ("anywhere")."""

    targets: tuple[Target, ...]
    conditions: tuple[Condition | None, ...]


def propose(evidence: Evidence) -> Proposals:
    """All proposals: tokens and contexts where the neuron fires in train records, and tokens of the table."""
    block, n_train = evidence.block, evidence.n_train
    active = _active(evidence.activations[:n_train])
    weights = evidence.activations[active]
    tokens = list(dict.fromkeys((*_heaviest(block, active, weights, MOST_TOKENS), *_of_table(evidence))))
    classes = [c for c in fitting_classes(block) if block.target(c)[active].sum() >= min(2, len(active))]
    sequences = _sequences(block, active, weights)
    quoted = [Quoted(text) for text in (*tokens, *sequences)]
    shapes: list[Quoted | Affixed] = [*_any_case(tokens), *_affixes(tokens)]
    shaped = [t for t in shapes if _is_of_words(block, t)]
    targets: list[Target] = [ANY, *quoted, *shaped, *classes]
    return Proposals(tuple(dict.fromkeys(targets)), (None, *_conditions(block, active, weights)))


def _of_table(evidence: Evidence) -> list[bytes]:
    """The tokens of the table that raise the neuron most over the corpus, by explained variance."""
    mean = float(evidence.weights[CORPUS] @ evidence.activations)
    # the rows are in this order already
    found = [
        evidence.table.token(token_id)
        for token_id, activation in zip(evidence.table.ids, evidence.activations[evidence.block.n :], strict=True)
        if activation > mean
    ]
    return [token for token in found if token][:MOST_OF_TABLE]


def fitting_classes(block: Block) -> list[Named]:
    """The classes whose names fit the text: no Python keywords if the text has no code."""
    return [Named(c.name) for c in CLASSES if c.name != ANY.name and (not c.telltale or _is_told(block, c))]


def _is_told(block: Block, token_class: TokenClass) -> bool:
    """Whether enough of a class's tokens are telltale ones, which other text does not have."""
    members = block.target(Named(token_class.name))
    cores = [block.table.cores[i] for i in block.ids[members].tolist()]
    return sum(core in token_class.telltale for core in cores) > _TOLD * len(cores)


def _sequences(block: Block, active: Positions, weights: Float64s) -> list[bytes]:
    """Beginnings of words that several tokens spell together, up to an active token, in at least two excerpts."""
    inside = block.spot(Spot.IN_WORD)
    totals: Counter[bytes] = Counter()
    excerpts: dict[bytes, set[int]] = {}
    for at, weight in zip(active.tolist(), weights.tolist(), strict=True):
        first = at
        while inside[first]:
            first -= 1
        if first == at:
            continue
        text = b"".join(block.token(i) for i in block.ids[first : at + 1].tolist())
        totals[text] += weight
        excerpts.setdefault(text, set()).add(int(block.start[at]))
    found = [text for text, _ in totals.most_common() if len(excerpts[text]) > 1]
    return found[:MOST_SEQUENCES]


def _active(activations: Float64s) -> Positions:
    """Positions where the neuron fires, the strongest first."""
    order = np.argsort(-activations, kind="stable")[:MOST_ACTIVE]
    active: Positions = order[activations[order] >= ACTIVE_SHARE * activations[order[0]]]
    return active


def _heaviest(block: Block, positions: Positions, weights: Float64s, most: int) -> list[bytes]:
    """The distinct tokens at these positions, those with the greatest summed activation first."""
    totals: Counter[int] = Counter()
    for token_id, weight in zip(block.ids[positions].tolist(), weights.tolist(), strict=True):
        totals[token_id] += weight
    found = (block.token(token_id) for token_id, _ in totals.most_common(most))
    return [token for token in found if token]


def _is_of_words(block: Block, target: Quoted | Affixed) -> bool:
    """Whether most matches of a word, its beginning or its ending start and end at word boundaries."""
    at = np.flatnonzero(block.target(target))
    inside = block.spot(Spot.IN_WORD)
    goes_on = np.append(inside[1:], False)
    begins = isinstance(target, Quoted) or target.kind is AffixKind.PREFIX
    ends = isinstance(target, Quoted) or target.kind is AffixKind.SUFFIX
    whole = ~(inside[at] & begins) & ~(goes_on[at] & ends)
    return bool(len(at)) and float(whole.mean()) >= MOSTLY


def _any_case(tokens: Iterable[bytes]) -> list[Quoted]:
    """``the word "x"`` if it occurs in more than one form."""
    forms = Counter(t.strip().lower() for t in dict.fromkeys(tokens) if t.strip().isalpha())
    return [Quoted(word, any_case=True) for word, n in forms.items() if n > 1]


def _affixes(tokens: Sequence[bytes]) -> list[Affixed]:
    """Beginnings and endings that at least three of the tokens' words share; "Error" and "error" are one word."""
    texts = [t.decode("utf-8", errors="replace").strip() for t in tokens]
    shared: dict[Affixed, set[str]] = {}
    for word in dict.fromkeys(t for t in texts if t.isalpha()):
        for length in range(_SHORTEST_AFFIX, min(_LONGEST_AFFIX, len(word) - 1) + 1):
            shared.setdefault(Affixed(AffixKind.PREFIX, word[:length]), set()).add(word.lower())
            shared.setdefault(Affixed(AffixKind.SUFFIX, word[-length:]), set()).add(word.lower())
    common = [a for a, words in shared.items() if len(words) >= WORDS_OF_AN_AFFIX]
    return sorted(common, key=lambda a: (-len(shared[a]), -len(a.text), a))[:MOST_AFFIXES]


def _conditions(block: Block, active: Positions, weights: Float64s) -> list[Condition]:
    spots: list[Condition] = [s for s in Spot if block.spot(s)[active].sum() >= min(2, len(active))]
    near: list[Condition] = []
    for distance, reach in ((1, Reach.NEXT), (2, Reach.SECOND)):
        inside = active - distance >= block.start[active]
        before = active[inside] - distance
        near += _neighbours(block, reach, [(at, at) for at in before.tolist()], weights[inside])
        if reach is Reach.NEXT:
            near += [
                Near(reach, (c,))
                for c in fitting_classes(block)
                if block.target(c)[before].sum() >= min(2, len(before))
            ]
    spans = list(zip(block.start[active].tolist(), (active - 1).tolist(), strict=True))
    return spots + near + _neighbours(block, Reach.LINE, spans, weights)


def _neighbours(block: Block, reach: Reach, spans: Sequence[tuple[int, int]], weights: Float64s) -> list[Condition]:
    """The tokens in many of the spans (first to last position), from more than one excerpt.

    The few with the greatest weight may be from a single excerpt.
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
