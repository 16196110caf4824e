"""The picture that other sites show for a link to a neuron: its address, its explanation, its score."""

import io
import textwrap
from dataclasses import dataclass
from functools import cache

from PIL import Image, ImageDraw, ImageFont

WIDTH, HEIGHT = 1200, 630
"""As the Open Graph protocol's readers show pictures whole."""
_MARGIN = 64
_PAPER, _INK, _FAINT, _ACCENT = "#ffffff", "#1a1e24", "#59636f", "#1d5fa8"
_MOST_LINES, _LINE = 6, 42
"""Most lines of the explanation, and letters per line."""


@dataclass(frozen=True, slots=True)
class Preview:
    """What the picture says."""

    title: str
    text: str
    score: str
    """The headline in words; empty without one."""


def preview_png(preview: Preview) -> bytes:
    """The picture. Letters that its font lacks are boxes, as in any picture of text."""
    image = Image.new("RGB", (WIDTH, HEIGHT), _PAPER)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, 16, HEIGHT), fill=_ACCENT)
    draw.text((_MARGIN, 56), _line(preview.title, 56), font=_font(40), fill=_FAINT)
    draw.multiline_text((_MARGIN, 140), "\n".join(_wrapped(preview.text)), font=_font(48), fill=_INK, spacing=14)
    draw.text((_MARGIN, HEIGHT - 96), _line(preview.score, 60), font=_font(36), fill=_ACCENT)
    content = io.BytesIO()
    image.save(content, "PNG", optimize=True)
    return content.getvalue()


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(_line(text, len(text)), _LINE, max_lines=_MOST_LINES, placeholder=" \u2026")


def _line(text: str, most: int) -> str:
    """The text as one line, without invisible characters and those that change the direction of text."""
    plain = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(plain.split())[:most]


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The font that the library carries: no machine needs one of its own."""
    return ImageFont.load_default(size)
