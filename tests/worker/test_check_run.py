"""Checks from a collected subject to rows, with a real (tiny, random) model and a real database."""

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sqlalchemy import func, select

from app.db import Sessions, transaction
from app.domain.activations import unpack_activations
from app.domain.authors import AuthorKind
from app.domain.collections import CollectionStage
from app.domain.doubts import LOW_PRECISION, LOW_RECALL
from app.domain.executed import CORPUS, EXECUTED, FIRING_LEVEL, NOT_EXECUTABLE, Mistake, firing_threshold
from app.domain.results import ExplanationResult
from app.errors import CollectionError, NotFound
from app.models import (
    CheckMistake,
    Collection,
    CorpusCheck,
    Document,
    Event,
    Excerpt,
    Explanation,
    ExplanationDoubt,
    Neuron,
    Score,
    Tokenizer,
)
from app.queries.explanations.store import Author, store_explanation
from app.queries.neurons.records import vocabulary
from tests.worker.collecting import corpus_of, some_text
from tests.worker.models import save_model
from worker.checks.run import CheckOptions, CheckOutcome, check
from worker.collection.passes import Part
from worker.collection.reporting import Progress
from worker.collection.run import CollectOptions, collect
from worker.lexical.matching import Block
from worker.lexical.parser import parse
from worker.subjects.load import LoadOptions, load_subject
from worker.subjects.loaded import LoadedSubject

COLLECT = CollectOptions(slug="tiny", context_length=8, shard_excerpts=16)
CORPUS_TEXT = corpus_of("letters", some_text(120))
OPTIONS = CheckOptions(slug="tiny")
TEXTS = {
    (0, 3): 'fires on "a" and "b", weakly on "c"',
    (0, 7): 'It likes the letter "q", and what stands right after "e".',
    (1, 5): 'fires moderately on any token after "a" or "m", but not on "t"',
    (1, 6): "words about the sea",
}


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> LoadedSubject:
    folder = save_model(tmp_path_factory.mktemp("model"))
    return load_subject(str(folder), LoadOptions(device="cpu", dtype="float32"))


def explained(sessions: Sessions, texts: dict[tuple[int, int], str]) -> None:
    """A person's explanations of some neurons."""
    with transaction(sessions) as session:
        for (layer, index), text in texts.items():
            neuron = session.scalars(select(Neuron).where(Neuron.layer == layer, Neuron.index == index)).one()
            result = ExplanationResult(text)
            store_explanation(session, neuron_id=neuron.id, result=result, author=Author(AuthorKind.PERSON, "alice"))


@pytest.fixture
def collected(sessions: Sessions, subject: LoadedSubject, tmp_path: Path) -> Path:
    """A collected subject with explanations; returns the folder of collections."""
    collect(sessions, subject, CORPUS_TEXT, tmp_path, COLLECT)
    explained(sessions, TEXTS)
    return tmp_path


def newest(sessions: Sessions) -> int:
    """The id of the newest collection."""
    with sessions() as session:
        return session.scalars(select(func.max(Collection.id))).one()


def rows(sessions: Sessions, collection_id: int | None = None) -> list[tuple[Any, ...]]:
    """Everything that checks have stored of a collection, comparable between runs: excerpts as corpus positions."""
    own = newest(sessions) if collection_id is None else collection_id
    with sessions() as session:
        places = {
            row.id: (row.ordinal, row.position)
            for row in session.execute(
                select(Excerpt.id, Document.ordinal, Excerpt.position).join(
                    Document, Document.id == Excerpt.document_id
                )
            )
        }
        checks = session.scalars(
            select(CorpusCheck).where(CorpusCheck.collection_id == own).order_by(CorpusCheck.explanation_id)
        ).all()
        mistakes = session.scalars(
            select(CheckMistake)
            .where(CheckMistake.collection_id == own)
            .order_by(CheckMistake.explanation_id, CheckMistake.kind)
        ).all()
        scores = session.scalars(select(Score).where(Score.collection_id == own).order_by(Score.explanation_id)).all()
    return [
        *((c.reading, c.n_tokens, c.n_firing, c.n_claimed, c.n_right, c.average_precision) for c in checks),
        *(
            (m.kind, m.n_tokens, m.token_ids, m.token_counts, [places[i] for i in m.excerpt_ids], m.activations)
            for m in mistakes
        ),
        *((s.scorer, s.sample, s.value, s.undefined_reason, s.n_valid) for s in scores),
    ]


