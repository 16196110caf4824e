from typing import Any

import pytest

from app.domain.doubt_rules import RaisedDoubt
from app.domain.doubts import Doubt
from app.domain.headlines import UNKNOWN, Headline, HeadlineKind, Side
from app.domain.verdict_lines import Tone, verdict_line
from tests.unit.test_headlines import Scored


def headline(score: float | None, margin: Side = UNKNOWN, kind: str = "executed", reason: str | None = None) -> Any:
    return Headline(Scored("", score, undefined_reason=reason), HeadlineKind(kind), margin=margin)


CASES = (
    (headline(0.8, Side(0.21)), (), "beats its token table by 0.21", Tone.GOOD),
    (headline(0.8), (), "no token table to compare with", Tone.OPEN),
    (headline(0.8, kind="score_2023"), (), "2023 score only; no token table to compare with", Tone.OPEN),
    (headline(0.8, Side(0.21), "score_2023"), (), "2023 score only; beats its token table by 0.21", Tone.GOOD),
    (
        headline(0.3, Side(-0.6), "score_2023"),
        (RaisedDoubt(Doubt.BELOW_TABLE, 0.9),),
        "2023 score only; far below its token table (0.90)",
        Tone.DOUBTFUL,
    ),
    (None, (), "not scored yet", Tone.OPEN),
    (
        None,
        (RaisedDoubt(Doubt.TOO_BROAD, 0.02),),
        "not scored yet; too broad (true on 2% of what it claims)",
        "doubtful",
    ),
    (
        headline(None, reason="constant"),
        (),
        "no score: constant",
        Tone.DOUBTFUL,
    ),
    (
        headline(0.4, Side(-0.58)),
        (RaisedDoubt(Doubt.BELOW_TABLE, 0.98),),
        "far below its token table (0.98)",
        Tone.DOUBTFUL,
    ),
    (headline(0.45, Side(-0.15)), (), "reaches 75% of its token table (0.60)", Tone.OPEN),
    (headline(0.45, Side(-0.15, (-0.2, -0.1)), "estimated"), (), "reaches 75% of its token table (0.60)", Tone.OPEN),
    (headline(-0.05, Side(-0.06)), (), "reaches 0% of its token table (0.01)", Tone.OPEN),
    (headline(-0.2, Side(-0.1)), (), "below its token table (−0.10)", Tone.OPEN),
    (headline(-0.1, Side(-0.1)), (), "below its token table (0.00)", Tone.OPEN),
    (headline(-0.2, Side(0.004)), (), "about as good as its token table (−0.20)", Tone.OPEN),
    (headline(0.8, Side(0.003)), (), "about as good as its token table (0.80)", Tone.OPEN),
    (
        headline(0.8, Side(0.1, (-0.05, 0.2)), "estimated"),
        (),
        "perhaps better than its token table (−0.05 to +0.20)",
        Tone.OPEN,
    ),
    (
        headline(0.8, Side(-0.1, (-0.2, 0.05)), "estimated"),
        (),
        "not shown to beat its token table (−0.20 to +0.05)",
        Tone.OPEN,
    ),
    (
        headline(0.8, Side(0.1, (0.05, 0.2)), "estimated"),
        (),
        "beats its token table by 0.10",
        Tone.GOOD,
    ),
    (
        headline(0.9, Side(0.4), "score_2023"),
        (RaisedDoubt(Doubt.NOT_ON_RANDOM, 0.86, (0.0, 0.95)),),
        "2023 score only; beats its token table by 0.40; doubtful on random text (0.86, 0.00 to 0.95)",
        Tone.DOUBTFUL,
    ),
    (
        headline(0.9, Side(0.4)),
        (RaisedDoubt(Doubt.SHARED, 1), RaisedDoubt(Doubt.NULL_TWIN, 0.3)),
        "beats its token table by 0.40; within the null twin's range (30% score as high); same text as 1 other neuron",
        Tone.DOUBTFUL,
    ),
    (
        headline(0.3),
        (RaisedDoubt(Doubt.SHARED, 1234), RaisedDoubt(Doubt.TOO_BROAD, 0.004)),
        "too broad (true on 0.4% of what it claims); same text as 1,234 other neurons",
        Tone.DOUBTFUL,
    ),
)


@pytest.mark.parametrize(("speaking", "doubts", "text", "tone"), CASES)
def test_a_verdict_line_says_what_a_headline_means(
    speaking: Any, doubts: tuple[RaisedDoubt, ...], text: str, tone: str
) -> None:
    line = verdict_line(speaking, doubts)
    assert (line.text, line.tone) == (text, tone)


@pytest.mark.parametrize("doubt", Doubt)
def test_every_doubt_has_a_phrase_without_a_capital_or_a_full_stop(doubt: Doubt) -> None:
    line = verdict_line(headline(0.5), (RaisedDoubt(doubt, 0.25),))
    phrase = line.phrases[0]
    assert line.tone is Tone.DOUBTFUL
    assert len(line.phrases) == 1
    assert phrase[0].islower() or phrase[0].isdigit()
    assert not phrase.endswith(".")
