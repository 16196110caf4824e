"""Activations that are drawn, not computed: each neuron likes one token and fires on it, with noise around it."""

import itertools
from dataclasses import dataclass

import numpy as np

from app.domain.arrays import Float16s, Float64s, Int64s
from app.domain.samples import SampleKind
from benchmarks.synthetic_text import CONTEXT_LENGTH, Text

SAMPLE_SIZES = {
    SampleKind.TOP: 20,
    SampleKind.RANDOM: 20,
    SampleKind.BAND_0: 5,
    SampleKind.BAND_1: 5,
    SampleKind.BAND_2: 5,
    SampleKind.BAND_3: 5,
}
STRENGTHS = {SampleKind.TOP: 1.0, SampleKind.RANDOM: 0.6, SampleKind.BAND_0: 0.1, SampleKind.BAND_1: 0.3,
             SampleKind.BAND_2: 0.6, SampleKind.BAND_3: 0.9}  # fmt: skip
"""How strongly an excerpt of a sample drives its neuron, as a share of the neuron's maximum."""
VALIDATION = {SampleKind.TOP: [2, 6, 10, 14, 18], SampleKind.RANDOM: [1, 4, 7, 10, 13]}
FORMS = (
    'fires on "{0}"',
    'fires on "{0}" at the start of a line, weakly on "{1}"',
    'fires on the token after "{0}"',
    "words and names around {0} in function signatures and documentation",
    'fires on "{0}" and "{1}", mostly in comments that explain an error',
)


@dataclass(frozen=True, slots=True)
class Drawn:
    """A text, and what neurons may like of it."""

    text: Text
    holders: list[Int64s]
    """By token: the excerpts that hold it."""
    likeable: Int64s
    """Tokens that enough excerpts hold."""

    @classmethod
    def of(cls, text: Text) -> "Drawn":
        """What can be drawn from a text."""
        order = np.argsort(text.excerpts, axis=None, kind="stable")
        bounds = np.searchsorted(text.excerpts.ravel()[order], np.arange(len(text.tokens) + 1))
        holders = [np.unique(order[a:b] // CONTEXT_LENGTH) for a, b in itertools.pairwise(bounds)]
        speaking = [any(c > 32 for c in token) for token in text.tokens]
        likeable = [i for i, h in enumerate(holders) if len(h) >= SAMPLE_SIZES[SampleKind.TOP] and speaking[i]]
        return cls(text, holders, np.array(likeable))

    def neurons(self, random: np.random.Generator, n: int) -> tuple[Int64s, Float64s]:
        """The tokens that ``n`` neurons like, and their maxima."""
        return random.choice(self.likeable, n), random.gamma(4.0, 0.8, n) + 0.5

    def sample(
        self,
        random: np.random.Generator,
        kind: SampleKind,
        liked: Int64s,
        maxima: Float64s,
    ) -> tuple[Int64s, Float16s]:
        """Excerpt numbers, neurons by size, and activations, neurons by size by tokens."""
        n, size = len(liked), SAMPLE_SIZES[kind]
        if kind is SampleKind.TOP:
            excerpts = np.stack([random.choice(self.holders[token], size, replace=False) for token in liked])
        else:
            excerpts = random.integers(len(self.text.excerpts), size=(n, size))
        tokens = self.text.excerpts[excerpts]
        strengths = STRENGTHS[kind] * (np.linspace(1.0, 0.7, size) if kind is SampleKind.TOP else random.random(size))
        peaks = maxima[:, None] * strengths
        noise = random.random((n, size, CONTEXT_LENGTH), dtype=np.float32) * 0.25 - 0.17
        drive = (tokens == liked[:, None, None]) * peaks[:, :, None].astype(np.float32)
        return excerpts, np.where(drive > 0, drive, noise).astype("<f2")

    def sentence(self, random: np.random.Generator, token: int) -> str:
        """An explanation that names the token."""
        other = random.choice(self.likeable)
        form = FORMS[int(random.integers(len(FORMS)))]
        return form.format(self.text.tokens[token].decode(), self.text.tokens[other].decode())
