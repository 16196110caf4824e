"""Tokens as people see them: escaped, with white space, control and bidirectional characters visible.

White space is faint: ``<s>`` is a real space, dotted by the style sheet, so that copied text is unchanged; ``<u>`` is a
sign for a line break or a tab. ``<var>`` is a sign for an invisible character, for one that would reorder its
neighbours, or for a byte that is not a character.
"""

import unicodedata
from collections.abc import Sequence
from html import escape

_SPACE = "<s> </s>"
_FAINT = {"\n": "<u>↵</u>", "\t": "<u>⇥</u>", " ": _SPACE}
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"})
_COMBINING = frozenset({"Mn", "Mc", "Me"})


def visible(text: str) -> str:
    """HTML of a text inside one heatmap cell."""
    if text.isascii() and text.isprintable() and " " not in text[1:]:
        # fast path for nearly all tokens: an optional space, then letters
        return _SPACE + escape(text[1:]) if text[:1] == " " else escape(text)
    return "".join(_glyph(character, is_first=index == 0) for index, character in enumerate(text))


def visible_bytes(data: bytes) -> str:
    """HTML of bytes that form no character, in hexadecimal."""
    return "".join(f"<var>{byte:02X}</var>" for byte in data)


def _glyph(character: str, *, is_first: bool) -> str:
    if character in _FAINT:
        return _FAINT[character]
    category = unicodedata.category(character)
    if character < " " or character == "\x7f":
        return f"<var>{chr(0x2400 + ord(character)) if character < ' ' else '␡'}</var>"
    if category in _HIDDEN:
        return f"<var>U+{ord(character):04X}</var>"
    if category in _COMBINING and is_first:
        return f"◌{character}"
    return escape(character)


def joined(parts: Sequence[bytes]) -> list[tuple[int, str]]:
    """Runs of tokens that are shown together: (number of tokens, HTML) for each, in order.

    Tokens that share a character are joined; bytes that never become one are shown as bytes, token by
    token. The numbers of tokens add up to ``len(parts)``.
    """
    runs: list[tuple[int, str]] = []
    index = 0
    while index < len(parts):
        size, html = _run_at(parts, index)
        runs.append((size, html))
        index += size
    return runs


def _run_at(parts: Sequence[bytes], start: int) -> tuple[int, str]:
    data = b""
    for end in range(start, len(parts)):
        data += parts[end]
        try:
            return end - start + 1, visible(data.decode("utf-8"))
        except UnicodeDecodeError as error:
            if error.reason != "unexpected end of data":
                break
    return 1, _mixed(parts[start])


def _mixed(data: bytes) -> str:
    """A token that is partly text: its text as text, its other bytes in hexadecimal."""
    html, rest = "", data
    while rest:
        try:
            return html + visible(rest.decode("utf-8"))
        except UnicodeDecodeError as error:
            stop = max(error.end, error.start + 1)
            html += visible(rest[: error.start].decode("utf-8")) + visible_bytes(rest[error.start : stop])
            rest = rest[stop:]
    return html
