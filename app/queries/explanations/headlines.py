"""The headlines of many explanations at once, by the one rule of ``app.domain.headlines``."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ARRAY, BigInteger, Select, any_, bindparam, select
from sqlalchemy import text as sql
from sqlalchemy.orm import Session

from app.domain.explanation_states import ExplanationState
from app.domain.headlines import HEADLINE_SAMPLES, HEADLINE_SCORERS, Headline, headline_of
from app.domain.standing import SCORE_2023, standing_score
from app.domain.verdict_lines import VerdictLine, verdict_line
from app.models import CorpusCheck, Explanation, Score
from app.models.base import is_one_of
from app.queries.common.prepared import PendingRows, PreparedSelect, Reads, one_statement
from app.queries.doubts.shown import OF_EXPLANATIONS, DoubtRow, doubts_by_explanation
from app.queries.explanations.checked import ITS_CHECK
from app.queries.explanations.judged import ITEMS_OF_EXPLANATIONS, ItemOfExplanation, states_by_explanation


@dataclass(frozen=True, slots=True)
class FiguresRow:
    """The fields of a score that the rules need."""

    id: int
    explanation_id: int
    scorer: str
    sample: str
    simulator: str | None
    run_id: int | None
    value: float | None
    undefined_reason: str | None
    interval_low: float | None
    interval_high: float | None
    token_lookup_baseline: float | None
    precision: float | None
    recall: float | None
    is_of_method: bool
    """Whether the explanation was made by a method."""

    @property
    def interval(self) -> tuple[float, float] | None:
        """The score's 95 % interval."""
        if self.interval_low is None or self.interval_high is None:
            return None
        return self.interval_low, self.interval_high


@dataclass(frozen=True, slots=True)
class ShownStanding:
    """An explanation's headline, 2023 score, and the verdict line that follows from these and the doubts."""

    headline: Headline[FiguresRow] | None
    score_2023: FiguresRow | None
    line: VerdictLine
    state: ExplanationState | None
    """The explanation's state in review; None if nobody has flagged or judged it."""


def figures_rows() -> Select[*tuple[Any, ...]]:
    """Query of all scores that headlines are made of, in stored order; the caller restricts it to some explanations."""
    return (
        select(
            Score.id,
            Score.explanation_id,
            Score.scorer,
            Score.sample,
            Score.simulator,
            Score.run_id,
            Score.value,
            Score.undefined_reason,
            Score.interval_low,
            Score.interval_high,
            Score.token_lookup_baseline,
            CorpusCheck.precision,
            CorpusCheck.recall,
            Explanation.method_id.is_not(None).label("is_of_method"),
        )
        .join(Explanation, Explanation.id == Score.explanation_id)
        .outerjoin(CorpusCheck, ITS_CHECK)
        .where(sql(is_one_of("score.scorer", HEADLINE_SCORERS)), sql(is_one_of("score.sample", HEADLINE_SAMPLES)))
        .order_by(Score.id)
    )


_OF_EXPLANATIONS = PreparedSelect(
    FiguresRow, figures_rows().where(Explanation.id == any_(bindparam("explanation_ids", type_=ARRAY(BigInteger))))
)


@dataclass(frozen=True, slots=True)
class PendingStandings:
    """The standings of some explanations, available after the round trip."""

    explanation_ids: Sequence[int]
    scores: PendingRows[FiguresRow]
    doubts: PendingRows[DoubtRow]
    items: PendingRows[ItemOfExplanation]

    def found(self) -> Mapping[int, ShownStanding]:
        """The headline, the 2023 score, the verdict line and the state of each explanation."""
        states = states_by_explanation(self.items.rows)
        raised, own = doubts_by_explanation(self.doubts.rows), defaultdict[int, list[FiguresRow]](list)
        for score in self.scores.rows:
            own[score.explanation_id].append(score)
        found = {}
        for key in self.explanation_ids:
            headline, old = headline_and_2023(own[key])
            line = verdict_line(headline, raised.get(key, ()))
            found[key] = ShownStanding(headline, old, line, states.get(key))
        return found


def send_standings(trip: Reads, explanation_ids: Iterable[int]) -> PendingStandings:
    """Queue the query of these explanations' standings within a round trip."""
    wanted = sorted(set(explanation_ids))
    return PendingStandings(
        wanted,
        trip.send(_OF_EXPLANATIONS.given(explanation_ids=wanted)),
        trip.send(OF_EXPLANATIONS.given(explanation_ids=wanted)),
        trip.send(ITEMS_OF_EXPLANATIONS.given(explanation_ids=wanted)),
    )


def standings_of(session: Session, *, explanation_ids: Iterable[int]) -> Mapping[int, ShownStanding]:
    """The headline, the 2023 score, the verdict line and the state of each explanation. One query."""
    with one_statement(session) as trip:
        pending = send_standings(trip, explanation_ids)
    return pending.found()


def headline_and_2023(scores: Sequence[FiguresRow]) -> tuple[Headline[FiguresRow] | None, FiguresRow | None]:
    """The headline and the 2023 score of one explanation, from all its scores."""
    made_by_method = any(score.is_of_method for score in scores)
    return (
        headline_of(scores, made_by_method=made_by_method),
        standing_score(scores, SCORE_2023, made_by_method=made_by_method),
    )
