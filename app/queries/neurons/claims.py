"""A neuron's explanations with their scores, its flags, runs and history. One query each."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, BigInteger, Text, any_, bindparam, cast, or_, select
from sqlalchemy import text as sql
from sqlalchemy.orm import Session

from app.domain.authors import AuthorKind
from app.domain.changes import Change
from app.domain.doubt_rules import RaisedDoubt
from app.domain.events import EventKind
from app.domain.executed import EXECUTED
from app.domain.explanation_states import ExplanationState, JudgedItem, explanation_state
from app.domain.headlines import Headline, headline_of
from app.domain.review import UNSETTLED
from app.domain.standing import SCORE_2023, standing_score
from app.domain.verdict_lines import VerdictLine, verdict_line
from app.models import (
    Account,
    Batch,
    CorpusCheck,
    Event,
    Explanation,
    Flag,
    Method,
    RejectedExplanation,
    ReviewItem,
    Run,
    RunChange,
    Score,
)
from app.models.base import is_one_of
from app.queries.common.prepared import PendingRows, PreparedSelect, Reads, labelled, one_statement, rows_of
from app.queries.doubts.shown import DOUBTS, DoubtRow, doubts_by_explanation
from app.queries.explanations.checked import ITS_CHECK
from app.queries.explanations.judged import ItemOfExplanation, shown_items

HISTORY_LENGTH = 30


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """A scorer's number with everything needed to judge it."""

    id: int
    scorer: str
    sample: str
    simulator: str | None
    """The simulator of the scored activations, with its calibration; None for a scorer that uses none."""
    collection_id: int | None
    """The collection whose records were scored; None if not known."""
    value: float | None
    undefined_reason: str | None
    interval_low: float | None
    interval_high: float | None
    n_valid: int
    n_failed: int
    token_lookup_baseline: float | None
    shuffled_baseline: float | None
    chance: float | None
    run_id: int | None
    precision: float | None
    """The precision of an executed explanation; ``recall`` is its recall."""
    recall: float | None


@dataclass(frozen=True, slots=True)
class StoredExplanation:
    """One explanation with its author."""

    id: int
    text: str
    author_kind: AuthorKind
    author: str
    method: str | None
    method_id: int | None
    run_id: int | None
    rank: int
    """The rank among the candidates of its run, in the method's own order."""
    collection_id: int | None
    created_at: datetime
    provenance: dict[str, Any]
    is_rejected: bool
    """Whether reviewers upheld a flag against the explanation, so that it is not shown first."""


@dataclass(frozen=True, slots=True)
class ExplanationRow(StoredExplanation):
    """One explanation with its author and its scores, in the order in which they were stored."""

    scores: tuple[ScoreRow, ...]
    doubts: tuple[RaisedDoubt, ...]
    state: ExplanationState | None
    """The explanation's state in review; None if nobody has flagged or judged it."""

    @property
    def line(self) -> VerdictLine:
        """The verdict line: the conclusion from headline and doubts."""
        return verdict_line(self.headline, self.doubts)

    @property
    def headline(self) -> Headline[ScoreRow] | None:
        """The whole-corpus score with precision and recall, otherwise the 2023 score."""
        return headline_of(self.scores, made_by_method=self.method_id is not None)

    @property
    def score_2023(self) -> ScoreRow | None:
        """The 2023 score that represents the explanation; None if there is none."""
        return standing_score(self.scores, SCORE_2023, made_by_method=self.method_id is not None)

    @property
    def by(self) -> str:
        """The author in words."""
        if self.author_kind is AuthorKind.METHOD:
            return self.method or self.author
        return f"{self.author} (import)" if self.author_kind is AuthorKind.IMPORT else self.author


@dataclass(frozen=True, slots=True)
class FlagShown:
    """An open flag against one of the neuron's explanations."""

    id: int
    explanation_id: int
    reason: str
    note: str
    by: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class RunShown:
    """A run of the neuron, as the neuron's page shows it."""

    id: int
    batch_id: int
    method: str
    status: str
    stage: str
    progress: float
    error: str | None
    by: str | None
    queued_at: datetime
    finished_at: datetime | None
    change: Change | None
    """The effect of the run's explanation; None without one."""
    difference: float | None
    is_copy: bool | None


