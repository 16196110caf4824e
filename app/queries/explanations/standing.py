"""Which explanations and scores represent neurons and methods, by ``app.domain.standing``; stored with both."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from sqlalchemy import ARRAY, BigInteger, any_, bindparam, select
from sqlalchemy import text as sql
from sqlalchemy.orm import Session

from app.domain.changes import ScoredText
from app.domain.headlines import Headline
from app.domain.standing import shown_first
from app.models import Explanation, Neuron, RejectedExplanation
from app.queries.common.prepared import PreparedSelect, PreparedWrite, one_round_trip
from app.queries.doubts.store import refresh_doubts
from app.queries.explanations.changes import ENDED_RUNS, store_changes
from app.queries.explanations.headlines import FiguresRow, figures_rows, headline_and_2023


@dataclass(frozen=True, slots=True)
class _Locked:
    id: int


@dataclass(frozen=True, slots=True)
class _Text:
    """The fields of an explanation that the rules need."""

    id: int
    neuron_id: int
    text: str
    rank: int
    method_id: int | None
    collection_id: int | None
    is_rejected: bool


# Built once at import: building these statements takes longer than executing them.
_NEURONS = bindparam("neuron_ids", type_=ARRAY(BigInteger))
_LOCK = PreparedSelect(
    _Locked, select(Neuron.id).where(Neuron.id == any_(_NEURONS)).order_by(Neuron.id).with_for_update(key_share=True)
)
_TEXTS = PreparedSelect(
    _Text,
    select(
        Explanation.id,
        Explanation.neuron_id,
        Explanation.text,
        Explanation.rank,
        Explanation.method_id,
        Explanation.collection_id,
        RejectedExplanation.explanation_id.is_not(None).label("is_rejected"),
    )
    .outerjoin(RejectedExplanation, RejectedExplanation.explanation_id == Explanation.id)
    .where(Explanation.neuron_id == any_(_NEURONS)),
)
_SCORES = PreparedSelect(FiguresRow, figures_rows().where(Explanation.neuron_id == any_(_NEURONS)))
_CURRENT = PreparedWrite(
    sql("""
    UPDATE neuron SET current_explanation_id = found.explanation_id, current_text = found.text,
        current_score = found.score, current_simulator = found.simulator, headline_score = found.headline,
        headline_scorer = found.headline_scorer, headline_simulator = found.headline_simulator,
        headline_precision = found.headline_precision, headline_recall = found.headline_recall,
        headline_margin = found.headline_margin, n_explanations = found.n_explanations
    FROM unnest(
        CAST(:neuron_ids AS bigint[]), CAST(:explanation_ids AS bigint[]), CAST(:texts AS text[]),
        CAST(:scores AS double precision[]), CAST(:simulators AS text[]), CAST(:headlines AS double precision[]),
        CAST(:headline_scorers AS text[]), CAST(:headline_simulators AS text[]),
        CAST(:precisions AS double precision[]), CAST(:recalls AS double precision[]),
        CAST(:margins AS double precision[]), CAST(:numbers AS integer[])
    ) AS found (
        neuron_id, explanation_id, text, score, simulator, headline, headline_scorer, headline_simulator,
        headline_precision, headline_recall, headline_margin, n_explanations
    )
    WHERE neuron.id = found.neuron_id
