"""The exact bytes of every token of a tokenizer, whatever way it writes them."""

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from app.domain.tokens import Vocabulary

_BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_SPACE = "\u2581"
_CONTINUES = "##"

ToBytes = Callable[[str], bytes]


def vocabulary_of(tokenizer_json: str) -> Vocabulary:
    """The vocabulary of a ``tokenizer.json``; its digest is the SHA-256 of that text.

    Known are byte-level BPE (GPT-2), SentencePiece with a sign for the space and byte fallback (Llama, Gemma),
    WordPiece, and BPE with a mark at the end of words (GPT-1). Anything else is its own text. Ids that no
    token has are empty.
    """
    document = json.loads(tokenizer_json)
    to_bytes = _reader(document)
    tokens = {token_id: to_bytes(text) for text, token_id in _entries(document["model"])}
    known = {token_id: text for text, token_id in _entries(document["model"])}
    for added in document.get("added_tokens") or ():
        # Gemma lists runs of spaces and line ends among its added tokens, though its vocabulary has them: text gives
        # them like any other token, so they are read like any other. Special tokens are their own text.
        if added.get("special") or known.get(added["id"]) != added["content"]:
            tokens[added["id"]] = _added(added, document).encode()
    size = max(tokens, default=-1) + 1
    digest = hashlib.sha256(tokenizer_json.encode()).hexdigest()
    return Vocabulary(digest, tuple(tokens.get(i, b"") for i in range(size)))


def _entries(model: dict[str, Any]) -> list[tuple[str, int]]:
    vocabulary = model["vocab"]
    if isinstance(vocabulary, dict):
        return list(vocabulary.items())
    return [(entry[0], token_id) for token_id, entry in enumerate(vocabulary)]


def _added(added: dict[str, Any], document: dict[str, Any]) -> str:
    """The text of an added token that is not in the vocabulary.

    A normalized one is looked for in normalized text, where the sign means a space.
    """
    text: str = added["content"]
    sign = _space_sign(document)
    return text.replace(sign, " ") if sign and added.get("normalized") and not added.get("special") else text


def _reader(document: dict[str, Any]) -> ToBytes:
    model = document["model"]
    if any(part["type"] == "ByteLevel" for part in _parts(document)):
        return _byte_level
    if model.get("type") == "WordPiece":
        return partial(_word_piece, model.get("continuing_subword_prefix") or _CONTINUES)
    sign = _space_sign(document)
    if sign or model.get("byte_fallback"):
        return partial(_sentence_piece, sign or _SPACE)
    if model.get("end_of_word_suffix"):
        return partial(_end_of_word, model["end_of_word_suffix"])
    return str.encode


def _parts(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Normalizers, pre-tokenizers and decoders, out of their sequences."""
    waiting = [document.get(name) for name in ("normalizer", "pre_tokenizer", "decoder")]
    while waiting:
        part = waiting.pop(0)
        if part:
            yield part
            for below in ("normalizers", "pretokenizers", "decoders"):
                waiting += part.get(below) or []


def _space_sign(document: dict[str, Any]) -> str | None:
    """What the vocabulary writes for a space; None where it writes a space."""
    for part in _parts(document):
        if part["type"] == "Metaspace":
            return str(part.get("replacement") or _SPACE)
        if part["type"] == "Replace":
            pattern, content = (part.get("pattern") or {}).get("String"), part.get("content")
            if pattern == " " and content:
                return str(content)
            if content == " " and pattern:
                return str(pattern)
    return None


def _byte_level(token: str) -> bytes:
    return b"".join(bytes([_BYTE_OF[c]]) if c in _BYTE_OF else c.encode() for c in token)


def _sentence_piece(sign: str, token: str) -> bytes:
    match = _BYTE_TOKEN.fullmatch(token)
    return bytes([int(match[1], 16)]) if match else token.replace(sign, " ").encode()


def _word_piece(prefix: str, token: str) -> bytes:
    return token.removeprefix(prefix).encode() if token.startswith(prefix) else b" " + token.encode()


def _end_of_word(suffix: str, token: str) -> bytes:
    return token.removesuffix(suffix).encode() + b" " if token.endswith(suffix) else token.encode()


def _byte_characters() -> dict[str, int]:
    """GPT-2's table: printable bytes are themselves, the others are characters from 256 on."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = (byte for byte in range(256) if byte not in printable)
    table = {chr(byte): byte for byte in printable}
    table.update((chr(256 + i), byte) for i, byte in enumerate(others))
    return table


_BYTE_OF = _byte_characters()