@dataclass(frozen=True, slots=True)
class EventShown:
    """An event of the neuron's history."""

    kind: EventKind
    at: datetime
    by: str | None
    detail: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _ScoredExplanation:
    """An explanation with one of its scores, or without any."""

    explanation: StoredExplanation
    score: ScoreRow | None


@dataclass(frozen=True, slots=True)
class _RunScore:
    """A score with its explanation and the run that computed it."""

    explanation_id: int
    run_id: int | None
    score: ScoreRow


_EXPLANATION_COLUMNS = {
    "id": Explanation.id,
    "text": Explanation.text,
    "author_kind": Explanation.author_kind,
    "author": Explanation.author,
    "method": Method.name + " v" + cast(Method.version, Text),
    "method_id": Explanation.method_id,
    "run_id": Explanation.run_id,
    "rank": Explanation.rank,
    "collection_id": Explanation.collection_id,
    "created_at": Explanation.created_at,
    "provenance": Explanation.provenance,
    "is_rejected": RejectedExplanation.explanation_id.is_not(None),
}
_OF_CHECK = {"precision": CorpusCheck.precision, "recall": CorpusCheck.recall}
_SCORE_COLUMNS = {field.name: _OF_CHECK.get(field.name, getattr(Score, field.name, None)) for field in fields(ScoreRow)}

# Built once at import: building these statements takes longer than executing them.
EXPLANATIONS = PreparedSelect(
    _ScoredExplanation,
    select(*labelled("explanation", _EXPLANATION_COLUMNS), *labelled("score", _SCORE_COLUMNS))
    .select_from(Explanation)
    .outerjoin(Method, Method.id == Explanation.method_id)
    .outerjoin(Score, Score.explanation_id == Explanation.id)
    .outerjoin(RejectedExplanation, RejectedExplanation.explanation_id == Explanation.id)
    .outerjoin(CorpusCheck, ITS_CHECK)
    .where(Explanation.neuron_id == bindparam("neuron_id"))
    .order_by(Explanation.id.desc(), Score.id),
)
ITEMS = PreparedSelect(ItemOfExplanation, shown_items().where(Explanation.neuron_id == bindparam("neuron_id")))
"""A neuron's items whose verdicts may be shown."""
_OF_RUNS = PreparedSelect(
    _RunScore,
    select(Score.explanation_id, Score.run_id, *labelled("score", _SCORE_COLUMNS))
    .outerjoin(CorpusCheck, ITS_CHECK)
    .where(
        Score.explanation_id == any_(bindparam("explanation_ids", type_=ARRAY(BigInteger))),
        or_(Score.scorer == EXECUTED, Score.run_id == any_(bindparam("run_ids", type_=ARRAY(BigInteger)))),
    )
    .order_by(Score.id),
)
FLAGS = PreparedSelect(
    FlagShown,
    select(
        Flag.id,
        Flag.explanation_id,
        Flag.reason,
        Flag.note,
        Account.name.label("by"),
        Flag.created_at,
    )
    .join(ReviewItem, ReviewItem.id == Flag.item_id)
    .join(Explanation, Explanation.id == Flag.explanation_id)
    .join(Account, Account.id == Flag.account_id)
    .where(Explanation.neuron_id == bindparam("neuron_id"), sql(is_one_of("review_item.state", UNSETTLED)))
    .order_by(Flag.id.desc())
    .limit(HISTORY_LENGTH),
)
RUNS = PreparedSelect(
    RunShown,
    select(
        Run.id,
        Run.batch_id,
        Method.label.label("method"),
        Run.status,
        Run.stage,
        Run.progress,
        Run.error,
        Account.name.label("by"),
        Run.queued_at,
        Run.finished_at,
        RunChange.change,
        RunChange.difference,
        RunChange.is_copy,
    )
    .outerjoin(RunChange, RunChange.run_id == Run.id)
    .join(Method, Method.id == Run.method_id)
    .join(Batch, Batch.id == Run.batch_id)
    .outerjoin(Account, Account.id == Batch.account_id)
    .where(Run.neuron_id == bindparam("neuron_id"))
    .order_by(Run.id.desc())
    .limit(HISTORY_LENGTH),
)
EVENTS = PreparedSelect(
    EventShown,
    select(Event.kind, Event.at, Account.name.label("by"), Event.detail)
    .outerjoin(Account, Account.id == Event.account_id)
    .where(Event.neuron_id == bindparam("neuron_id"))
    .order_by(Event.id.desc())
    .limit(HISTORY_LENGTH),
)


