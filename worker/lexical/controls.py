"""Controls of a campaign: planted texts that fail or hold partly, and texts that are known to hold."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from app.domain.review import ControlKind
from worker.lexical.planted import Peer, PlantedKind, Planter

PLANTED: Mapping[ControlKind, tuple[PlantedKind, ...]] = {
    ControlKind.SWAPPED: (PlantedKind.SWAPPED,),
    ControlKind.BROAD: (PlantedKind.TEN_TIMES_TOO_BROAD, PlantedKind.TWICE_TOO_BROAD),
    ControlKind.NARROW: (PlantedKind.TOO_NARROW,),
}
"""What a control of each kind is planted as; the first that can be made."""


@dataclass(frozen=True, slots=True)
class RightText:
    """A text that wrong ones are made of."""

    key: int
    layer: int
    text: str
    tokens: frozenset[int]
    """The neuron's strongest."""


def kinds_wanted(n: int, *, n_known: int, n_settled: int) -> list[ControlKind]:
    """The kinds of ``n`` controls: half are known to hold or were settled before, as far as there are such.

    The other half is swapped, broad and narrow in turn.
    """
    n_right = min(n // 2, n_known + n_settled)
    n_repeats = min(n_settled, n_right // 2) if n_known >= n_right - n_right // 2 else min(n_settled, n_right - n_known)
    right = [ControlKind.REPEAT] * n_repeats + [ControlKind.KNOWN_FUNCTION] * (n_right - n_repeats)
    planted = list(PLANTED)
    return right + [planted[i % len(planted)] for i in range(n - n_right)]


def plant(
    wanted: Sequence[ControlKind],
    texts: Sequence[RightText],
    planter: Planter,
    *,
    seed: int,
    tell: Callable[[int], None] = lambda n: None,
) -> Iterator[tuple[ControlKind, PlantedKind, RightText, str]]:
    """A wrong text for each wanted kind, each made of another neuron's text, in an order that the seed decides.

    Fewer where too few texts can be executed, or give nothing to make a kind of. ``tell`` is told the number made.
    """
    peers = defaultdict(list)
    for text in texts:
        peers[text.layer].append(text)
    missing = list(wanted)
    n_made = 0
    for index in np.random.default_rng(seed).permutation(len(texts)).tolist():
        if not missing:
            return
        own = texts[index]
        others = [Peer(peer.text, peer.tokens) for peer in peers[own.layer] if peer.key != own.key]
        found = planter.planted(own.text, tokens=own.tokens, peers=others, seed=seed + own.key)
        made = next(
            ((kind, planted) for kind in dict.fromkeys(missing) for planted in PLANTED[kind] if planted in found), None
        )
        if made is not None:
            missing.remove(made[0])
            n_made += 1
            tell(n_made)
            yield *made, own, found[made[1]]
