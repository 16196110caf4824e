"""Facets as pages show them: values in words, each with its number of matches and the URL that filters by it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from app.domain.doubts import Doubt
from app.domain.review import Verdict
from app.queries.neurons.facets import RANGED, FacetCount, FacetKind, Facets
from app.queries.subjects.lookup import SubjectName
from app.web.listing.filters import FilterFields

NAMES = {
    FacetKind.SUBJECT: "Subject",
    FacetKind.LAYER: "Layer",
    FacetKind.STATE: "State",
    FacetKind.DOUBT: "Doubt",
    FacetKind.VERDICT: "Verdict of reviewers",
    FacetKind.AUTHOR: "Author",
    FacetKind.METHOD: "Method",
    FacetKind.HEADLINE: "Whole-corpus score",
    FacetKind.SCORE: "2023 score",
    FacetKind.MARGIN: "Over the token table",
    FacetKind.RATE: "Fires on",
}


@dataclass(frozen=True, slots=True)
class FacetValue:
    """A value of a facet."""

    label: str
    n: int
    address: str
    """URL of the matches with this value; if the value is set, of the matches without that filter."""
    is_set: bool
    """Whether the matches are already filtered by it."""


@dataclass(frozen=True, slots=True)
class FacetShown:
    """A facet with its values."""

    name: str
    values: tuple[FacetValue, ...]


def shown_facets(
    found: Facets, fields: FilterFields, *, path: str, subject: str, subjects: Mapping[str, SubjectName]
) -> tuple[FacetShown, ...]:
    """The facets of a list, those with a choice. ``subjects`` by their ids in digits."""
    return tuple(
        FacetShown(name, values)
        for kind, name in NAMES.items()
        if not (kind is FacetKind.SUBJECT and subject)
        and (values := tuple(_values(found, kind, fields, path, subject, subjects)))
    )


def _values(
    found: Facets,
    kind: FacetKind,
    fields: FilterFields,
    path: str,
    subject: str,
    subjects: Mapping[str, SubjectName],
) -> Iterator[FacetValue]:
    counts = [count for count in found.counts if count.kind is kind]
    if kind in RANGED or kind is FacetKind.LAYER:
        counts.sort(key=lambda count: int(count.value))
    for count in counts:
        if kind is FacetKind.SUBJECT:
            chosen = subjects[count.value]
            yield FacetValue(chosen.name, count.n, _address(path, fields, chosen.slug), is_set=False)
            continue
        changes = _changes(count)
        is_set = all(getattr(fields, name) == (value or "") for name, value in changes.items())
        wanted = dict.fromkeys(changes) if is_set else changes
        yield FacetValue(_label(count), count.n, _address(path, fields, subject, **wanted), is_set=is_set)


def _changes(count: FacetCount) -> dict[str, str | None]:
    """The filter fields that select what was counted."""
    if count.kind not in RANGED:
        return {str(count.kind): count.value}
    low, high = RANGED[count.kind][int(count.value)]
    ends = {"min": low, "max": high}
    return {f"{count.kind}_{name}": None if end is None else f"{end:g}" for name, end in ends.items()}


def _label(count: FacetCount) -> str:
    if count.kind in RANGED:
        return _range(count)
    match count.kind:
        case FacetKind.DOUBT:
            return Doubt(count.value).label
        case FacetKind.VERDICT:
            return Verdict(count.value).label
        case _:
            return count.value.replace("_", " ")


def _range(count: FacetCount) -> str:
    low, high = RANGED[count.kind][int(count.value)]
    if count.kind is FacetKind.MARGIN and high == 0.0:
        return "no better than the table"
    write = "{:g}%" if count.kind is FacetKind.RATE else "{:g}"
    ends = [
        None if end is None else write.format(end * 100 if count.kind is FacetKind.RATE else end) for end in (low, high)
    ]
    if ends[0] is None:
        return f"up to {ends[1]}"
    return f"from {ends[0]}" if ends[1] is None else f"{ends[0]} to {ends[1]}"


def _address(path: str, fields: FilterFields, subject: str, **changes: str | None) -> str:
    pairs = fields.pairs(**changes)
    if subject and path.startswith("/search"):
        pairs.append(("subject", subject))
    return f"{path}?{urlencode(pairs, safe='@/')}" if pairs else path
