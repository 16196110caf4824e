"""Read Neuronpedia's exports, line by line. Batches are not joined by their numbers: rows say which neuron they are of.

The kind of a file is known by its folder (``features``, ``activations``, ``explanations``, ``explanations-MODEL``),
else by the fields of its rows.
"""

import re
from collections.abc import Iterator

from app.domain.samples import SampleKind
from app.formats import records as model
from app.formats.checks import (
    Refused,
    check_address,
    check_excerpt,
    check_number_of_records,
    check_text,
    finite,
    whole_number,
)
from app.formats.decoding import Decoder
from app.formats.neuronpedia import wire
from app.formats.problems import MALFORMED, Refuse, decoding_problem, problem
from app.formats.records import Origin
from app.formats.streams import Entry, Line, json_lines

TOP_BIN = -1.0
"""``binMin`` of the group with the highest activations."""
_SOURCE = re.compile(r"(\d+)(?:-(.*))?", re.DOTALL)
_FEATURE, _ACTIVATION = Decoder(wire.Feature), Decoder(wire.Activation)
_EXPLANATION, _MARK = Decoder(wire.Explanation), Decoder(wire.Mark)


class NeuronpediaReader:
    """Reads the files of Neuronpedia's public exports, and of what its tools write."""

    def reads(self, name: str) -> bool:
        """Whether a file of this name may hold rows."""
        return name.endswith(".jsonl") and name.rsplit("/", 1)[-1] not in _NOT_ROWS

    def records(self, entry: Entry, refuse: Refuse, *, after: int = 0) -> Iterator[model.NeuronRecord]:
        """The neurons of a file: one for each feature and explanation, one for all consecutive activations."""
        activations = _Consecutive(refuse)
        for line in json_lines(entry, refuse, after=after):
            kind = _kind_of(line)
            try:
                if kind == "activations":
                    yield from activations.add(line)
                elif kind == "explanations":
                    yield _explanation(line)
                else:
                    yield _feature(line)
            except Refused as error:
                refuse(problem(line.origin, str(error), error.field))
            except MALFORMED as error:
                refuse(decoding_problem(line.origin, error))
        yield from activations.end()


_NOT_ROWS = {"release.jsonl", "model.jsonl", "sourceset.jsonl", "source.jsonl"}


def _kind_of(line: Line) -> str:
    parts = line.origin.file.split("/")[:-1]
    for part in reversed(parts):
        if part in ("features", "activations", "explanations"):
            return part
        if part.startswith("explanations-"):
            return "explanations"
    try:
        mark, _ = _MARK.decode(line.content)
    except MALFORMED:
        return "features"
    if mark.tokens is not None:
        return "activations"
    return "features" if mark.description is None else "explanations"


def _address(row: wire.Row) -> tuple[int, int, str]:
    """Layer, index and source. Raises Refused for a row that does not say which neuron it is of."""
    if row.layer is None or row.index is None:
        raise Refused("it does not say which neuron it is about", "layer" if row.layer is None else "index")
    source = str(row.layer)
    found = _SOURCE.fullmatch(source)
    if found is None:
        raise Refused(f"{source[:40]!r} does not begin with the number of a layer", "layer")
    layer, index = int(found[1]), whole_number(row.index, "index")
    check_address(layer, index)
    return layer, index, source


def _feature(line: Line) -> model.NeuronRecord:
    row, _ = _FEATURE.decode(line.content)
    layer, index, source = _address(row)
    statistics = model.Statistics(max=row.maxActApprox, firing_rate=row.frac_nonzero)
    if not finite(statistics.known.values()):
        raise Refused("a statistic is not a finite number", "maxActApprox")
    facts = wire.others(row, "maxActApprox", "frac_nonzero")
    return model.NeuronRecord(
        layer, index, line.origin, model=row.modelId, source=source, statistics=statistics, facts=facts
    )


def _explanation(line: Line) -> model.NeuronRecord:
    row, _ = _EXPLANATION.decode(line.content)
    layer, index, source = _address(row)
    check_text(row.description or "")
    found = model.Explanation(
        row.description or "",
        author=author_of(row),
        method=row.typeName,
        created_at=row.createdAt,
        facts=wire.others(row, "description", "typeName", "createdAt"),
    )
    return model.NeuronRecord(layer, index, line.origin, model=row.modelId, source=source, explanations=[found])


def author_of(row: wire.Explanation) -> str | None:
    """The model that wrote a text, with the method; None if the row names neither."""
    if row.explanationModelName is None:
        return row.typeName
    return row.explanationModelName if row.typeName is None else f"{row.explanationModelName} ({row.typeName})"


class _Consecutive:
    """Activations of one neuron that follow each other, to become one record."""

    def __init__(self, refuse: Refuse) -> None:
        self._refuse = refuse
        self._key: tuple[int, int, str, str | None] | None = None
        self._rows: dict[SampleKind, list[model.ActivationRecord]] = {}
        self._origin = Origin("")

    def add(self, line: Line) -> Iterator[model.NeuronRecord]:
        """Add a row; yields the record before it where that is complete."""
        row, is_lax = _ACTIVATION.decode(line.content)
        key = (*_address(row), row.modelId)
        check_excerpt(row.tokens, row.values, is_lax=is_lax)
        if key != self._key:
            yield from self.end()
            self._key = key
        kind = kind_of_bin(row)
        rows = self._rows.setdefault(kind, [])
        check_number_of_records(len(rows) + 1, "tokens")
        rows.append(model.ActivationRecord(row.tokens, row.values, facts=wire.others(row, "tokens", "values")))
        self._origin = line.origin  # also the last line read, after which an import resumes

    def end(self) -> Iterator[model.NeuronRecord]:
        """The record of the rows that were added."""
        if self._key is not None:
            layer, index, source, name = self._key
            samples = tuple(model.SampleRecords(kind, rows) for kind, rows in self._rows.items())
            yield model.NeuronRecord(layer, index, self._origin, model=name, source=source, samples=samples)
        self._key, self._rows = None, {}


def kind_of_bin(row: wire.Activation) -> SampleKind:
    """The top sample for the top group, and where there are no groups: then all are the highest.

    Other groups are drawn from intervals of the activation, which are no quantiles.
    """
    return SampleKind.TOP if row.binMin is None or row.binMin == TOP_BIN else SampleKind.OTHER
