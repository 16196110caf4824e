r"""Tokens as quoted text that people can read, and back.

A token is bytes and may be part of a character. Inside the quotes are printable characters as
they are, ``\n`` ``\r`` ``\t`` ``\\``, ``·`` for a space that would not be seen, and ``\xNN``
for every other byte. Reading back is exact for whatever was written.
"""

import re

CLOSED_BY = {
    "“": "”", "”": "”", "„": "“”", "‟": "”", "〝": "〞〟", "〟": "〞〟", "＂": "＂", "״": "״", "″": "″",
    "«": "»", "»": "«", "‹": "›", "›": "‹", "《": "》", "〈": "〉", "❮": "❯",
    "「": "」", "『": "』", "｢": "｣", "﹁": "﹂", "﹃": "﹄",
    "❝": "❞", "🙶": "🙷", "❛": "❜",
}  # fmt: skip
"""Opening quotation marks that have no other use, and the marks that may close each: from Unicode 17 and common usage.

Swedish closes with the opening mark (”x”), Danish and German turn guillemets inwards (»x«). Straight marks and the
backtick have rules of their own, see ``LEXEME_OF_QUOTES``.
"""
CLOSED_BY_AT_A_WORDS_EDGE = {
    "'": "'’", "‘": "’'", "’": "’", "‚": "‘’", "‛": "’", "＇": "＇", "′": "′",
}  # fmt: skip
"""Marks that are also apostrophes: quotation marks only if no letter precedes the first and none follows the last."""
QUOTATION_MARKS = frozenset('"`' + "".join(f"{a}{b}" for a, b in (CLOSED_BY | CLOSED_BY_AT_A_WORDS_EDGE).items()))

_VISIBLE_SPACE = "·"
_SHOWN_AS = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\"}
_READ_AS = {"n": b"\n", "r": b"\r", "t": b"\t", '"': b'"', "\\": b"\\"}
_SYMBOLS = {_VISIBLE_SPACE: b" ", "↵": b"\n", "⇥": b"\t"}
"""The signs that heatmaps show for white space; people may copy them."""


def _between(opening: str, closing: str) -> str:
    return f"{re.escape(opening)}[^{re.escape(opening + closing)}]*[{re.escape(closing)}]"


def _between_edges(opening: str, closing: str) -> str:
    return rf"{re.escape(opening)}(?:\\.|[^{re.escape(closing)}\\])+[{re.escape(closing)}](?!\w)"


LEXEME_OF_QUOTES = "|".join(
    [
        r'"(?:\\.|[^"\\])*"',
        "(?:``|''|‘‘)[^`'‘’]+(?:``|''|’’)",  # two single marks for a double one, as in TeX and Markdown
        "`[^`]+`",
        *(_between(opening, closing) for opening, closing in CLOSED_BY.items()),
        '[“”„"][^“”„"]+[“”„"]',  # mismatched pair: one mark was typed by a program, one by a person
        *(rf"(?<!\w){_between_edges(opening, closing)}" for opening, closing in CLOSED_BY_AT_A_WORDS_EDGE.items()),
    ]
)
"""A regular expression without groups for quoted text with its marks. In straight marks a backslash escapes a mark."""
_DOUBLED = re.compile("(?:``|''|‘‘).+(?:``|''|’’)", re.DOTALL)


def quoted_bytes(lexeme: str) -> bytes:
    """The bytes that a match of ``LEXEME_OF_QUOTES`` denotes."""
    marks = 2 if _DOUBLED.fullmatch(lexeme) else 1
    return unquote(lexeme[marks:-marks])


_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|([nrt\"\\]))|(.)", re.DOTALL)


def quote(token: bytes) -> str:
    """The token between straight quotes, on one line; between backticks if it contains a straight quote."""
    # surrogateescape keeps undecodable bytes, one by one
    text = token.decode("utf-8", errors="surrogateescape")
    shown = "".join(_shown(character) for character in text)
    shown = _dotted(shown)
    if '"' not in shown:
        return f'"{shown}"'
    return '"{}"'.format(shown.replace('"', '\\"')) if "`" in shown else f"`{shown}`"


def _shown(character: str) -> str:
    if character in _SHOWN_AS:
        return _SHOWN_AS[character]
    if character.isprintable() and character not in _SYMBOLS:
        return character
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", errors="surrogateescape"))


def _dotted(shown: str) -> str:
    r"""Dots for spaces that would be invisible: runs, at the end, next to ``
    ``.
    """
    runs = re.sub(r" {2,}", lambda run: _VISIBLE_SPACE * len(run.group()), shown)
    visible = re.sub(r"(\\[nrt]) ", rf"\1{_VISIBLE_SPACE}", runs)
    return re.sub(r" $", _VISIBLE_SPACE, visible) if visible != " " else _VISIBLE_SPACE


def unquote(inner: str) -> bytes:
    """The bytes of a quotation's content. An unknown escape is kept unchanged."""
    return b"".join(_read(match) for match in _ESCAPE.finditer(inner))


def _read(match: re.Match[str]) -> bytes:
    byte, escape, character = match.groups()
    if byte is not None:
        return bytes.fromhex(byte)
    if escape is not None:
        return _READ_AS[escape]
    return _SYMBOLS.get(character, character.encode("utf-8", errors="replace"))