""")
)


_STANDING = PreparedWrite(
    sql("""
    INSERT INTO method_standing
        (method_id, neuron_id, is_whole_corpus, subject_id, explanation_id, score_id, score, simulator, token_table)
    SELECT found.method_id, found.neuron_id, found.is_whole_corpus, neuron.subject_id, found.explanation_id,
        found.score_id, found.score, found.simulator, found.token_table
    FROM unnest(
        CAST(:method_ids AS bigint[]), CAST(:neuron_ids AS bigint[]), CAST(:kinds AS boolean[]),
        CAST(:explanation_ids AS bigint[]), CAST(:score_ids AS bigint[]), CAST(:scores AS double precision[]),
        CAST(:simulators AS text[]), CAST(:token_tables AS double precision[])
    ) AS found (method_id, neuron_id, is_whole_corpus, explanation_id, score_id, score, simulator, token_table)
    JOIN neuron ON neuron.id = found.neuron_id
    ON CONFLICT (method_id, neuron_id, is_whole_corpus) DO UPDATE SET explanation_id = excluded.explanation_id,
        score_id = excluded.score_id, score = excluded.score, simulator = excluded.simulator,
        token_table = excluded.token_table
    WHERE (method_standing.explanation_id, method_standing.score_id)
        IS DISTINCT FROM (excluded.explanation_id, excluded.score_id)
""")
)


_AT_ONCE = 2000
"""Neurons whose explanations and scores are in memory at the same time."""


def refresh_current(session: Session, *, neuron_id: int) -> None:
    """Update a neuron's derived data: ``current_*`` and ``headline_*``, each method's explanation, its doubts.

    Must be called after explanations or scores of the neuron were stored or one was rejected, in the same transaction.
    """
    refresh_neurons(session, neuron_ids=[neuron_id])
    refresh_doubts(session, neuron_ids=[neuron_id])


def refresh_neurons(session: Session, *, neuron_ids: Sequence[int]) -> None:
    """The same for many neurons at once, without doubts, which are recomputed for a whole subject."""
    wanted = sorted(set(neuron_ids))
    for first in range(0, len(wanted), _AT_ONCE):
        _refresh(session, wanted[first : first + _AT_ONCE])


def _refresh(session: Session, neuron_ids: list[int]) -> None:
    with one_round_trip(session) as trip:
        # The second of two transactions waits here and then sees the first one's explanations.
        trip.send(_LOCK.given(neuron_ids=neuron_ids))
        texts = trip.send(_TEXTS.given(neuron_ids=neuron_ids))
        scores = trip.send(_SCORES.given(neuron_ids=neuron_ids))
        runs = trip.send(ENDED_RUNS.given(neuron_ids=neuron_ids))
    of_text = _scores_of(texts.rows, scores.rows)
    standing = _standing_scores(texts.rows, of_text)
    own: dict[int, list[_Text]] = {neuron_id: [] for neuron_id in neuron_ids}
    by_method: dict[tuple[int, int], list[_Text]] = {}
    for text in _with_rejected_copies(texts.rows):
        own[text.neuron_id].append(text)
        if text.method_id is not None:
            by_method.setdefault((text.method_id, text.neuron_id), []).append(text)

    def first_of(several: Sequence[_Text]) -> _Text | None:
        return shown_first(several, lambda text: standing[text.id].is_scored)

    current = [_Current.of(neuron_id, first_of(rows), len(rows), standing) for neuron_id, rows in own.items()]
    # A method's figures include its rejected explanations: without them they would be too high.
    said = {key: first_of([replace(text, is_rejected=False) for text in rows]) for key, rows in by_method.items()}
    with one_round_trip(session) as trip:
        trip.change(_CURRENT, {column: [getattr(row, column) for row in current] for column in _Current.__slots__})
        if said:
            trip.change(_STANDING, _arrays(said, standing))
    if runs.rows:
        scored = {t.id: ScoredText(t.text, of_text[t.id], t.method_id is not None) for t in texts.rows}
        store_changes(session.connection(), runs.rows, scored, {row.neuron_ids: row.explanation_ids for row in current})


def _with_rejected_copies(texts: Sequence[_Text]) -> list[_Text]:
    """The texts, where texts equal to a rejected one of the same neuron are rejected as well."""
    rejected = {(text.neuron_id, text.text) for text in texts if text.is_rejected}
    return [replace(text, is_rejected=(text.neuron_id, text.text) in rejected) for text in texts]


@dataclass(frozen=True, slots=True)
class _Standing:
    """The scores that represent a text: 2023 score and headline."""

    score: FiguresRow | None
    headline: Headline[FiguresRow] | None

    @property
    def is_scored(self) -> bool:
        """Whether the text has a defined headline."""
        return self.headline is not None and self.headline.score.value is not None

    @property
    def whole_corpus(self) -> Headline[FiguresRow] | None:
        """The headline if it is a whole-corpus score: a column of lists has scores of one kind only."""
        return self.headline if self.headline is not None and self.headline.is_whole_corpus else None

    def of_kind(self, is_whole_corpus: bool) -> tuple[FiguresRow | None, float | None]:
        """The score of one kind, and the token table's score on the same tokens."""
        if not is_whole_corpus:
            return self.score, None if self.score is None else self.score.token_lookup_baseline
        return (None, None) if self.whole_corpus is None else (self.whole_corpus.score, self.whole_corpus.token_table)


