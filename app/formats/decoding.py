"""JSON decoded to typed objects: strictly first, and laxly where numbers are written as text."""

from typing import Generic, TypeVar

import msgspec

from app.formats.problems import MALFORMED, Refuse, decoding_problem
from app.formats.records import Origin

Decoded = TypeVar("Decoded")
Content = bytes | bytearray | msgspec.Raw


class Decoder(Generic[Decoded]):
    """Decodes one type. What was decoded laxly may hold numbers that are not finite: text such as ``nan`` is one."""

    def __init__(self, kind: type[Decoded]) -> None:
        self._strict = msgspec.json.Decoder(kind)
        self._lax = msgspec.json.Decoder(kind, strict=False)

    def decode(self, content: Content) -> tuple[Decoded, bool]:
        """The object, and whether it was decoded laxly. Raises one of ``MALFORMED``."""
        try:
            return self._strict.decode(content), False
        except msgspec.ValidationError:
            return self._lax.decode(content), True

    def part(self, raw: msgspec.Raw, field: str, origin: Origin, refuse: Refuse) -> tuple[Decoded, bool] | None:
        """A part of a record; None, with a problem under ``field``, where it is malformed."""
        try:
            return self.decode(raw)
        except MALFORMED as error:
            refuse(decoding_problem(origin, error, within=field))
            return None
