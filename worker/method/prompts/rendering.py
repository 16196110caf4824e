"""Excerpts as text for a prompt: delimited, one line each, with every character escaped that could end them.

Excerpts are untrusted text. ``⟪name⟫`` and ``⟪/name⟫`` enclose data, ``⟦`` and ``⟧`` around marked
tokens; these four characters, control and bidirectional characters, line ends, backslashes and the
role markers of chat templates never appear in rendered data.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from app.domain.activations import ActivationRecord, normalise
from app.domain.steps.explainers import LONGEST_SHOWN
from app.domain.tokens import Vocabulary

ACTIVE_LEVEL = 3
"""The level (0..10) from which the neuron counts as firing on a token."""
SPARSE_BELOW = 0.2
"""Share of non-zero levels below which these tokens are listed again, as in the 2023 paper."""

RESERVED = "⟪⟫⟦⟧"
"""Characters that mark structure in a prompt and never occur in data or in an answer."""
_SHORT = {"\n": "\\n", "\t": "\\t", "\r": "\\r", "\\": "\\\\"}
_ROLE_MARKER = re.compile(
    r"<(?=[|｜])|(?<=[|｜])>"
    r"|<(?=/?(?:s|bos|eos|pad|unk|mask|start_of_turn|end_of_turn|system|user|assistant|tool_call|think)>)"
    r"|<(?=</?SYS>>)|\[(?=/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS)\])",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class LevelledExcerpt:
    """The T tokens of an excerpt as bytes and the neuron's level (0..10) on each."""

    tokens: tuple[bytes, ...]
    levels: tuple[int, ...]


def levelled(record: ActivationRecord, vocabulary: Vocabulary, maximum: float) -> LevelledExcerpt:
    """A record with its activations normalised to 0..10 by ``maximum`` (in the model's units).

    An excerpt of more than ``LONGEST_SHOWN`` tokens is cut to a window around its peak.
    """
    window = shown_window(record)
    levels = normalise(record.activations[window], maximum)
    return LevelledExcerpt(tuple(vocabulary.raw(record.token_ids[window])), tuple(levels.tolist()))


def shown_window(record: ActivationRecord) -> slice:
    """The part of a record that a prompt shows: at most ``LONGEST_SHOWN`` tokens around its peak."""
    start = 0
    if len(record.token_ids) > LONGEST_SHOWN:
        peak = int(np.argmax(record.activations))
        start = min(max(0, peak - LONGEST_SHOWN // 2), len(record.token_ids) - LONGEST_SHOWN)
    return slice(start, start + LONGEST_SHOWN)


def escape(text: str) -> str:
    """``text`` on one line, with every character escaped that could end or imitate a delimiter."""
    plain = "".join(_escaped(c) for c in text)
    return _ROLE_MARKER.sub(lambda match: f"\\x{ord(match[0]):02x}", plain)


def _escaped(character: str) -> str:
    if character in _SHORT:
        return _SHORT[character]
    if character.isprintable() and character not in RESERVED:
        return character
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def block(name: str, lines: str) -> str:
    """Data between the delimiters of ``name``. ``lines`` must be escaped already."""
    return f"⟪{name}⟫\n{lines}\n⟪/{name}⟫"


def pairs(excerpt: LevelledExcerpt, *, only_active: bool = False) -> str:
    """One line per token: the token, a tab, its level. With ``only_active`` lines of level 0 are left out."""
    return "\n".join(
        f"{escape(token.decode(errors='replace'))}\t{level}"
        for token, level in zip(excerpt.tokens, excerpt.levels, strict=True)
        if level > 0 or not only_active
    )


def marked(tokens: Sequence[bytes], marks: Sequence[bool]) -> str:
    """The tokens as running text, neighbouring marked tokens together between ⟦ and ⟧."""
    parts = []
    for is_marked, run in groupby(zip(tokens, marks, strict=True), key=lambda pair: pair[1]):
        text = escape(b"".join(token for token, _ in run).decode(errors="replace"))
        parts.append(f"⟦{text}⟧" if is_marked else text)
    return "".join(parts)


def highlighted(excerpt: LevelledExcerpt) -> str:
    """The excerpt as running text with its active tokens marked; none are marked if the neuron is silent."""
    return marked(excerpt.tokens, [level >= ACTIVE_LEVEL for level in excerpt.levels])


def highlighted_peak(excerpt: LevelledExcerpt) -> str:
    """Like ``highlighted``, but if no token is active the strongest are marked, unless their level is 0."""
    return marked(excerpt.tokens, [level >= _least_active(excerpt) for level in excerpt.levels])


def _least_active(excerpt: LevelledExcerpt) -> int:
    return max(1, min(ACTIVE_LEVEL, max(excerpt.levels, default=0)))


def strongest(excerpts: Iterable[LevelledExcerpt], limit: int = 10) -> str:
    """The distinct tokens marked by ``highlighted_peak`` with their highest level, strongest first, one per line."""
    best: dict[bytes, int] = {}
    for excerpt in excerpts:
        for token, level in zip(excerpt.tokens, excerpt.levels, strict=True):
            if level >= _least_active(excerpt):
                best[token] = max(level, best.get(token, 0))
    ordered = sorted(best.items(), key=lambda item: -item[1])[:limit]
    return "\n".join(f"{escape(token.decode(errors='replace'))}\t{level}" for token, level in ordered)


def is_sparse(excerpts: Sequence[LevelledExcerpt]) -> bool:
    """Whether fewer than ``SPARSE_BELOW`` of all levels are above 0."""
    levels = [level for excerpt in excerpts for level in excerpt.levels]
    return bool(levels) and sum(level > 0 for level in levels) / len(levels) < SPARSE_BELOW
