"""JSON lines: each line is one neuron with everything that is known of it, under the names of ``records``.

A line is ``{"format": "neuron-audit/1", "record": {...}}``, so that lines of several files can be put together.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import msgspec

from app.formats.checks import Refused
from app.formats.decoding import Decoder
from app.formats.own.checking import checked
from app.formats.problems import MALFORMED, Refuse, decoding_problem, problem
from app.formats.records import NeuronRecord, Origin
from app.formats.streams import Entry, json_lines

VERSION = "neuron-audit/1"
_NOWHERE = Origin("")


class _Line(msgspec.Struct):
    format: str
    record: NeuronRecord


_LINE, _ENCODER = Decoder(_Line), msgspec.json.Encoder()


class JsonlReader:
    """Reads our own JSON lines."""

    def reads(self, name: str) -> bool:
        """Whether a file of this name may hold neurons."""
        return name.endswith(".jsonl")

    def records(self, entry: Entry, refuse: Refuse, *, after: int = 0) -> Iterator[NeuronRecord]:
        """The neuron of each line."""
        for line in json_lines(entry, refuse, after=after):
            try:
                found, _ = _LINE.decode(line.content)
                if found.format != VERSION:
                    raise Refused(f"the format {found.format[:40]!r} is not {VERSION!r}", "format")
                record = checked(found.record, line.origin, refuse)
            except Refused as error:
                refuse(problem(line.origin, str(error), error.field))
            except MALFORMED as error:
                refuse(decoding_problem(line.origin, error))
            else:
                yield record


def jsonl_lines(records: Iterable[NeuronRecord]) -> Iterator[bytes]:
    """A line of each neuron. Equal neurons give equal lines, wherever they were read."""
    for record in records:
        yield _ENCODER.encode(_Line(VERSION, replace(record, origin=_NOWHERE))) + b"\n"
