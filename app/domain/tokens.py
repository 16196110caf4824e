"""Tokens as bytes: a token may be a part of a character. The raw and the displayed form differ."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The bytes of every token of one tokenizer, by token id."""

    digest: str
    tokens: tuple[bytes, ...]

    def __len__(self) -> int:
        return len(self.tokens)

    def raw(self, token_ids: Sequence[int] | np.ndarray) -> list[bytes]:
        """The bytes of each token, one entry per token."""
        return [self.tokens[i] for i in token_ids]

    def strings(self, token_ids: Sequence[int] | np.ndarray) -> list[str]:
        """Each token decoded on its own; bytes of a split character become U+FFFD."""
        return [self.tokens[i].decode("utf-8", errors="replace") for i in token_ids]

    def text(self, token_ids: Sequence[int] | np.ndarray) -> str:
        """The tokens' text as a whole, split characters joined."""
        return b"".join(self.raw(token_ids)).decode("utf-8", errors="replace")


class TokenForm(StrEnum):
    """How the token strings of a file represent bytes. One form holds for a whole data set."""

    TEXT = "text"
    """Decoded one by one: the bytes of a split character are lost and show as U+FFFD."""
    BYTE_LEVEL = "byte_level"
    """As byte-level BPE writes them: ``Ġthe``, ``Ċ``, each character a byte."""
    SENTENCEPIECE = "sentencepiece"
    """Tokens as SentencePiece writes them: ``▁the``, ``<0x0A>``."""


_SPACE = {TokenForm.BYTE_LEVEL: "\u0120", TokenForm.SENTENCEPIECE: "\u2581"}
_ONE_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")


def token_form(tokens: Iterable[str]) -> TokenForm:
    """The form of these tokens: one whose space sign occurs, if no token has a real space; otherwise text."""
    seen = list(tokens)
    if any(" " in token for token in seen):
        return TokenForm.TEXT
    begins = {form: sum(token.startswith(space) for token in seen) for form, space in _SPACE.items()}
    form = max(begins, key=lambda form: begins[form])
    return form if begins[form] else TokenForm.TEXT


def token_bytes(token: str, form: TokenForm) -> bytes:
    """The bytes that a token of a file represents. Unpaired surrogates become U+FFFD."""
    if form is TokenForm.BYTE_LEVEL and all(character in _BYTE_OF for character in token):
        return bytes(_BYTE_OF[character] for character in token)
    if (byte := _ONE_BYTE.fullmatch(token)) is not None:
        return bytes([int(byte[1], 16)])
    if form is TokenForm.SENTENCEPIECE:
        token = token.replace(_SPACE[form], " ")
    return token.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


def _byte_level_alphabet() -> Mapping[str, int]:
    """The character that stands for each byte: itself where it is printable, else one from U+0100 on, in order.

    Source: the byte-level BPE of GPT-2.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(0x100 + i): byte for i, byte in enumerate(others)}


_BYTE_OF = _byte_level_alphabet()
