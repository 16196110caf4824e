"""Conversion between URLs and filters of the list of neurons.

A form sends empty fields as empty strings, so every field is parsed from a string here.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from urllib.parse import parse_qsl, urlencode

from app.domain.authors import AuthorKind
from app.domain.bounds import BIGGEST_INDEX, BIGGEST_LAYER, LONGEST_FIELD, LONGEST_NAME, LONGEST_SEARCH
from app.domain.doubts import Doubt
from app.domain.neurons import NeuronState
from app.domain.review import Verdict
from app.domain.slugs import LONGEST_KEY, parse_named_key
from app.errors import Invalid
from app.queries.common.inputs import one_of, plain_text
from app.queries.neurons.filters import ListReference, NeuronFilter
from app.queries.neurons.order import NeuronSort, SortKey


class TokenMatch(StrEnum):
    """How a token filter is compared with tokens."""

    WHOLE = "whole"
    PART = "part"
    """A token that holds the text."""


SIMULATOR_LIMIT = 200
DEFAULT_SORT, SORT_2023 = "-headline", "-score"
BY_RELEVANCE = "-relevance"
BY_MEANING = "-meaning"
AS_LISTED = "listed"
EVERYTHING = "all"
"""The query-string value for a list without filters."""

_SORTS = {
    f"{'-' if descending else ''}{key}": NeuronSort(key, descending)
    for key in SortKey
    for descending in (True, False)
    if descending or key is not SortKey.MEANING  # what is farthest from a text has nothing in common
}
SORT_LABELS = {
    "-headline": "Best over the whole corpus first",
    "headline": "Worst over the whole corpus first",
    "-score": "Best 2023 score first",
    "score": "Worst 2023 score first",
    "-margin": "Most above the token table first",
    "margin": "Most below the token table first",
    "-twin": "Farthest above the null twin first",
    "twin": "Least above the null twin first",
    "-firing_rate": "Fires most first",
    "firing_rate": "Fires least first",
    "-max": "Highest maximum first",
    "max": "Lowest maximum first",
    "position": "By position",
    "-position": "By position, from the end",
    AS_LISTED: "In the list's own order",
    "-listed": "The list from its end",
    BY_RELEVANCE: "Best match first",
    "relevance": "Worst match first",
    BY_MEANING: "Nearest in meaning first",
}


ORDERS_OF = {
    BY_RELEVANCE: "words",
    "relevance": "words",
    AS_LISTED: "in_list",
    "-listed": "in_list",
    BY_MEANING: "meaning",
}
"""Orders that are possible only if this field is set."""
RANGES = {
    "layer": "layers",
    "index": "indices",
    "headline": "whole-corpus score",
    "score": "2023 score",
    "margin": "over the token table",
    "twin": "above the null twin",
    "rate": "fires on",
}
"""The filters with a lowest and a highest value, in words."""
_CHIPS: Mapping[str, Callable[[str], str]] = {
    "words": lambda value: f"words: {value}",
    "meaning": lambda value: f"meaning: {value}",
    "token": lambda value: f"token: {value}",
    "token_match": lambda _: "or a part of a token",
    "layer": lambda value: f"layer {value}",
    "state": lambda value: value.replace("_", " "),
    "doubt": lambda value: f"doubt: {Doubt(value).label.lower()}",
    "by": lambda value: f"flagged or written by {value}",
    "in_list": lambda value: f"list: {(parse_named_key(value) or (0, ''))[1] or value}",
    "made_by": lambda value: f"method {value}",
    "author": lambda value: f"author: {value}",
    "verdict": lambda value: f"verdict: {Verdict(value).label.lower()}",
    "simulator": lambda value: f"simulator {value}",
}


@dataclass(frozen=True, slots=True)
class FilterChip:
    """A filter in words, with the query string of the list without it."""

    label: str
    query: str


@dataclass(frozen=True, slots=True)
class FilterFields:
    """The fields as sent, for forms and URLs that repeat them."""

    layer: str = ""
    layer_min: str = ""
    layer_max: str = ""
    index_min: str = ""
    index_max: str = ""
    headline_min: str = ""
    headline_max: str = ""
    score_min: str = ""
    score_max: str = ""
    margin_min: str = ""
    margin_max: str = ""
    twin_min: str = ""
    twin_max: str = ""
    rate_min: str = ""
    rate_max: str = ""
    state: str = ""
    doubt: str = ""
    words: str = ""
    meaning: str = ""
    """The text with which explanations are compared in the order by meaning; not a condition."""
    token: str = ""
    token_match: str = ""
    made_by: str = ""
    author: str = ""
    verdict: str = ""
    in_list: str = ""
    by: str = ""
    simulator: str = ""
    sort: str = ""

    @property
    def trail(self) -> str:
        """The query string by which a neuron's page refers to the list from which it was opened."""
        return f"?{urlencode({'list': urlencode(self.pairs(), safe='@/') or EVERYTHING}, safe='@/')}"

    def pairs(self, **changes: str | None) -> list[tuple[str, str]]:
        """The non-empty fields, with changes applied, as forms send them.

        If a field is removed, an order that depends on it is removed too.
        """
        fields = {name: getattr(self, name) for name in self.__slots__} | {"sort": self.sort or DEFAULT_SORT} | changes
        if (needed := ORDERS_OF.get(fields["sort"] or "")) is not None and not fields[needed]:
            fields["sort"] = None
        return [(name, value) for name, value in fields.items() if value and (name, value) != ("sort", DEFAULT_SORT)]

    def query(self, **changes: str | None) -> str:
        """The same as a query string with its question mark; empty without fields."""
        pairs = self.pairs(**changes)
        return f"?{urlencode(pairs, safe='@/')}" if pairs else ""

    @property
    def has_more(self) -> bool:
        """Whether a filter is set that the form hides at first."""
        return any((self.simulator, self.token_match, self.made_by, self.author, self.verdict)) or any(
            getattr(self, f"{name}_{end}") for name in RANGES for end in ("min", "max")
        )

    def chips(self) -> tuple["FilterChip", ...]:
        """Every filter that is set, in words, with the query string of the list without it."""
        found = [
            FilterChip(write(getattr(self, name)), self.query(**{name: None}))
            for name, write in _CHIPS.items()
            if getattr(self, name)
        ]
        for name, label in RANGES.items():
            low, high = getattr(self, f"{name}_min"), getattr(self, f"{name}_max")
            if low or high:
                words = f"{low} to {high}" if low and high else f"from {low}" if low else f"up to {high}"
                found.append(FilterChip(f"{label} {words}", self.query(**{f"{name}_min": None, f"{name}_max": None})))
        return tuple(found)

    @property
    def is_filtered(self) -> bool:
        """Whether any condition is set."""
        return bool(self.pairs(sort=None, meaning=None))