def neuron_explanations(session: Session, *, neuron_id: int) -> tuple[ExplanationRow, ...]:
    """Every explanation of a neuron with its scores, doubts and state, the newest first. One query."""
    with one_statement(session) as trip:
        rows, doubts = trip.send(EXPLANATIONS.given(neuron_id=neuron_id)), trip.send(DOUBTS.given(neuron_id=neuron_id))
        items = trip.send(ITEMS.given(neuron_id=neuron_id))
    return whole_explanations(rows.rows, doubts.rows, items.rows)


def whole_explanations(
    rows: Iterable[_ScoredExplanation], doubts: Iterable[DoubtRow], items: Iterable[ItemOfExplanation]
) -> tuple[ExplanationRow, ...]:
    """The explanations of ``EXPLANATIONS``, each once, with the doubts of ``DOUBTS`` and the items of ``ITEMS``."""
    raised = doubts_by_explanation(doubts)
    judged: dict[int, list[JudgedItem]] = {}
    for item in items:
        judged.setdefault(item.explanation_id, []).append(JudgedItem(item.state, item.outcome))
    explanations: dict[int, StoredExplanation] = {}
    scores: dict[int, list[ScoreRow]] = {}
    for row in rows:
        explanations[row.explanation.id] = row.explanation
        found = scores.setdefault(row.explanation.id, [])
        if row.score is not None:
            found.append(row.score)
    # A rejected text stays rejected if a method gives it again.
    rejected = {own.text for own in explanations.values() if own.is_rejected}
    return tuple(
        _whole(replace(own, is_rejected=own.text in rejected), scores[key], raised.get(key, ()), judged.get(key, ()))
        for key, own in explanations.items()
    )


def _whole(
    explanation: StoredExplanation,
    scores: Sequence[ScoreRow],
    doubts: tuple[RaisedDoubt, ...],
    items: Sequence[JudgedItem],
) -> ExplanationRow:
    columns = {field.name: getattr(explanation, field.name) for field in fields(explanation)}
    state = explanation_state(items, is_rejected=explanation.is_rejected)
    return ExplanationRow(**columns, scores=tuple(scores), doubts=doubts, state=state)


@dataclass(frozen=True, slots=True)
class PendingScores:
    """The scores that runs computed of their explanations, available after the round trip."""

    explanations: Mapping[int, int]
    scores: PendingRows[_RunScore]

    def found(self) -> dict[int, list[ScoreRow]]:
        """The scores that each run computed of its explanation, and of executing it, by the run's id."""
        return {
            run_id: [r.score for r in self.scores.rows if r.explanation_id == own and r.run_id in (None, run_id)]
            for run_id, own in self.explanations.items()
        }


def send_scores_of_runs(asked: Reads, explanations: Mapping[int, int]) -> PendingScores:
    """Query the scores that each run computed of its explanation; ``explanations`` maps runs to explanations."""
    ids = sorted(set(explanations.values()))
    return PendingScores(explanations, asked.send(_OF_RUNS.given(explanation_ids=ids, run_ids=sorted(explanations))))


def neuron_flags(session: Session, *, neuron_id: int) -> tuple[FlagShown, ...]:
    """Open flags against any explanation of a neuron, the newest first. One query."""
    return tuple(rows_of(session, FLAGS.given(neuron_id=neuron_id)))


def neuron_runs(session: Session, *, neuron_id: int) -> tuple[RunShown, ...]:
    """The runs of a neuron, the newest first. One query."""
    return tuple(rows_of(session, RUNS.given(neuron_id=neuron_id)))
