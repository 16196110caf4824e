"""The rows of lists of neurons."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, func
from sqlalchemy.orm import Session

from app.domain.explanation_states import ExplanationState
from app.domain.headlines import HeadlineKind
from app.domain.searches import mark_prefixes
from app.domain.verdict_lines import VerdictLine
from app.models import Neuron
from app.queries.common.prepared import one_statement
from app.queries.explanations.headlines import ShownStanding, send_standings
from app.queries.lists.entries import ENTRIES, ListEntry
from app.queries.neurons.filters import ListReference
from app.queries.neurons.order import SortKey
from app.queries.neurons.search_words import search_language, search_query
from app.queries.runs.active import RUNS_OF_NEURONS, RunsOfNeuron

TEXT_SHOWN = 400
"""Characters of an explanation that a list shows; the neuron's page shows the full text."""
HIT, HIT_END = "\x02", "\x03"
_HEADLINE = f"StartSel={HIT}, StopSel={HIT_END}, HighlightAll=true"


@dataclass(frozen=True, slots=True)
class NeuronRow:
    """One row of a list of neurons."""

    id: int
    subject_id: int
    layer: int
    index: int
    explanation_id: int | None
    explanation: str | None
    marked: str | None
    """The explanation with ``HIT`` and ``HIT_END`` around the words found by a search; None without a search."""
    headline: float | None
    """The whole-corpus score, otherwise the 2023 score."""
    headline_kind: HeadlineKind | None
    """The kind of the headline; None without a scored explanation."""
    headline_interval: tuple[float, float] | None
    precision: float | None
    recall: float | None
    margin: float | None
    """The headline minus the score of the neuron's token table."""
    twin_percentile: float | None
    """Share of the null twin's neurons in the layer with a lower headline."""
    score: float | None
    """The 2023 score."""
    interval: tuple[float, float] | None
    """The 95% interval of the 2023 score."""
    score_simulator: str | None
    """Of the 2023 score; an executed headline beside it has another simulator."""
    simulator: str | None
    """The simulator of the headline. Scores of different simulators are not comparable."""
    firing_rate: float | None
    max: float | None
    n_explanations: int
    n_open_flags: int
    n_active_runs: int
    verdict: VerdictLine | None
    """The verdict line of the explanation; None without an explanation."""
    state: ExplanationState | None
    """The explanation's state in review; None if nobody has flagged or judged it."""
    found_nothing: bool
    """Whether the neuron has no explanation and a method found nothing worth saying."""
    entry: ListEntry | None = None
    """The neuron's entry in the requested list of neurons."""
    similarity: float | None = None
    """The cosine of the explanation and the searched text; None if not searched by meaning."""

    @property
    def is_whole_corpus(self) -> bool:
        """Whether the headline is a whole-corpus score."""
        return self.headline_kind is not None and self.headline_kind.is_whole_corpus


def mixed_columns(rows: Iterable[NeuronRow]) -> tuple[SortKey, ...]:
    """The columns in which these lines have scores of several simulators, which are not comparable."""
    simulators: dict[SortKey, set[str | None]] = {SortKey.HEADLINE: set(), SortKey.SCORE: set()}
    for row in rows:
        if row.is_whole_corpus and row.headline is not None:
            simulators[SortKey.HEADLINE].add(row.simulator)
        if row.score is not None:
            simulators[SortKey.SCORE].add(row.score_simulator)
    return tuple(key for key, names in simulators.items() if len(names) > 1)


LISTED_COLUMNS = (
    Neuron.id,
    Neuron.subject_id,
    Neuron.layer,
    Neuron.index,
    Neuron.current_explanation_id,
    func.left(Neuron.current_text, TEXT_SHOWN).label("current_text"),
    Neuron.current_score,
    Neuron.headline_score,
    Neuron.headline_margin,
    Neuron.twin_percentile,
    Neuron.firing_rate,
    Neuron.max,
    Neuron.n_explanations,
    Neuron.n_open_flags,
)


def marked_text(text: ColumnElement[Any], words: str) -> ColumnElement[Any]:
    """An explanation with ``HIT`` and ``HIT_END`` around the words of a search: a column ``marked`` for ``whole_rows``.

    It is expensive, so the database computes it last, only for the rows of the page.
    """
    shown = func.translate(func.left(text, TEXT_SHOWN), HIT + HIT_END, "")
    return func.ts_headline(search_language(words), shown, search_query(words), _HEADLINE).label("marked")


def whole_rows(
    session: Session, rows: Sequence[Any], *, words: str | None = None, in_list: ListReference | None = None
) -> tuple[NeuronRow, ...]:
    """Complete rows that have ``LISTED_COLUMNS``, in their order, with the neurons' entries in ``in_list``.

    One query.
    """
    if not rows:
        return ()
    explained = [row.current_explanation_id for row in rows if row.current_explanation_id is not None]
    ids = [row.id for row in rows]
    with one_statement(session) as asked:
        pending = send_standings(asked, explained)
        runs_found = asked.send(RUNS_OF_NEURONS.given(neuron_ids=ids))
        listed = None if in_list is None else asked.send(ENTRIES.given(list_id=in_list.id, neuron_ids=ids))
    standings, runs = pending.found(), {row.neuron_id: row for row in runs_found.rows}
    entries = {} if listed is None else {row.neuron_id: row.entry for row in listed.rows}
    return tuple(
        _whole_row(
            row, standings.get(row.current_explanation_id), runs.get(row.id), _marked(row, words), entries.get(row.id)
        )
        for row in rows
    )


def _whole_row(
    row: Any, standing: ShownStanding | None, runs: RunsOfNeuron | None, marked: str | None, entry: ListEntry | None
) -> NeuronRow:
    headline = None if standing is None else standing.headline
    old = None if standing is None else standing.score_2023
    return NeuronRow(
        id=row.id,
        subject_id=row.subject_id,
        layer=row.layer,
        index=row.index,
        explanation_id=row.current_explanation_id,
        explanation=row.current_text,
        marked=marked,
        headline=None if headline is None else headline.score.value,
        headline_kind=None if headline is None else headline.kind,
        headline_interval=None if headline is None else headline.interval,
        precision=None if headline is None else headline.precision.value,
        recall=None if headline is None else headline.recall.value,
        margin=None if headline is None else headline.margin.value,
        twin_percentile=row.twin_percentile,
        score=None if old is None else old.value,
        interval=None if old is None else old.interval,
        score_simulator=None if old is None else old.simulator,
        simulator=None if headline is None else headline.score.simulator,
        firing_rate=row.firing_rate,
        max=row.max,
        n_explanations=row.n_explanations,
        n_open_flags=row.n_open_flags,
        n_active_runs=0 if runs is None else runs.n_active,
        verdict=None if standing is None else standing.line,
        state=None if standing is None else standing.state,
        found_nothing=row.current_explanation_id is None and runs is not None and runs.found_nothing,
        entry=entry,
        similarity=getattr(row, "meaning", None),
    )


def _marked(row: Any, words: str | None) -> str | None:
    """The explanation with marks around the words found, including words that begin with a searched prefix."""
    marked = getattr(row, "marked", None)
    return None if marked is None or not words else mark_prefixes(marked, words, start=HIT, end=HIT_END)