@dataclass(frozen=True, slots=True)
class ListRequest:
    """The fields as sent, and their meaning."""

    fields: FilterFields
    filter: NeuronFilter
    sort: NeuronSort

    @property
    def meaning(self) -> str:
        """The text with which explanations are compared; empty for none."""
        return self.fields.meaning.strip()

    def without_meaning(self) -> "ListRequest":
        """The same as if no meaning had been sent."""
        sort = "" if self.sort.key is SortKey.MEANING else self.fields.sort
        return replace(self, fields=replace(self.fields, meaning="", sort=sort), sort=_SORTS[sort or DEFAULT_SORT])

    def of_subject(self, *, has_headlines: bool) -> "ListRequest":
        """The same, sorted by the 2023 score if no order was chosen and no neuron has a whole-corpus score."""
        if self.fields.sort or has_headlines:
            return self
        return replace(self, fields=replace(self.fields, sort=SORT_2023), sort=_SORTS[SORT_2023])


def read_filters(fields: FilterFields) -> ListRequest:
    """Parse the fields. Raises Invalid, whose message names the invalid ones."""
    words = plain_text(fields.words, what="search", limit=LONGEST_SEARCH)
    meaning = plain_text(fields.meaning, what="search", limit=LONGEST_SEARCH)
    filters = NeuronFilter(
        layer=_whole_number(fields.layer, "layer", BIGGEST_LAYER),
        layer_min=_whole_number(fields.layer_min, "layer", BIGGEST_LAYER),
        layer_max=_whole_number(fields.layer_max, "layer", BIGGEST_LAYER),
        index_min=_whole_number(fields.index_min, "index", BIGGEST_INDEX),
        index_max=_whole_number(fields.index_max, "index", BIGGEST_INDEX),
        headline_min=_number(fields.headline_min.strip(), "whole-corpus score"),
        headline_max=_number(fields.headline_max.strip(), "whole-corpus score"),
        score_min=_number(fields.score_min.strip(), "2023 score"),
        score_max=_number(fields.score_max.strip(), "2023 score"),
        margin_min=_number(fields.margin_min.strip(), "margin"),
        margin_max=_number(fields.margin_max.strip(), "margin"),
        twin_min=_share(fields.twin_min.strip(), "percentile"),
        twin_max=_share(fields.twin_max.strip(), "percentile"),
        rate_min=_share(fields.rate_min.strip(), "firing rate"),
        rate_max=_share(fields.rate_max.strip(), "firing rate"),
        state=one_of(fields.state, NeuronState, what="state") if fields.state else None,
        doubt=one_of(fields.doubt, Doubt, what="doubt") if fields.doubt else None,
        words=words or None,
        token=_token(fields.token),
        token_part=bool(fields.token_match) and one_of(fields.token_match, TokenMatch, what="match") is TokenMatch.PART,
        method=plain_text(fields.made_by, what="method", limit=LONGEST_NAME) or None,
        author=one_of(fields.author, AuthorKind, what="author") if fields.author else None,
        verdict=one_of(fields.verdict, Verdict, what="verdict") if fields.verdict else None,
        in_list=_list(fields.in_list),
        by=plain_text(fields.by, what="name", limit=LONGEST_NAME) or None,
        simulator=plain_text(fields.simulator, what="simulator", limit=SIMULATOR_LIMIT) or None,
    )
    return ListRequest(fields, filters, _sort(fields.sort, filters, meaning))


