"""The colours of the atlas: the bytes of a plane that have each colour, and their meaning in words."""

from collections.abc import Iterator
from dataclasses import dataclass

from app.domain.atlas import SCALES, AtlasState, Plane, Scale

STEPS = 10
"""Number of the heatmaps' colours above 0."""


@dataclass(frozen=True, slots=True)
class Swatch:
    """A colour of the style sheet. ``first`` is the lowest byte with it; the next swatch's is the end."""

    css: str
    first: int
    label: str


def legend_of(plane: Plane) -> tuple[Swatch, ...]:
    """The colours of a plane, by their bytes."""
    scale = SCALES[plane]
    match plane:
        case Plane.HEADLINE | Plane.SCORE:
            return tuple(_of_scores(scale))
        case Plane.RATE:
            return tuple(_of_rates(scale))
        case Plane.DOUBTS:
            return tuple(_of_doubts(scale))
        case Plane.STATE:
            return tuple(Swatch(f"of-{state}", 1 + at, state.replace("_", " ")) for at, state in enumerate(AtlasState))


def _of_scores(scale: Scale) -> Iterator[Swatch]:
    """One colour for scores below 0, where a text is worse than nothing; ten from 0 to 1."""
    yield Swatch("none", 0, "without a score")
    yield Swatch("n5", 1, "below 0")
    zero = 1 + round(-scale.low / scale.step)
    width = round(1 / STEPS / scale.step)
    for at in range(STEPS):
        yield Swatch(f"h{at + 1}", zero + at * width, f"{at / STEPS:g} to {(at + 1) / STEPS:g}")


def _of_rates(scale: Scale) -> Iterator[Swatch]:
    """Ten equal parts of the logarithm."""
    yield Swatch("none", 0, "firing rate not known")
    width = scale.steps // STEPS
    for at in range(STEPS):
        low, high = (100 * 10 ** (scale.low + each * width * scale.step) for each in (at, at + 1))
        yield Swatch(f"h{at + 1}", 1 + at * width, f"{low:.2g}% to {high:.2g}%" if at else f"up to {high:.2g}%")


def _of_doubts(scale: Scale) -> Iterator[Swatch]:
    yield Swatch("none", 0, "without an explanation")
    yield Swatch("h1", 1, "no doubt")
    for n in range(1, scale.steps + 1):
        doubts = "1 doubt" if n == 1 else f"{n} or more doubts" if n == scale.steps else f"{n} doubts"
        yield Swatch(f"h{min(STEPS, 2 + n)}", 1 + n, doubts)
