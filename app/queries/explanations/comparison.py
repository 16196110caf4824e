"""The choice of a neuron's explanations for side-by-side comparison."""

from collections.abc import Sequence

from app.domain.bounds import MOST_SIDE_BY_SIDE
from app.domain.standing import speaks_for_its_run
from app.errors import Invalid, NotFound
from app.queries.neurons.claims import ExplanationRow


def chosen_explanations(explanations: Sequence[ExplanationRow], wanted: Sequence[int]) -> tuple[ExplanationRow, ...]:
    """The wanted explanations, in the order wanted. Without a choice: the newest by different authors, then the newest.

    By default only the candidate that represents its run is chosen.

    ``explanations`` are a neuron's, the newest first. Raises NotFound for an explanation that is not among them,
    Invalid for more than ``MOST_SIDE_BY_SIDE``.
    """
    wanted = list(dict.fromkeys(wanted))
    if len(wanted) > MOST_SIDE_BY_SIDE:
        raise Invalid(f"{len(wanted)} explanations are chosen; {MOST_SIDE_BY_SIDE} fit side by side. Remove some.")
    if not wanted:
        return _newest(explanations)
    by_id = {explanation.id: explanation for explanation in explanations}
    if missing := [i for i in wanted if i not in by_id]:
        raise NotFound(f"This neuron has no explanation {missing[0]}.")
    return tuple(by_id[i] for i in wanted)


def _newest(explanations: Sequence[ExplanationRow]) -> tuple[ExplanationRow, ...]:
    explanations = [explanation for explanation in explanations if speaks_for_its_run(explanation)]
    by_author: dict[tuple[str, str], ExplanationRow] = {}
    for explanation in explanations:
        by_author.setdefault((explanation.author_kind, explanation.author), explanation)
    chosen = list(by_author.values())[:MOST_SIDE_BY_SIDE]
    if len(chosen) < 2:  # a single author is compared with its own earlier texts
        chosen = list(explanations[:2])
    return tuple(sorted(chosen, key=lambda explanation: explanation.id))