def everywhere(subject: LoadedSubject, layer: int, index: int) -> tuple[np.ndarray, np.ndarray]:
    """The excerpts of the corpus, and one neuron's activations on them, without a collection. [E, 8] each"""
    excerpts = []
    for document in CORPUS_TEXT.read(lambda name, reason: None):
        ids = np.array(subject.encode([document.text])[0], dtype=np.int32)
        excerpts += list(ids[: len(ids) // 8 * 8].reshape(-1, 8))
    tokens, values = np.stack(excerpts), []

    def on_layer(at: int, own: torch.Tensor) -> None:
        if at == layer:
            values.append(own[:, :, index].clone().numpy())

    subject.activations(torch.from_numpy(tokens).long(), on_layer)
    return tokens, values[0]


def test_what_is_stored_is_what_the_model_does_on_every_token(
    sessions: Sessions, subject: LoadedSubject, collected: Path
) -> None:
    assert check(sessions, subject, collected, OPTIONS) == CheckOutcome(True, 3, 1, 960)
    with sessions() as session:
        tokenizer = vocabulary(session, tokenizer_id=session.scalars(select(Tokenizer.id)).one())
        for (layer, index), text in list(TEXTS.items())[:3]:
            row = session.execute(
                select(CorpusCheck, Score, Neuron)
                .join(Explanation, Explanation.id == CorpusCheck.explanation_id)
                .join(Neuron, Neuron.id == Explanation.neuron_id)
                .join(Score, Score.explanation_id == Explanation.id)
                .where(Neuron.layer == layer, Neuron.index == index)
            ).one()
            tokens, real = everywhere(subject, layer, index)
            expected = Block(list(tokens), tokenizer).predict(parse(text))
            fires = real.ravel() >= np.float32(firing_threshold(row.Neuron.max))
            claimed = expected >= FIRING_LEVEL
            found = row.CorpusCheck
            assert (found.n_tokens, found.n_firing) == (960, int(fires.sum()))
            assert (found.n_claimed, found.n_right) == (int(claimed.sum()), int((claimed & fires).sum()))
            assert found.precision == pytest.approx(fires[claimed].mean())
            assert found.recall == pytest.approx(claimed[fires].mean())
            assert found.f1 == pytest.approx(2 * (claimed & fires).sum() / (claimed.sum() + fires.sum()))
            assert (row.Score.scorer, row.Score.sample, row.Score.n_valid) == (EXECUTED, CORPUS, 960)
            assert row.Score.value == pytest.approx(np.corrcoef(real.ravel(), expected)[0, 1], abs=1e-5)


def test_doubts_follow_from_what_a_check_finds(sessions: Sessions, subject: LoadedSubject, collected: Path) -> None:
    check(sessions, subject, collected, OPTIONS)
    with sessions() as session:
        found = {row.explanation_id: row for row in session.scalars(select(CorpusCheck))}
        doubts = set(session.execute(select(ExplanationDoubt.explanation_id, ExplanationDoubt.doubt)))
    broad = {
        (i, "too_broad") for i, row in found.items() if row.precision is not None and row.precision < LOW_PRECISION
    }
    narrow = {(i, "too_narrow") for i, row in found.items() if row.recall is not None and row.recall < LOW_RECALL}
    assert broad
    assert narrow
    assert {row for row in doubts if row[1] in ("too_broad", "too_narrow")} == broad | narrow


def test_mistakes_are_shown_where_they_are(sessions: Sessions, subject: LoadedSubject, collected: Path) -> None:
    check(sessions, subject, collected, OPTIONS)
    with sessions() as session:
        shown = session.execute(
            select(CheckMistake, CorpusCheck, Neuron)
            .join(CorpusCheck, CorpusCheck.explanation_id == CheckMistake.explanation_id)
            .join(Explanation, Explanation.id == CorpusCheck.explanation_id)
            .join(Neuron, Neuron.id == Explanation.neuron_id)
        ).all()
        assert len(shown) == 6
        for mistake, found, neuron in shown:
            excerpts = [session.get_one(Excerpt, i).token_ids for i in mistake.excerpt_ids]
            real = unpack_activations(mistake.activations, [8] * len(excerpts))
            expected = unpack_activations(mistake.expected, [8] * len(excerpts))
            threshold = firing_threshold(float(neuron.max or 0))
            alarm = mistake.kind == Mistake.FALSE_ALARM
            n_mistakes = found.n_claimed - found.n_right if alarm else found.n_firing - found.n_right
            assert mistake.n_tokens == n_mistakes
            assert sum(mistake.token_counts) <= n_mistakes
            assert len(excerpts) == min(5, len(excerpts))
            assert (len(excerpts) > 0) == (n_mistakes > 0)
            for ids, x, y in zip(excerpts, real, expected, strict=True):
                wrong = (y >= FIRING_LEVEL) & (x < threshold) if alarm else (x >= threshold) & (y < FIRING_LEVEL)
                assert wrong.any()
                assert set(mistake.token_ids) & {t for t, w in zip(ids, wrong, strict=True) if w}


def test_a_check_looks_only_at_what_is_new(sessions: Sessions, subject: LoadedSubject, collected: Path) -> None:
    check(sessions, subject, collected, OPTIONS)
    before = rows(sessions)
    told: list[Progress] = []
    assert check(sessions, subject, collected, OPTIONS, told.append) == CheckOutcome(True, 0, 0, 960)
    assert (told, rows(sessions)) == ([], before)
    explained(sessions, {(1, 9): 'fires on "z"'})
    assert check(sessions, subject, collected, OPTIONS).n_checked == 1
    with sessions() as session:
        events = session.scalars(select(Event).where(Event.kind == "check.completed").order_by(Event.id)).all()
        found = [(event.detail["n_explanations"], event.detail["n_unreadable"]) for event in events]
        assert found == [(3, 1), (1, 0)]


def test_a_text_in_which_nothing_can_be_executed_says_so(
    sessions: Sessions, subject: LoadedSubject, collected: Path
) -> None:
    check(sessions, subject, collected, OPTIONS)
    with sessions() as session:
        score = session.scalars(
            select(Score)
            .join(Explanation, Explanation.id == Score.explanation_id)
            .where(Explanation.text == "words about the sea")
        ).one()
        assert (score.scorer, score.value, score.undefined_reason) == (EXECUTED, None, NOT_EXECUTABLE)


def test_texts_in_which_nothing_can_be_executed_need_no_pass(
    sessions: Sessions, subject: LoadedSubject, tmp_path: Path
) -> None:
    collect(sessions, subject, CORPUS_TEXT, tmp_path, COLLECT)
    explained(sessions, {(0, 1): "joy"})
    told: list[Progress] = []
    assert check(sessions, subject, tmp_path, OPTIONS, told.append) == CheckOutcome(True, 0, 1, 960)
    assert told == []


def test_a_second_collection_is_checked_anew(sessions: Sessions, subject: LoadedSubject, collected: Path) -> None:
    check(sessions, subject, collected, OPTIONS)
    collect(sessions, subject, corpus_of("more", some_text(40, seed=1)), collected, COLLECT)
    assert check(sessions, subject, collected, OPTIONS) == CheckOutcome(True, 3, 1, 320)
    with sessions() as session:
        assert session.scalar(select(func.count()).select_from(CorpusCheck)) == 6


def test_parts_store_the_same_rows_when_the_last_is_there(
    sessions: Sessions, subject: LoadedSubject, collected: Path
) -> None:
    check(sessions, subject, collected, OPTIONS)
    whole = rows(sessions)
    collect(sessions, subject, CORPUS_TEXT, collected, COLLECT)
    first = check(sessions, subject, collected, replace(OPTIONS, part=Part(1, 2)))
    assert (first.complete, rows(sessions)) == (False, [])
    explained(sessions, {(0, 9): 'fires on "late"'})  # is left for the next check: parts have the same explanations
    assert check(sessions, subject, collected, replace(OPTIONS, part=Part(0, 2))).n_checked == 3
    assert rows(sessions) == whole


def test_a_corpus_is_cut_again_where_its_cut_is_lost(
    sessions: Sessions, subject: LoadedSubject, collected: Path
) -> None:
    for file in (collected / "cuts").rglob("*.*"):
        file.unlink()
    with pytest.raises(CollectionError, match=r"not kept on this machine\. Name its corpus, letters: --corpus"):
        check(sessions, subject, collected, OPTIONS)
    with pytest.raises(CollectionError, match="not the text that was collected"):
        check(sessions, subject, collected, replace(OPTIONS, corpus=corpus_of("other", some_text(120, seed=5))))
    outcome = check(sessions, subject, collected, replace(OPTIONS, corpus=CORPUS_TEXT, restart=True))
    assert outcome == CheckOutcome(True, 3, 1, 960)


def test_a_subject_without_a_collection_is_named(sessions: Sessions, subject: LoadedSubject, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no subject 'tiny' with a complete collection"):
        check(sessions, subject, tmp_path, OPTIONS)


KILLED = """
import os, signal, sys
from pathlib import Path
from app.db import make_engine, make_sessions
from tests.worker.test_check_run import OPTIONS, LoadOptions, check, load_subject

def die(progress):
    if progress.stage == "check" and progress.done >= 600:
        os.kill(os.getpid(), signal.SIGKILL)

subject = load_subject(sys.argv[1], LoadOptions(device="cpu", dtype="float32"))
check(make_sessions(make_engine(sys.argv[2])), subject, Path(sys.argv[3]), OPTIONS, die)
"""


def test_a_killed_check_goes_on_to_the_same_rows(
    fresh_sessions: Sessions, fresh_database: str, subject: LoadedSubject, tmp_path: Path
) -> None:
    collect(fresh_sessions, subject, CORPUS_TEXT, tmp_path, COLLECT)
    explained(fresh_sessions, TEXTS)
    arguments = [subject.info.source, fresh_database, str(tmp_path)]
    ended = subprocess.run([sys.executable, "-c", KILLED, *arguments], check=False, capture_output=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    assert rows(fresh_sessions) == []

    told: list[Progress] = []
    assert check(fresh_sessions, subject, tmp_path, OPTIONS, told.append).n_checked == 3
    assert next(p.done for p in told if p.stage == CollectionStage.CHECK) > 0
    resumed = rows(fresh_sessions)
    collect(fresh_sessions, subject, CORPUS_TEXT, tmp_path, COLLECT)
    check(fresh_sessions, subject, tmp_path, OPTIONS)
    assert rows(fresh_sessions) == resumed


def test_the_executed_score_becomes_the_headline_with_both_sides_and_its_margin(
    sessions: Sessions, subject: LoadedSubject, collected: Path
) -> None:
    check(sessions, subject, collected, OPTIONS)
    with sessions() as session:
        for (layer, index), text in list(TEXTS.items())[:3]:
            row = session.execute(
                select(CorpusCheck, Score, Neuron)
                .join(Score, Score.explanation_id == CorpusCheck.explanation_id)
                .join(Neuron, Neuron.current_explanation_id == CorpusCheck.explanation_id)
                .where(Neuron.layer == layer, Neuron.index == index)
            ).one()
            tokens, real = everywhere(subject, layer, index)
            table = {token: real[tokens == token].mean() for token in np.unique(tokens)}
            expected = np.vectorize(table.__getitem__)(tokens)
            by_tokens = np.corrcoef(expected.ravel(), real.ravel())[0, 1]
            neuron = row.Neuron
            assert (neuron.current_text, neuron.headline_scorer, neuron.headline_simulator) == (
                text,
                EXECUTED,
                "lexical",
            )
            assert neuron.headline_score == row.Score.value
            assert (neuron.headline_precision, neuron.headline_recall) == (
                row.CorpusCheck.precision,
                row.CorpusCheck.recall,
            )
            assert neuron.headline_margin == pytest.approx(row.Score.value - by_tokens, abs=1e-4)
        silent = session.scalars(select(Neuron).where(Neuron.layer == 1, Neuron.index == 6)).one()
        assert (silent.headline_score, silent.headline_margin) == (None, None)
