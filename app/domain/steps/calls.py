"""Estimated calls to a language model: their number and approximate tokens."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Span:
    """A number that may depend on replies: minimum, expected, maximum."""

    least: float
    expected: float
    most: float

    def __post_init__(self) -> None:
        if not 0 <= self.least <= self.expected <= self.most:
            raise ValueError(f"{self.least}, {self.expected} and {self.most} are not in order")

    @classmethod
    def exactly(cls, n: float) -> "Span":
        """A number that depends on no reply."""
        return cls(n, n, n)

    @property
    def is_exact(self) -> bool:
        """Whether the number depends on no reply."""
        return self.least == self.most

    def __add__(self, other: "Span") -> "Span":
        return Span(self.least + other.least, self.expected + other.expected, self.most + other.most)

    def __mul__(self, other: "Span") -> "Span":
        return Span(self.least * other.least, self.expected * other.expected, self.most * other.most)

    def first_and_rest(self) -> "tuple[Span, Span]":
        """The number of first ones, 1 or 0, and of further ones."""
        first, second, third = (min(1.0, n) for n in (self.least, self.expected, self.most))
        return Span(first, second, third), Span(self.least - first, self.expected - second, self.most - third)


NOTHING = Span.exactly(0)
ONCE = Span.exactly(1)


@dataclass(frozen=True, slots=True)
class Calls:
    """The calls needed while every reply is usable, with the tokens of the expected number of calls.

    ``tokens_cached`` is the part of ``tokens_in`` that an endpoint may have cached from the call before. Token counts
    are rough: they count words and signs, independent of any tokenizer.
    """

    n: Span = NOTHING
    tokens_in: float = 0.0
    tokens_cached: float = 0.0
    tokens_out: float = 0.0

    @classmethod
    def of(cls, n: Span, tokens_in: float, tokens_out: float, *, cached: float = 0.0) -> "Calls":
        """``n`` calls of equal size; all but the first begin with the ``cached`` tokens of the call before."""
        kept = max(0.0, n.expected - 1) * cached
        return cls(n, n.expected * tokens_in, kept, n.expected * tokens_out)

    def __add__(self, other: "Calls") -> "Calls":
        return Calls(
            self.n + other.n,
            self.tokens_in + other.tokens_in,
            self.tokens_cached + other.tokens_cached,
            self.tokens_out + other.tokens_out,
        )

    def times(self, n: Span) -> "Calls":
        """These calls ``n`` times over."""
        return Calls(
            self.n * n, self.tokens_in * n.expected, self.tokens_cached * n.expected, self.tokens_out * n.expected
        )


NO_CALLS = Calls()
