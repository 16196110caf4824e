"""The lexical simulator: activations from a sentence's quoted tokens, word classes and positions."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from app.domain.arrays import Int32s
from app.domain.results import SimulatedExcerpt
from app.domain.tokens import Vocabulary
from worker.lexical.grammar import Clause
from worker.lexical.matching import Block
from worker.lexical.parser import executable, parse
from worker.method.contracts import CannotSimulate, Services


class LexicalSimulator:
    """Uses nothing but the sentence; docs/lexical.md describes what it understands."""

    name = "lexical"
    version = 1

    @classmethod
    def build(cls, parameters: Mapping[str, Any], services: Services) -> "LexicalSimulator":
        """The simulator of a method; it has no parameters."""
        return cls(**parameters)

    def simulate(
        self, text: str, excerpts: Sequence[tuple[int, Int32s]], vocabulary: Vocabulary
    ) -> tuple[SimulatedExcerpt, ...]:
        """Expected activations 0..10 of each excerpt. Raises CannotSimulate for a text without a claim."""
        clauses = readable(text)
        if not excerpts:
            return ()
        block = Block([ids for _, ids in excerpts], vocabulary)
        rows = np.split(block.predict(clauses), block.ends[:-1])
        return tuple(
            SimulatedExcerpt(excerpt_id, len(ids), row) for (excerpt_id, ids), row in zip(excerpts, rows, strict=True)
        )


def readable(text: str) -> tuple[Clause, ...]:
    """The clauses of a sentence. Raises CannotSimulate if no clause claims what the neuron fires on."""
    clauses = executable(text)
    if clauses:
        return clauses
    if parse(text):
        raise CannotSimulate(
            "This sentence only describes where the neuron does not fire. Describe what it fires on, too."
        )
    raise CannotSimulate(
        "Nothing in this sentence can be read. Quote the tokens it fires on, or name a class or a position: "
        'fires on " import" at the start of a line, weakly on digits after "=".'
    )
