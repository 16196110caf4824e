"""The filters of the list of neurons, between addresses and queries.

A form sends empty fields as empty texts, so every field is read as text here.
"""

import math
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import parse_qsl, urlencode

from fastapi import Depends, Query

from app.domain.bounds import BIGGEST_LAYER, LONGEST_FIELD, LONGEST_SEARCH
from app.domain.doubts import Doubt
from app.domain.neurons import NeuronState
from app.errors import Invalid
from app.queries.common.inputs import one_of, plain_text
from app.queries.neurons.filters import NeuronFilter
from app.queries.neurons.order import NeuronSort, SortKey

SIMULATOR_LIMIT = 200
DEFAULT_SORT = "-score"

_SORTS = {
    f"{'-' if descending else ''}{key}": NeuronSort(key, descending) for key in SortKey for descending in (True, False)
}
SORT_LABELS = {
    "-score": "Best score first",
    "score": "Worst score first",
    "-firing_rate": "Fires most first",
    "firing_rate": "Fires least first",
    "-max": "Highest maximum first",
    "max": "Lowest maximum first",
    "position": "By position",
    "-position": "By position, from the end",
}


@dataclass(frozen=True, slots=True)
class FilterFields:
    """The fields as they were sent, for forms and addresses that repeat them."""

    layer: str = ""
    score_min: str = ""
    score_max: str = ""
    rate_min: str = ""
    rate_max: str = ""
    state: str = ""
    doubt: str = ""
    words: str = ""
    simulator: str = ""
    sort: str = DEFAULT_SORT

    def pairs(self, **changes: str | None) -> list[tuple[str, str]]:
        """The fields that are filled in, with changes, as forms send them."""
        fields = {name: getattr(self, name) for name in self.__slots__} | {"sort": self.sort or DEFAULT_SORT} | changes
        return [(name, value) for name, value in fields.items() if value and (name, value) != ("sort", DEFAULT_SORT)]

    def query(self, **changes: str | None) -> str:
        """The same as a query string with its question mark, or nothing."""
        pairs = self.pairs(**changes)
        return f"?{urlencode(pairs, safe='@/')}" if pairs else ""

    @property
    def is_filtered(self) -> bool:
        """Whether any condition is set."""
        return bool(self.pairs(sort=None))


@dataclass(frozen=True, slots=True)
class ListRequest:
    """The fields as they were sent, and what they mean."""

    fields: FilterFields
    filter: NeuronFilter
    sort: NeuronSort


def read_filters(fields: FilterFields) -> ListRequest:
    """What the fields mean. Raises Invalid, whose message names the invalid ones."""
    words = plain_text(fields.words, what="search", limit=LONGEST_SEARCH)
    meaning = NeuronFilter(
        layer=_layer(fields.layer.strip()),
        score_min=_number(fields.score_min.strip(), "score"),
        score_max=_number(fields.score_max.strip(), "score"),
        rate_min=_share(fields.rate_min.strip()),
        rate_max=_share(fields.rate_max.strip()),
        state=one_of(fields.state, NeuronState, what="state") if fields.state else None,
        doubt=one_of(fields.doubt, Doubt, what="doubt") if fields.doubt else None,
        words=words or None,
        simulator=plain_text(fields.simulator, what="simulator", limit=SIMULATOR_LIMIT) or None,
    )
    sort = _SORTS.get(fields.sort or DEFAULT_SORT)
    if sort is None:
        raise Invalid(f"There is no such order. Choose one of: {', '.join(_SORTS)}.")
    return ListRequest(fields, meaning, sort)


Text = Annotated[str, Query(max_length=LONGEST_FIELD)]
Share = Annotated[str, Query(max_length=LONGEST_FIELD, description="A share, or a percentage with its sign")]


async def sent_filters(  # noqa: PLR0913, PLR0917 - FastAPI reads a route's inputs from its arguments
    layer: Text = "",
    score_min: Text = "",
    score_max: Text = "",
    rate_min: Share = "",
    rate_max: Share = "",
    state: Annotated[str, Query(max_length=LONGEST_FIELD, description=", ".join(NeuronState))] = "",
    doubt: Annotated[str, Query(max_length=LONGEST_FIELD, description=", ".join(Doubt))] = "",
    words: Annotated[str, Query(description="In the explanation, as in web search engines")] = "",
    simulator: Annotated[str, Query(description="Of the score, with its calibration, e.g. structured+linear")] = "",
    sort: Annotated[str, Query(max_length=LONGEST_FIELD, description=", ".join(SORT_LABELS))] = DEFAULT_SORT,
) -> ListRequest:
    """The filters of the address. Raises Invalid."""
    return read_filters(
        FilterFields(layer, score_min, score_max, rate_min, rate_max, state, doubt, words, simulator, sort)
    )


def kept_filters(query: str) -> ListRequest:
    """The filters that a form has kept as a query string. Raises Invalid."""
    try:
        pairs = dict(parse_qsl(query, max_num_fields=len(FilterFields.__slots__)))
    except ValueError as error:
        raise Invalid("The filters of this form are damaged. Start again from the list.") from error
    return read_filters(FilterFields(**{k: v for k, v in pairs.items() if k in FilterFields.__slots__}))


ListFilters = Annotated[ListRequest, Depends(sent_filters)]


def _layer(text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= BIGGEST_LAYER):
        raise Invalid("A layer is a whole number from 0. Choose one from the list.")
    return int(text)


def _number(text: str, what: str) -> float | None:
    if not text:
        return None
    try:
        number = float(text.replace(",", ".").replace("−", "-"))
    except ValueError as error:
        raise Invalid(f"The {what} cannot be read as a number. Write it like 0.25.") from error
    if not math.isfinite(number):
        raise Invalid(f"The {what} must be a finite number, like 0.25.")
    return number


def _share(text: str) -> float | None:
    """``0.5%`` or ``0.005`` as 0.005."""
    if text.endswith("%"):
        percentage = _number(text[:-1].strip() or "%", "firing rate")
        return None if percentage is None else percentage / 100
    return _number(text, "firing rate")
