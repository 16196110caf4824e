"""Saved views of a list: common questions as URLs."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from app.domain.doubts import Doubt
from app.domain.neurons import NeuronState
from app.queries.lists.searches import KeptSearch
from app.queries.people.accounts import Viewer
from app.web.listing.filters import FilterFields


@dataclass(frozen=True, slots=True)
class SavedView:
    """A view with its address, and whether the list shows it now."""

    name: str
    address: str
    is_shown: bool


def saved_views(
    path: str, fields: FilterFields, viewer: Viewer | None, searches: Sequence[KeptSearch]
) -> tuple[SavedView, ...]:
    """Every view of the list at ``path``, then the searches that the viewer has saved for it."""
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
    known = [SavedView(name, f"{path}{view.query()}", shown == _without_order(view)) for name, view in views.items()]
    own = [(each, urlsplit(each.leads_to)) for each in searches]
    return (
        *known,
        *(
            SavedView(each.name, each.leads_to, sorted(shown) == _pairs(address.query))
            for each, address in own
            if address.path == path
        ),
    )


def _pairs(query: str) -> list[tuple[str, str]]:
    """The fields of a URL except order and position, sorted."""
    return sorted(pair for pair in parse_qsl(query) if pair[0] not in ("sort", "after", "before"))


def _without_order(fields: FilterFields) -> list[tuple[str, str]]:
    return fields.pairs(sort=None)
