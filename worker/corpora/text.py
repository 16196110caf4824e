"""Plain text: documents are divided by separators; a long one is cut at the end of a line."""

from collections.abc import Iterator
from typing import BinaryIO

from worker.corpora.documents import BLOCK_BYTES, LONGEST_DOCUMENT_BYTES, Document, OnSkip, cut_at

SEPARATOR = b"<|endoftext|>"
"""Where one document of a text file ends and the next begins, as many published corpora have it."""


def text_documents(stream: BinaryIO, name: str, on_skip: OnSkip) -> Iterator[Document]:
    """The documents of a text; those that are not UTF-8 go to ``on_skip``."""
    for offset, data in _split(stream):
        try:
            text = data.decode("utf-8-sig" if offset == 0 else "utf-8")
        except UnicodeDecodeError as error:
            on_skip(
                f"{name} at byte {offset}",
                f"not UTF-8: {error.reason} at byte {offset + error.start}; convert it, for example with iconv",
            )
            continue
        lead = len(text) - len(text.lstrip("\r\n"))
        if text.strip():
            yield Document(name, text[lead:], offset + lead)


def _split(stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """(offset, bytes) of the documents. Holds no more than two documents of the greatest length and a block."""
    held, start, is_end = bytearray(), 0, False
    while held or not is_end:
        while not is_end and len(held) < 2 * LONGEST_DOCUMENT_BYTES + len(SEPARATOR):
            block = stream.read(BLOCK_BYTES)
            is_end = not block
            held += block
        at = held.find(SEPARATOR, 0, 2 * LONGEST_DOCUMENT_BYTES + len(SEPARATOR))
        end = cut_at(held[: at if at >= 0 else 2 * LONGEST_DOCUMENT_BYTES])
        yield start, bytes(held[:end])
        taken = end + len(SEPARATOR) if end == at else end
        del held[:taken]
        start += taken