def _sort(name: str, filters: NeuronFilter, meaning: str) -> NeuronSort:
    """The order with this name. Raises Invalid, also for one that needs a filter which is not set."""
    sort = _SORTS.get(name or DEFAULT_SORT)
    if sort is None:
        raise Invalid(f"There is no such order. Choose one of: {', '.join(_SORTS)}.")
    if sort.key is SortKey.RELEVANCE and not filters.words:
        raise Invalid("Only a search has a best match. Add words, or choose another order.")
    if sort.key is SortKey.MEANING and not meaning:
        raise Invalid("Only a search by meaning has a nearest explanation. Search by meaning, or choose another order.")
    if sort.key is SortKey.LISTED and filters.in_list is None:
        raise Invalid("Only a list of neurons has an order of its own. Choose another order.")
    return sort


def kept_filters(query: str) -> ListRequest:
    """The filters that a form repeats as a query string. Raises Invalid."""
    try:
        pairs = dict(parse_qsl(query, max_num_fields=len(FilterFields.__slots__)))
    except ValueError as error:
        raise Invalid("The filters of this form are damaged. Start again from the list.") from error
    return read_filters(FilterFields(**{k: v for k, v in pairs.items() if k in FilterFields.__slots__}))


def _whole_number(text: str, what: str, biggest: int) -> int | None:
    text = text.strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(biggest)) and int(text) <= biggest):
        raise Invalid(f"The {what} must be a whole number from 0. Choose one that the subject has.")
    return int(text)


def _list(text: str) -> ListReference | None:
    if not text:
        return None
    found = parse_named_key(plain_text(text, what="list", limit=LONGEST_KEY))
    if found is None:
        raise Invalid("The address names no list of neurons. Open the list again.")
    return ListReference(*found)


def _token(text: str) -> str | None:
    """The token as typed: white space is part of a token. Raises Invalid for a NUL."""
    plain_text(text, what="token", limit=LONGEST_FIELD)
    return text or None


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


def _share(text: str, what: str) -> float | None:
    """``0.5%`` or ``0.005`` as 0.005."""
    if text.endswith("%"):
        percentage = _number(text[:-1].strip() or "%", what)
        return None if percentage is None else percentage / 100
    return _number(text, what)
