"""Text of models and people on pages: an invisible character, or one that would move its neighbours, is a sign.

``shown`` is applied to every ``{{ }}`` of every template, so that no template can omit it.
"""

import unicodedata

from markupsafe import Markup, escape

_JOINERS = "\u200c\u200d"
"""Between two letters or emoji they choose a shape, and nothing else."""
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_KEPT = frozenset("\n\t\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u08e2")
"""Line breaks and tabs, and the marks of category Cf that do show: they are written over Arabic and Syriac numbers."""
_FLAG, _FLAG_ENDS, _FLAG_TAGS = "\U0001f3f4", "\U000e007f", range(0xE0020, 0xE007F)


def shown(value: object) -> object:
    """What a template prints: text with its signs, everything else as it is. Markup has escaped its texts before."""
    return with_signs(value) if type(value) is str else value


def with_signs(text: str) -> str:
    """The text, with each character that does not show or moves its neighbours as its number: ``⟨U+202E⟩``."""
    if text.isprintable():
        return text
    return "".join(c if _is_harmless(text, index) else f"⟨U+{ord(c):04X}⟩" for index, c in enumerate(text))


def exact(value: object) -> Markup:
    """A text without signs, for fields of forms: what a person has typed comes back as it was."""
    return escape(value)


def _is_harmless(text: str, index: int) -> bool:
    character = text[index]
    if character in _KEPT or unicodedata.category(character) not in _HIDDEN:
        return True
    if character in _JOINERS:
        return 0 < index < len(text) - 1 and all(
            text[i].isprintable() and text[i] != " " for i in (index - 1, index + 1)
        )
    if character == _FLAG_ENDS or ord(character) in _FLAG_TAGS:  # the flags of England, Scotland and Wales
        start = index
        while (start and ord(text[start]) in _FLAG_TAGS) or text[start] == _FLAG_ENDS:
            start -= 1
        return text[start] == _FLAG
    return False
