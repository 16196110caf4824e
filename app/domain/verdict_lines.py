"""The line under a headline that interprets it, the same on every page."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from app.domain.doubt_rules import RaisedDoubt
from app.domain.doubts import Doubt
from app.domain.headlines import Headline, S, Side


class Tone(StrEnum):
    """The colour of a line; its phrases have the same meaning as the colour."""

    GOOD = "good"
    """The explanation beats its token table and raises no doubt."""
    OPEN = "open"
    """The explanation raises no doubt, but there is little evidence for it."""
    DOUBTFUL = "doubtful"


@dataclass(frozen=True, slots=True)
class VerdictLine:
    """Phrases without capitals and full stops; pages join them into a line."""

    phrases: tuple[str, ...]
    tone: Tone
    doubts: tuple[Doubt, ...] = field(default=(), compare=False)
    """The phrases that are doubts."""

    @property
    def text(self) -> str:
        """All phrases joined."""
        return "; ".join(self.phrases)


NOT_SCORED = "not scored yet"
ONLY_2023 = "2023 score only"
"""The first phrase if there is no whole-corpus score."""


def verdict_line(headline: Headline[S] | None, doubts: Sequence[RaisedDoubt] = ()) -> VerdictLine:
    """The interpretation of an explanation's headline and doubts. ``headline`` is None if there is no score."""
    by_kind = {raised.doubt: raised for raised in doubts}
    raised = tuple(doubt for doubt in Doubt if doubt in by_kind)
    against = tuple(_PHRASES[doubt](by_kind[doubt]) for doubt in raised)
    if headline is None:
        return VerdictLine((NOT_SCORED, *against), Tone.DOUBTFUL if against else Tone.OPEN, raised)
    if headline.score.value is None:
        return VerdictLine((f"no score: {headline.score.undefined_reason}", *against), Tone.DOUBTFUL, raised)
    merit = None if Doubt.BELOW_TABLE in by_kind else _merit(headline.score.value, headline.margin)
    named = () if headline.is_whole_corpus else (ONLY_2023,)
    phrases = (*named, *(() if merit is None else (merit.phrase,)), *against)
    if against:
        return VerdictLine(phrases, Tone.DOUBTFUL, raised)
    if merit is None:
        return VerdictLine((*named, "no token table to compare with"), Tone.OPEN)
    return VerdictLine(phrases, Tone.GOOD if merit.is_clear else Tone.OPEN)


@dataclass(frozen=True, slots=True)
class _Merit:
    phrase: str
    is_clear: bool


def _merit(score: float, margin: Side) -> _Merit | None:
    """How the score compares with the token table's; None if the table's is not known."""
    if margin.value is None:
        return None
    table = score - margin.value
    if margin.interval is not None and margin.interval[0] <= 0 < margin.interval[1]:
        said = "perhaps better than its token table" if margin.value > 0 else "not shown to beat its token table"
        low, high = margin.interval
        return _Merit(f"{said} ({_signed(low)} to {_signed(high)})", is_clear=False)
    if round(margin.value, 2) > 0:
        return _Merit(f"beats its token table by {_number(margin.value)}", is_clear=True)
    if round(margin.value, 2) == 0:
        return _Merit(f"about as good as its token table ({_number(table)})", is_clear=False)
    if table <= 0:  # a share of it is meaningless
        return _Merit(f"below its token table ({_number(table)})", is_clear=False)
    return _Merit(f"reaches {_share(max(score, 0.0) / table)} of its token table ({_number(table)})", is_clear=False)


def _number(value: float) -> str:
    return f"{value:.2f}".replace("-0.00", "0.00").replace("-", "−")


def _signed(value: float) -> str:
    return _number(value) if value < 0 else f"+{_number(value)}"


def _share(value: float) -> str:
    return f"{value:.0%}" if value >= 0.01 or value == 0 else f"{value:.1%}"


def _with_interval(name: str) -> Callable[[RaisedDoubt], str]:
    def phrase(raised: RaisedDoubt) -> str:
        figure = _number(raised.figure)
        if raised.interval is None:
            return f"{name} ({figure})"
        return f"{name} ({figure}, {_number(raised.interval[0])} to {_number(raised.interval[1])})"

    return phrase


def _plain(text: str) -> Callable[[RaisedDoubt], str]:
    return lambda raised: text


def _with_share(text: str) -> Callable[[RaisedDoubt], str]:
    return lambda raised: text.format(_share(raised.figure))


def _shared(raised: RaisedDoubt) -> str:
    n = round(raised.figure)
    return f"same text as {n:,} other neuron{'' if n == 1 else 's'}"


_PHRASES: Mapping[Doubt, Callable[[RaisedDoubt], str]] = {
    Doubt.SHUFFLED: lambda raised: f"no better than on another neuron ({_signed(raised.figure)})",
    Doubt.BELOW_TABLE: lambda raised: f"far below its token table ({_number(raised.figure)})",
    Doubt.NULL_TWIN: _with_share("within the null twin's range ({} score as high)"),
    Doubt.NEIGHBOURS: _with_share("at chance against its neighbours ({})"),
    Doubt.NOT_ON_RANDOM: _with_interval("doubtful on random text"),
    Doubt.TOO_BROAD: _with_share("too broad (true on {} of what it claims)"),
    Doubt.TOO_NARROW: _with_share("too narrow (claims {} of what fires)"),
    Doubt.SEVERAL_MEANINGS: _with_share("several meanings ({} outside the largest)"),
    Doubt.SHARED: _shared,
    Doubt.UNSTABLE: lambda raised: f"unstable (scores {_number(raised.figure)} apart)",
    Doubt.FAILED_SIMULATIONS: _with_share("{} of its simulations failed"),
    Doubt.ONE_DOCUMENT: _with_share("driven by one document ({} of the top excerpts)"),
    Doubt.FIRST_POSITION: _with_share("driven by the first token ({} of the top excerpts)"),
    Doubt.COPIES: _with_share("driven by copies ({} of the highest peaks)"),
    Doubt.IMPORT_DIFFERS: lambda raised: f"imported score differs from ours by {_signed(raised.figure)}",
    Doubt.REASONING: _plain("holds leaked reasoning"),
    Doubt.MARKDOWN: _plain("holds Markdown"),
    Doubt.PROMPT_WORDS: _plain("repeats words of a prompt"),
    Doubt.TOO_LONG: lambda raised: f"too long ({round(raised.figure):,} characters)",
}
"""The phrase of each doubt in a verdict line."""
