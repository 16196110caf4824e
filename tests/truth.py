"""What counting finds, for the sums that are kept: written without the SQL that keeps them."""

import math
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable
from datetime import UTC
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.models import (
    COUNT_TABLES,
    Batch,
    CallCount,
    ChangeCount,
    DoubtedCount,
    ExplanationDoubt,
    LlmCall,
    MethodCount,
    MethodStanding,
    Neuron,
    NeuronCount,
    RankCount,
    Run,
    RunChange,
    RunCount,
    TableCount,
)
from app.models.counts import CountRow

Sums = dict[Hashable, tuple[float, ...]]


def assert_counts_are_true(session: Session) -> None:
    """Every kept sum is what counting finds now."""
    session.expire_all()
    counted: dict[type[CountRow], Sums] = {
        RunCount: _runs(session),
        ChangeCount: _changes(session),
        NeuronCount: _neurons(session),
        RankCount: _ranks(session),
        TableCount: _tables(session),
        DoubtedCount: _doubted(session),
        MethodCount: _methods(session),
        CallCount: _calls(session),
    }
    assert set(counted) == set(COUNT_TABLES)
    for table, sums in counted.items():
        assert kept_sums(session, table) == {key: pytest.approx(values) for key, values in sums.items()}, table


def kept_sums(session: Session, table: type[CountRow]) -> Sums:
    """The sums of each group of a table that are not all 0."""
    rows = session.scalars(select(table)).all()
    sums = _added(
        (tuple(getattr(row, name) for name in table.KEYS), [getattr(row, name) for name in table.SUMS]) for row in rows
    )
    return {key: values for key, values in sums.items() if any(abs(value) > 1e-9 for value in values)}


def _added(rows: Iterable[tuple[Hashable, list[Any]]]) -> Sums:
    groups: dict[Hashable, list[list[Any]]] = defaultdict(list)
    for key, numbers in rows:
        groups[key].append(numbers)
    return {key: tuple(map(sum, zip(*numbers, strict=True))) for key, numbers in groups.items()}


def _runs(session: Session) -> Sums:
    statuses: dict[int, Counter[str]] = defaultdict(Counter)
    for run in session.scalars(select(Run)):
        statuses[run.batch_id][run.status] += 1
        if run.status == "succeeded" and run.started_at is not None and run.finished_at is not None:
            statuses[run.batch_id]["seconds"] += (run.finished_at - run.started_at).total_seconds()  # type: ignore[assignment]  # a sum of seconds among counts
    return {(batch,): tuple(found[name] for name in RunCount.SUMS) for batch, found in statuses.items()}


def _changes(session: Session) -> Sums:
    return _added(
        (
            (row.batch_id,),
            [*(int(row.change == name) for name in ChangeCount.SUMS[:-1]), int(row.is_current and not row.is_copy)],
        )
        for row in session.scalars(select(RunChange))
    )


def _neurons(session: Session) -> Sums:
    return _added(
        (
            (neuron.subject_id, neuron.layer, *_scored_by(neuron)),
            [
                int(neuron.current_explanation_id is not None),
                int(neuron.n_open_flags > 0),
                int(neuron.n_doubts > 0),
                int(neuron.current_explanation_id is None and neuron.n_explanations > 0),
            ],
        )
        for neuron in session.scalars(select(Neuron))
        if neuron.current_explanation_id is not None or neuron.n_open_flags > 0 or neuron.n_explanations > 0
    )


def _scored_by(neuron: Neuron) -> tuple[bool, str | None, int | None]:
    if neuron.headline_score is not None:
        return True, neuron.headline_simulator, _bin(neuron.headline_score)
    return False, neuron.current_simulator, _bin(neuron.current_score)


def _ranks(session: Session) -> Sums:
    return _added(
        ((neuron.subject_id, neuron.layer, scorer, simulator, math.floor(100 * max(-1.0, min(score, 1.0)))), [1])
        for neuron in session.scalars(select(Neuron))
        for scorer, simulator, score in (
            (neuron.headline_scorer, neuron.headline_simulator, neuron.headline_score),
            ("correlation", neuron.current_simulator, neuron.current_score),
        )
        if score is not None
    )


def _tables(session: Session) -> Sums:
    return _added(
        (
            (neuron.subject_id, _bin(neuron.headline_score), _bin(neuron.headline_score - neuron.headline_margin)),
            [1],
        )
        for neuron in session.scalars(select(Neuron))
        if neuron.headline_score is not None and neuron.headline_margin is not None
    )


def _doubted(session: Session) -> Sums:
    rows = session.scalars(select(ExplanationDoubt).where(ExplanationDoubt.is_current))
    return _added(((row.subject_id, row.doubt), [1]) for row in rows)


def _bin(score: float | None) -> int | None:
    if score is None:
        return None
    return 0 if score < 0 else min(20, 1 + int(score * 20))


def _methods(session: Session) -> Sums:
    return _added(
        (
            (row.method_id, row.subject_id, row.is_whole_corpus, row.simulator),
            [1, int(row.score is not None), row.score or 0.0, (row.score or 0.0) ** 2, *_margin(row)],
        )
        for row in session.scalars(select(MethodStanding))
    )


def _margin(row: MethodStanding) -> list[float]:
    if row.score is None or row.token_table is None:
        return [0, 0, 0.0]
    return [1, int(row.score > row.token_table), row.score - row.token_table]


def _calls(session: Session) -> Sums:
    rows = session.execute(
        select(LlmCall, Run, Batch).outerjoin(Run, Run.id == LlmCall.run_id).outerjoin(Batch, Batch.id == Run.batch_id)
    )
    return _added(
        (
            (
                call.created_at.astimezone(UTC).date(),
                call.provider,
                None if run is None else run.method_id,
                None if batch is None else batch.account_id,
                run is not None and run.explanation_id is not None,
            ),
            [
                1,
                call.tokens_in or 0,
                call.tokens_cached or 0,
                call.tokens_out or 0,
                call.price or 0.0,
                (call.price or 0.0) if call.is_estimated else 0.0,
            ],
        )
        for call, run, batch in rows
    )
