"""Read OpenAI's files: activations, explanations with their simulations, related tokens and neurons.

The kind of a file is known by its folder, or by its ending: ``.json`` holds activations, ``.jsonl`` explanations.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from app.domain.samples import BANDS, SampleKind
from app.formats import records as model
from app.formats.checks import Refused, check_address, check_excerpt, check_number_of_records, finite
from app.formats.decoding import Decoder
from app.formats.openai import wire
from app.formats.openai.explanations import results
from app.formats.problems import MALFORMED, Refuse, decoding_problem, problem
from app.formats.records import Origin
from app.formats.streams import Entry, Line, json_lines, whole_document

_PATH = re.compile(r"(?:^|/)(?P<layer>\d+)/(?P<index>\d+)\.jsonl?$")

_RECORD = Decoder(wire.NeuronRecord)
_RAW_RECORD = Decoder(wire.RawNeuronRecord)
_ACTIVATIONS = Decoder(wire.Activations)
_RELATED: Mapping[str, Decoder[Any]] = {
    "related-tokens/activation-based": Decoder(wire.RelatedTokens),
    "related-tokens/weight-based": Decoder(wire.TokenWeights),
    "related-neurons/weight-based": Decoder(wire.RelatedNeurons),
}
"""Relations by the folder of the file; the neuron is known by the file's name alone."""


class OpenAIReader:
    """Reads the files of OpenAI's public data, and of what its tools write."""

    def reads(self, name: str) -> bool:
        """Whether a file of this name may hold a neuron."""
        return name.endswith((".json", ".jsonl"))

    def records(self, entry: Entry, refuse: Refuse, *, after: int = 0) -> Iterator[model.NeuronRecord]:
        """The neurons of a file; of a file of lines those after line ``after``."""
        if entry.name.endswith(".jsonl"):
            for line in json_lines(entry, refuse, after=after):
                yield from results(line, refuse)
            return
        document = whole_document(entry, refuse)
        if document is None:
            return
        related = next((kind for kind in _RELATED if f"{kind}/" in f"/{entry.name}"), None)
        yield from _neuron(document, refuse) if related is None else _related(document, related, refuse)


def _neuron(document: Line, refuse: Refuse) -> Iterator[model.NeuronRecord]:
    origin = document.origin
    found: wire.NeuronRecord | wire.RawNeuronRecord
    try:
        try:
            found, is_lax = _RECORD.decode(document.content)
        except MALFORMED:  # one activation record is: the others are kept
            found, is_lax = _RAW_RECORD.decode(document.content)
        layer, index = wire.address(found.neuron_id)
        check_address(layer, index)
        samples = tuple(_samples(found, origin, refuse, is_lax))
    except Refused as error:
        refuse(problem(origin, str(error), error.field))
        return
    except MALFORMED as error:
        refuse(decoding_problem(origin, error))
        return
    statistics = model.Statistics(found.mean, found.variance, found.skewness, found.kurtosis)
    if not finite(statistics.known.values()):
        refuse(problem(origin, "a moment of the activations is not a finite number", "mean"))
        statistics = model.NOTHING_KNOWN
    facts = {} if found.quantile_boundaries is None else {"quantile_boundaries": found.quantile_boundaries}
    yield model.NeuronRecord(layer, index, origin, statistics=statistics, samples=samples, facts=facts)


def _samples(
    found: wire.NeuronRecord | wire.RawNeuronRecord, origin: Origin, refuse: Refuse, is_lax: bool
) -> Iterator[model.SampleRecords]:
    parts: list[tuple[SampleKind, str, Sequence[Any]]] = [
        (SampleKind.TOP, "most_positive_activation_records", found.most_positive_activation_records or []),
        (SampleKind.RANDOM, "random_sample", found.random_sample or []),
    ]
    bands: Sequence[Sequence[Any]] = [band or [] for band in found.random_sample_by_quantile or []]
    if len(bands) > len(BANDS):
        raise Refused(f"it has {len(bands)} quantiles; at most {len(BANDS)} are known", "random_sample_by_quantile")
    for i, band in enumerate(bands):
        parts.append((BANDS[i], f"random_sample_by_quantile[{i}]", band))
    for kind, field, rows in parts:
        check_number_of_records(len(rows), field)
        kept = [r for i, row in enumerate(rows) if (r := _record(row, field, i, origin, refuse, is_lax)) is not None]
        if kept or (not rows and kind in BANDS):  # an empty quantile stands for itself
            yield model.SampleRecords(kind, kept)


def _record(
    row: wire.Activations | msgspec.Raw, field: str, i: int, origin: Origin, refuse: Refuse, is_lax: bool
) -> model.ActivationRecord | None:
    if isinstance(row, msgspec.Raw):
        decoded = _ACTIVATIONS.part(row, f"{field}[{i}]", origin, refuse)
        if decoded is None:
            return None
        row, is_lax = decoded
    try:
        check_excerpt(row.tokens, row.activations, is_lax=is_lax)
    except Refused as error:
        refuse(problem(origin, str(error), f"{field}[{i}].{error.field}"))
        return None
    return model.ActivationRecord(row.tokens, row.activations)


def _related(document: Line, kind: str, refuse: Refuse) -> Iterator[model.NeuronRecord]:
    origin = document.origin
    found = _PATH.search(origin.file)
    if found is None:
        refuse(problem(origin, "its name does not say which neuron it is about"))
        return
    layer, index = int(found["layer"]), int(found["index"])
    try:
        check_address(layer, index)
        content = msgspec.to_builtins(_RELATED[kind].decode(document.content)[0])
    except Refused as error:
        refuse(problem(origin, str(error), error.field))
        return
    except MALFORMED as error:
        refuse(decoding_problem(origin, error))
        return
    yield model.NeuronRecord(layer, index, origin, facts={kind: content})
