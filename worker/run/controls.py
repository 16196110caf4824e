"""The handler that makes the controls of a campaign."""

from collections.abc import Iterator
from functools import partial

import numpy as np

from app.db import Sessions, transaction
from app.domain.review import ControlKind
from app.domain.tokens import Vocabulary
from app.queries.neurons.records import vocabulary
from app.queries.review.controls import ControlMaterial, MadeControl, control_material, store_controls
from app.work.lease import TaskLease
from worker.lexical.controls import PLANTED, RightText, kinds_wanted, plant
from worker.lexical.planted import Planter
from worker.run.held import Done, HeldWork

REPEATED_SHARE = 8
"""One in this many controls repeats an item of its own campaign."""


class ControlsHandler:
    """Makes wrong texts and selects right ones; the campaign opens in the transaction that ends the task."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def __call__(self, held: HeldWork[TaskLease]) -> Done:
        """Return the number of controls. Raises NotFound, Conflict for a campaign that is open already."""
        campaign_id = held.lease.parameters["campaign_id"]
        held.doing = f"the controls of campaign {campaign_id}"
        material, words = held.through_outages(partial(_read, self._sessions, campaign_id))
        repeated = repeated_later(material)
        controls = list(_made(held, material, words, n=material.n_wanted - len(repeated)))
        return Done(
            result={"n_wanted": material.n_wanted, "n_made": len(controls) + len(repeated)},
            store=partial(store_controls, campaign_id=campaign_id, controls=controls, repeated=repeated),
        )


def _read(sessions: Sessions, campaign_id: int) -> tuple[ControlMaterial, Vocabulary]:
    with transaction(sessions) as session:
        material = control_material(session, campaign_id=campaign_id)
        return material, vocabulary(session, tokenizer_id=material.tokenizer_id)


def repeated_later(material: ControlMaterial) -> list[int]:
    """The campaign's own items to be repeated once they are settled: one control in eight, drawn by seed."""
    n = min(material.n_wanted // REPEATED_SHARE, len(material.repeatable))
    drawn = np.random.default_rng([material.seed, REPEATED_SHARE]).permutation(len(material.repeatable))[:n]
    return [material.repeatable[i] for i in drawn]


def _made(held: HeldWork[TaskLease], material: ControlMaterial, words: Vocabulary, *, n: int) -> Iterator[MadeControl]:
    generator = np.random.default_rng(material.seed)
    free = [source for source in material.sources if not source.is_item] or list(material.sources)
    known = [source for source in free if source.is_known_to_hold]
    kinds = kinds_wanted(n, n_known=len(known), n_settled=len(material.settled))
    right = [
        MadeControl(
            ControlKind.KNOWN_FUNCTION,
            known[i].explanation_id,
            detail={"precision": known[i].precision, "recall": known[i].recall},
        )
        for i in generator.permutation(len(known))[: kinds.count(ControlKind.KNOWN_FUNCTION)]
    ]
    yield from right
    for i in generator.permutation(len(material.settled))[: kinds.count(ControlKind.REPEAT)]:
        settled = material.settled[i]
        yield MadeControl(ControlKind.REPEAT, settled.explanation_id, repeats=settled)
    used = {control.explanation_id for control in right}
    texts = [
        RightText(source.explanation_id, source.layer, source.text, source.strongest_tokens)
        for source in free
        if source.explanation_id not in used
    ]
    wanted = [kind for kind in kinds if kind in PLANTED]
    planter = Planter([np.array(excerpt, dtype=np.int32) for excerpt in material.excerpts], words)

    def tell(n: int) -> None:
        held.report("planting wrong texts", n / len(wanted))

    for kind, planted, own, text in plant(wanted, texts, planter, seed=material.seed, tell=tell):
        yield MadeControl(kind, own.key, text, detail={"planted": planted, "right": own.text})
