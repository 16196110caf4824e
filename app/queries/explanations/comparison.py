"""Explanations of one neuron side by side: which ones, and everything that was simulated for them."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ARRAY, BigInteger, any_, bindparam, select
from sqlalchemy.orm import Session

from app.domain.bounds import MOST_SIDE_BY_SIDE
from app.domain.standing import speaks_for_its_run
from app.errors import Invalid, NotFound
from app.models import Simulation
from app.queries.neurons.claims import CandidateRow
from app.queries.neurons.page import StoredSimulation


@dataclass(frozen=True, slots=True)
class ComparedSimulation:
    """A simulation and the explanation that it is of."""

    explanation_id: int
    stored: StoredSimulation


_SIMULATIONS = (
    select(
        Simulation.explanation_id,
        Simulation.simulator,
        Simulation.kind,
        Simulation.split,
        Simulation.collection_id,
        Simulation.unit,
        Simulation.excerpt_ids,
        Simulation.expected,
        Simulation.failures,
    )
    .where(Simulation.explanation_id == any_(bindparam("explanation_ids", type_=ARRAY(BigInteger))))
    .order_by(Simulation.id)
)


def compared_simulations(session: Session, *, explanation_ids: Sequence[int]) -> tuple[ComparedSimulation, ...]:
    """What was simulated for these explanations, in the order in which it was stored. One query."""
    rows = session.execute(_SIMULATIONS, {"explanation_ids": list(explanation_ids)})
    return tuple(ComparedSimulation(row[0], StoredSimulation(*row[1:])) for row in rows)


def chosen_candidates(candidates: Sequence[CandidateRow], wanted: Sequence[int]) -> tuple[CandidateRow, ...]:
    """The wanted explanations in the order wanted; without a choice the newest by different authors, then the newest.

    Of a run only the candidate that speaks for it is chosen unasked.

    ``candidates`` are a neuron's, the newest first. Raises NotFound for an explanation that is none of them,
    Invalid for more than ``MOST_SIDE_BY_SIDE``.
    """
    wanted = list(dict.fromkeys(wanted))
    if len(wanted) > MOST_SIDE_BY_SIDE:
        raise Invalid(f"{len(wanted)} explanations are chosen; {MOST_SIDE_BY_SIDE} fit side by side. Take some away.")
    if not wanted:
        return _newest(candidates)
    by_id = {candidate.id: candidate for candidate in candidates}
    if missing := [i for i in wanted if i not in by_id]:
        raise NotFound(f"This neuron has no explanation {missing[0]}.")
    return tuple(by_id[i] for i in wanted)


def _newest(candidates: Sequence[CandidateRow]) -> tuple[CandidateRow, ...]:
    candidates = [candidate for candidate in candidates if speaks_for_its_run(candidate)]
    by_author: dict[tuple[str, str], CandidateRow] = {}
    for candidate in candidates:
        by_author.setdefault((candidate.author_kind, candidate.author), candidate)
    chosen = list(by_author.values())[:MOST_SIDE_BY_SIDE]
    if len(chosen) < 2:  # one author alone is compared with itself: how the text has drifted
        chosen = list(candidates[:2])
    return tuple(sorted(chosen, key=lambda candidate: candidate.id))
