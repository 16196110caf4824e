"""Forms with a file: read in pieces onto the disk, and refused as soon as they are too large.

The framework would read a whole body before checking permissions; a route with a file reads it here, after the check.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import BinaryIO

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Message

MOST_BODY_BYTES = 1 << 40
"""Limit for the framework, which must not be reached before the setting's."""
MOST_FIELDS = 40
FIELD_BYTES = 1 << 16
_ENVELOPE_BYTES = 1 << 16
"""Bytes that fields and boundaries may add to the file."""


@dataclass(frozen=True, slots=True)
class SentFile:
    """A file sent by a browser, open for reading, with the browser's file name."""

    name: str
    content: BinaryIO


@dataclass(frozen=True, slots=True)
class SentForm:
    """The fields of a form, and its file if one was chosen."""

    fields: dict[str, str]
    file: SentFile | None


@asynccontextmanager
async def sent_form(request: Request, *, most_megabytes: int) -> AsyncIterator[SentForm]:
    """The form of a request with at most one file. Raises HTTPException 413 for a larger one, 400 for a malformed one.

    The temporary file is deleted at the end; callers copy it to keep it.
    """
    limited = Request(request.scope, _Limited(request, most_megabytes))
    async with limited.form(max_files=1, max_fields=MOST_FIELDS, max_part_size=FIELD_BYTES) as form:
        fields, file = dict[str, str](), None
        for name, value in form.multi_items():
            if isinstance(value, str):
                fields[name] = value
            elif value.filename:  # a browser sends an empty file if none was chosen
                file = SentFile(value.filename, value.file)
        yield SentForm(fields, file)


class _Limited:
    """Receives a request's body up to a size."""

    def __init__(self, request: Request, most_megabytes: int) -> None:
        self._request, self._most = request, most_megabytes
        self._left = most_megabytes * 1_000_000 + _ENVELOPE_BYTES

    async def __call__(self) -> Message:
        message = await self._request.receive()
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            raise HTTPException(413, f"A file may have {self._most} megabytes (NEURON_AUDIT_UPLOAD_MEGABYTES)")
        return message
