"""Saved views of a list: the questions that most people ask, as addresses."""

from dataclasses import dataclass

from app.domain.doubts import Doubt
from app.domain.neurons import NeuronState
from app.queries.people.accounts import Viewer
from app.web.listing.filters import FilterFields


@dataclass(frozen=True, slots=True)
class SavedView:
    """A view with its address, and whether the list shows it now."""

    name: str
    address: str
    is_shown: bool


def saved_views(path: str, fields: FilterFields, viewer: Viewer | None) -> tuple[SavedView, ...]:
    """Every view of the list at ``path``. The last one, of a person's own neurons, needs an account."""
    views = {
        "all": FilterFields(),
        "doubtful": FilterFields(state=NeuronState.DOUBTFUL),
        "below table": FilterFields(doubt=Doubt.BELOW_TABLE),
        "flagged": FilterFields(state=NeuronState.FLAGGED),
        "unexplained": FilterFields(state=NeuronState.UNEXPLAINED),
    }
    if viewer is not None:
        views["mine"] = FilterFields(by=viewer.name)
    shown = _without_order(fields)
    return tuple(
        SavedView(name, f"{path}{view.query()}", shown == _without_order(view)) for name, view in views.items()
    )


def _without_order(fields: FilterFields) -> list[tuple[str, str]]:
    return fields.pairs(sort=None)