Standings: TypeAlias = Mapping[int, _Standing]
"""Standings by explanation id."""


@dataclass(frozen=True, slots=True)
class _Current:
    """The derived data of a neuron, named like the statement's parameters."""

    neuron_ids: int
    numbers: int
    explanation_ids: int | None = None
    texts: str | None = None
    scores: float | None = None
    simulators: str | None = None
    headlines: float | None = None
    headline_scorers: str | None = None
    headline_simulators: str | None = None
    precisions: float | None = None
    recalls: float | None = None
    margins: float | None = None

    @classmethod
    def of(cls, neuron_id: int, text: _Text | None, number: int, standing: Standings) -> "_Current":
        """The derived data of a neuron whose explanation ``text`` is shown first."""
        if text is None:
            return cls(neuron_id, number)
        score, headline = standing[text.id].score, standing[text.id].whole_corpus
        return cls(
            neuron_ids=neuron_id,
            numbers=number,
            explanation_ids=text.id,
            texts=text.text,
            scores=None if score is None else score.value,
            simulators=None if score is None else score.simulator,
            headlines=None if headline is None else headline.score.value,
            headline_scorers=None if headline is None else headline.score.scorer,
            headline_simulators=None if headline is None else headline.score.simulator,
            precisions=None if headline is None else headline.precision.value,
            recalls=None if headline is None else headline.recall.value,
            margins=None if headline is None else headline.margin.value,
        )


def _arrays(said: Mapping[tuple[int, int], _Text | None], standing: Standings) -> dict[str, list[object]]:
    """For each neuron, each method's explanation that has a score of either kind; one list per column."""
    texts = [(key, text, standing[text.id]) for key, text in said.items() if text is not None]
    rows = [(key, text, kind, *own.of_kind(kind)) for key, text, own in texts for kind in (True, False)]
    return {
        "method_ids": [method_id for (method_id, _), *_ in rows],
        "neuron_ids": [neuron_id for (_, neuron_id), *_ in rows],
        "kinds": [kind for _, _, kind, _, _ in rows],
        "explanation_ids": [text.id for _, text, *_ in rows],
        "score_ids": [None if score is None else score.id for *_, score, _ in rows],
        "scores": [None if score is None else score.value for *_, score, _ in rows],
        "simulators": [None if score is None else score.simulator for *_, score, _ in rows],
        "token_tables": [table for *_, table in rows],
    }


def _scores_of(texts: Sequence[_Text], scores: Sequence[FiguresRow]) -> dict[int, list[FiguresRow]]:
    of_text: dict[int, list[FiguresRow]] = {text.id: [] for text in texts}
    for score in scores:
        of_text[score.explanation_id].append(score)
    return of_text


def _standing_scores(texts: Sequence[_Text], of_text: Mapping[int, Sequence[FiguresRow]]) -> Standings:
    def standing(text: _Text) -> _Standing:
        headline, old = headline_and_2023(of_text[text.id])
        return _Standing(old, headline)

    return {text.id: standing(text) for text in texts}
