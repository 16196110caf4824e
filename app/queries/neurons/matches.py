"""The number of neurons that match a filter, counted up to a bound, so that no page is slower in a larger subject."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, ScalarSelect, Select, case, func, literal, select

from app.models import Neuron
from app.queries.neurons.filters import NeuronFilter, filter_conditions
from app.queries.neurons.search_words import SAMPLED

COUNT_BOUND = 10_000
"""Matches are counted up to this number; beyond it a list shows "10,000+"."""
SEARCH_COUNT_BOUND = 1_000
"""The same for searches, where each match requires reading its row."""

MANY_SAMPLED = 200
"""A search with this many matches in the sample has thousands: these are not counted, and the sample's are ranked."""


@dataclass(frozen=True, slots=True)
class Matches:
    """The number of matching neurons: exact, or a lower bound."""

    number: int
    exact: bool


def number_of(statement: Select[Any], bound: int) -> ScalarSelect[int]:
    """The number of a statement's rows, counted up to ``bound`` + 1."""
    return select(func.count()).select_from(statement.limit(bound + 1).subquery()).scalar_subquery()


def up_to(number: int, bound: int) -> Matches:
    """A number of matches that was counted up to ``bound`` + 1."""
    return Matches(min(number, bound), exact=number <= bound)


def bound_of(wanted: NeuronFilter) -> int:
    """The number up to which matches are counted."""
    return SEARCH_COUNT_BOUND if wanted.words else COUNT_BOUND


def matching_rows(subject_id: int | None, wanted: NeuronFilter) -> Select[int]:
    """A row for each matching neuron, to be counted."""
    return select(literal(1)).select_from(Neuron).where(*filter_conditions(subject_id, wanted))


def number_of_matches(subject_id: int | None, wanted: NeuronFilter) -> ColumnElement[int]:
    """The number of matching neurons, counted up to ``bound_of`` + 1.

    Words with many matches in the sample are not counted further: an index scan would read all of their matches.
    """
    matching, bound = matching_rows(subject_id, wanted), bound_of(wanted)
    if not wanted.words:
        return number_of(matching, bound)
    n_sampled = number_of(matching.where(SAMPLED), MANY_SAMPLED)
    return case((n_sampled >= MANY_SAMPLED, bound + 1), else_=number_of(matching, bound))
