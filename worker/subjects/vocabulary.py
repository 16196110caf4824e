"""The exact bytes of every token of a tokenizer, whatever way it writes them."""

import hashlib
import json
import re
from collections.abc import Callable
from typing import Any

from app.domain.tokens import Vocabulary

_BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_SPACE = "\u2581"
_CONTINUES = "##"

ToBytes = Callable[[str], bytes]


def vocabulary_of(tokenizer_json: str) -> Vocabulary:
    """The vocabulary of a ``tokenizer.json``; its digest is the SHA-256 of that text.

    Three ways of writing bytes are known: byte-level BPE (GPT-2), SentencePiece with byte fallback
    (Llama, Gemma), and WordPiece. Anything else, and every added token, stands for its own text.
    Ids that no token has are empty.
    """
    document = json.loads(tokenizer_json)
    to_bytes = _reader(document)
    tokens = {token_id: to_bytes(text) for text, token_id in _entries(document["model"])}
    for added in document.get("added_tokens") or ():
        tokens[added["id"]] = added["content"].encode()
    size = max(tokens, default=-1) + 1
    digest = hashlib.sha256(tokenizer_json.encode()).hexdigest()
    return Vocabulary(digest, tuple(tokens.get(i, b"") for i in range(size)))


def _entries(model: dict[str, Any]) -> list[tuple[str, int]]:
    vocabulary = model["vocab"]
    if isinstance(vocabulary, dict):
        return list(vocabulary.items())
    return [(entry[0], token_id) for token_id, entry in enumerate(vocabulary)]


def _reader(document: dict[str, Any]) -> ToBytes:
    surface = json.dumps([document.get("pre_tokenizer"), document.get("decoder")])
    if '"ByteLevel"' in surface:
        return _byte_level
    if document["model"].get("type") == "WordPiece":
        return _word_piece
    whole = json.dumps([document.get("normalizer"), surface], ensure_ascii=False)
    if _SPACE in whole or '"Metaspace"' in surface or document["model"].get("byte_fallback"):
        return _sentence_piece
    return str.encode


def _byte_level(token: str) -> bytes:
    return b"".join(bytes([_BYTE_OF[c]]) if c in _BYTE_OF else c.encode() for c in token)


def _sentence_piece(token: str) -> bytes:
    match = _BYTE_TOKEN.fullmatch(token)
    return bytes([int(match[1], 16)]) if match else token.replace(_SPACE, " ").encode()


def _word_piece(token: str) -> bytes:
    return token.removeprefix(_CONTINUES).encode() if token.startswith(_CONTINUES) else b" " + token.encode()


def _byte_characters() -> dict[str, int]:
    """GPT-2's table: printable bytes stand for themselves, the others for characters from 256 on."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = (byte for byte in range(256) if byte not in printable)
    table = {chr(byte): byte for byte in printable}
    table.update((chr(256 + i), byte) for i, byte in enumerate(others))
    return table


_BYTE_OF = _byte_characters()
