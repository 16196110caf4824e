"""How many neurons match a filter: counted up to a bound, so that no page costs more in a larger subject."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, ScalarSelect, Select, case, func, literal, select

from app.models import Neuron
from app.queries.neurons.filters import NeuronFilter, filter_conditions
from app.queries.neurons.search_words import SAMPLED

COUNT_BOUND = 10_000
"""Matches are counted up to here; beyond it a list shows "10,000+"."""
SEARCH_COUNT_BOUND = 1_000
"""The same for searches, where every match costs a look at its row."""

MANY_SAMPLED = 200
"""A search with so many matches in the sample has thousands: they are not counted, and the sample's are ranked."""


@dataclass(frozen=True, slots=True)
class Matches:
    """How many neurons match: exactly, or at least so many."""

    number: int
    exact: bool


def number_of(statement: Select[Any], bound: int) -> ScalarSelect[int]:
    """The number of a statement's rows, counted up to one more than a bound."""
    return select(func.count()).select_from(statement.limit(bound + 1).subquery()).scalar_subquery()


def up_to(number: int, bound: int) -> Matches:
    """So many matches, of which no more than a bound were counted."""
    return Matches(min(number, bound), exact=number <= bound)


def bound_of(wanted: NeuronFilter) -> int:
    """Up to how many matches are counted."""
    return SEARCH_COUNT_BOUND if wanted.words else COUNT_BOUND


def number_of_matches(subject_id: int | None, wanted: NeuronFilter) -> ColumnElement[int]:
    """The number of neurons that match, counted up to one more than ``bound_of`` them.

    Words with many matches in the sample are counted no further: an index would read all that it has of them.
    """
    matching = select(literal(1)).select_from(Neuron).where(*filter_conditions(subject_id, wanted))
    bound = bound_of(wanted)
    if not wanted.words:
        return number_of(matching, bound)
    n_sampled = number_of(matching.where(SAMPLED), MANY_SAMPLED)
    return case((n_sampled >= MANY_SAMPLED, bound + 1), else_=number_of(matching, bound))
