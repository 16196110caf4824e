"""From text to rows, with a real (tiny, random) model and a real database."""

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

from app.db import Sessions
from app.domain.activations import SampleKind
from app.domain.collections import CollectionStage
from app.errors import CollectionError, Conflict, CorpusError, Invalid
from app.models import Collection, Document, Excerpt, Neuron, Sample, Subject
from app.queries.neurons.records import neuron_records, vocabulary
from app.queries.subjects.lookup import subject_head
from app.version import code_version
from tests.worker.collecting import corpus_of, some_text
from tests.worker.models import save_model
from worker.collection import run as run_module
from worker.collection.command import parse_part, slug_of_model
from worker.collection.passes import Part
from worker.collection.reporting import Progress
from worker.collection.run import CollectionOutcome, CollectOptions, collect
from worker.subjects.load import LoadOptions, load_subject
from worker.subjects.loaded import LoadedSubject

OPTIONS = CollectOptions(slug="tiny", context_length=8, shard_excerpts=16)
CORPUS = corpus_of("letters", some_text(120))


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> LoadedSubject:
    folder = save_model(tmp_path_factory.mktemp("model"))
    return load_subject(str(folder), LoadOptions(device="cpu", dtype="float32"))


def rows(sessions: Sessions, collection_id: int) -> list[tuple[Any, ...]]:
    """All samples of a collection, with excerpts as corpus positions, comparable between runs."""
    with sessions() as session:
        places = {
            row.id: (row.ordinal, row.position)
            for row in session.execute(
                select(Excerpt.id, Document.ordinal, Excerpt.position).join(
                    Document, Document.id == Excerpt.document_id
                )
            )
        }
        samples = session.execute(
            select(Neuron.layer, Neuron.index, Sample.kind, Sample.excerpt_ids, Sample.activations, Sample.peaks)
            .join(Neuron, Neuron.id == Sample.neuron_id)
            .where(Sample.collection_id == collection_id)
            .order_by(Neuron.layer, Neuron.index, Sample.kind)
        ).all()
    return [(s.layer, s.index, s.kind, [places[i] for i in s.excerpt_ids], s.activations, s.peaks) for s in samples]


def statistics(sessions: Sessions) -> list[tuple[Any, ...]]:
    """The statistics of all neurons."""
    with sessions() as session:
        columns = [Neuron.layer, Neuron.index, Neuron.mean, Neuron.variance, Neuron.kurtosis, Neuron.peak_quantiles]
        found = session.execute(select(*columns, Neuron.histogram_counts).order_by(Neuron.layer, Neuron.index)).all()
    return [tuple(row) for row in found]


def test_what_is_stored_is_what_the_model_does(sessions: Sessions, subject: LoadedSubject, tmp_path: Path) -> None:
    outcome = collect(sessions, subject, CORPUS, tmp_path, OPTIONS)
    assert (outcome.complete, outcome.tokens) == (True, 960)
    with sessions() as session:
        neuron = session.scalars(select(Neuron).where(Neuron.layer == 1, Neuron.index == 5)).one()
        record = neuron_records(session, neuron_id=neuron.id).of(SampleKind.TOP)[0]
    found: dict[int, torch.Tensor] = {}
    subject.activations(
        torch.from_numpy(record.token_ids[None]).long(), lambda layer, a: found.update({layer: a.clone()})
    )
    np.testing.assert_allclose(record.activations, found[1][0, :, 5].numpy(), rtol=2e-3, atol=1e-4)
    assert neuron.max == pytest.approx(float(found[1][0, :, 5].max()), rel=1e-6)


def test_a_collection_becomes_the_subjects_with_all_its_rows(
    sessions: Sessions, subject: LoadedSubject, tmp_path: Path
) -> None:
    outcome = collect(sessions, subject, CORPUS, tmp_path, OPTIONS)
    with sessions() as session:
        row = session.get_one(Collection, outcome.collection_id)
        stored = session.scalars(select(Subject)).one()
        assert (row.status, row.tokens_done, row.n_excerpts, row.error) == ("complete", 960, 120, None)
        assert row.finished_at is not None
        assert (row.code_version, row.device) == (code_version(), "cpu")
        assert stored.collection_id == row.id
        assert session.scalar(select(func.count()).select_from(Neuron)) == 2 * 64
        assert len(vocabulary(session, tokenizer_id=stored.tokenizer_id)) == 260
    assert [path.name for path in tmp_path.iterdir()] == ["cuts"]


def test_notes_on_weights_and_corpus_are_stored_and_told(
    sessions: Sessions, subject: LoadedSubject, tmp_path: Path
) -> None:
    noted = replace(subject, notes=("1 weights in the files are not used by this architecture: score.weight",))
    outcome = collect(sessions, noted, CORPUS, tmp_path, replace(OPTIONS, max_tokens=80))
    assert outcome.notes[:2] == (*noted.notes, "the corpus was read up to 80 tokens, as asked for")
    with sessions() as session:
        assert tuple(session.get_one(Collection, outcome.collection_id).notes) == outcome.notes


def test_a_second_collection_keeps_neurons_and_the_first_collections_samples(
    sessions: Sessions, subject: LoadedSubject, tmp_path: Path
) -> None:
    first = collect(sessions, subject, CORPUS, tmp_path, OPTIONS)
    before, kept = rows(sessions, first.collection_id), statistics(sessions)
    with sessions() as session:
        ids = session.scalars(select(Neuron.id).order_by(Neuron.id)).all()
    second = collect(sessions, subject, corpus_of("more", some_text(200, seed=1)), tmp_path, OPTIONS)
    with sessions() as session:
        assert session.scalars(select(Neuron.id).order_by(Neuron.id)).all() == ids
        assert session.scalars(select(Subject)).one().collection_id == second.collection_id
    assert rows(sessions, first.collection_id) == before
    assert statistics(sessions) != kept


def test_the_same_again_gives_the_same_and_reuses_excerpts(
    sessions: Sessions, subject: LoadedSubject, tmp_path: Path
) -> None:
    first = collect(sessions, subject, CORPUS, tmp_path, OPTIONS)
    second = collect(sessions, subject, CORPUS, tmp_path, replace(OPTIONS, batch=3))
    assert first.collection_id != second.collection_id
    assert rows(sessions, first.collection_id) == rows(sessions, second.collection_id)
    with sessions() as session:
        head = subject_head(session, slug=session.scalars(select(Subject.slug)).one())
    assert head.others == [f"{head.corpus} ({head.tokens:,} tokens)"]
    with sessions() as session:
        assert session.scalar(select(func.count()).select_from(Excerpt)) == 120


def test_parts_are_stored_when_the_last_is_there(sessions: Sessions, subject: LoadedSubject, tmp_path: Path) -> None:
    whole = collect(sessions, subject, CORPUS, tmp_path, OPTIONS)
    expected = statistics(sessions)
    first = collect(sessions, subject, CORPUS, tmp_path, replace(OPTIONS, part=Part(1, 2)))
    assert not first.complete
    last = collect(sessions, subject, CORPUS, tmp_path, replace(OPTIONS, part=Part(0, 2)))
    assert last == CollectionOutcome(first.collection_id, True, 960, whole.notes)
    assert rows(sessions, last.collection_id) == rows(sessions, whole.collection_id)
    assert statistics(sessions) == expected


def test_another_model_under_the_same_name_is_refused(
    sessions: Sessions, subject: LoadedSubject, tmp_path: Path
) -> None:
    collect(sessions, subject, CORPUS, tmp_path / "work", OPTIONS)
    other = load_subject(str(save_model(tmp_path / "other", "llama")), LoadOptions(device="cpu"))
    with pytest.raises(Conflict, match="'tiny', which differs in weights_digest"):
        collect(sessions, other, CORPUS, tmp_path / "work", OPTIONS)


def test_a_corpus_that_is_too_short_leaves_no_row(sessions: Sessions, subject: LoadedSubject, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no text of 8 tokens"):
        collect(sessions, subject, corpus_of("short", [("a", "abc")]), tmp_path, OPTIONS)
    with sessions() as session:
        assert session.scalars(select(Collection)).all() == []


def test_a_context_longer_than_the_model_takes_is_refused(
    sessions: Sessions, subject: LoadedSubject, tmp_path: Path
) -> None:
    with pytest.raises(CollectionError, match="1 to 64 tokens at once, not 65"):
        collect(sessions, subject, CORPUS, tmp_path, replace(OPTIONS, context_length=65))


def test_a_pass_that_fails_shows_nothing_and_can_be_repeated(
    sessions: Sessions, subject: LoadedSubject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(run_module, "publish", broken)
        with pytest.raises(OSError, match="No space"):
            collect(sessions, subject, CORPUS, tmp_path, OPTIONS)
    with sessions() as session:
        failed = session.scalars(select(Collection)).one()
        assert (failed.status, failed.error) == ("failed", "[Errno 28] No space left on device")
        assert session.scalars(select(Subject)).one().collection_id is None
        assert session.scalars(select(Neuron)).all() == []

    outcome = collect(sessions, subject, CORPUS, tmp_path, OPTIONS)
    assert (outcome.collection_id, outcome.complete) == (failed.id, True)


@pytest.mark.parametrize(
    ("dtype", "value", "advice"),
    [
        (
            "float32",
            float("nan"),
            r"The weights themselves are not: 1 of them, among them transformer\.h\.0\.mlp",
        ),
        ("float32", 1e38, r"The model overflows in float32 on this text"),
        ("bfloat16", 1e38, r"bfloat16 may overflow: try --dtype float32\."),
        ("float16", 3e4, r"float16 may overflow: try --dtype bfloat16 or float32\."),
    ],
)
def test_numbers_that_are_not_finite_say_what_helps(
    sessions: Sessions, tmp_path: Path, dtype: str, value: float, advice: str
) -> None:
    overflowing = load_subject(str(save_model(tmp_path / "model")), LoadOptions(device="cpu", dtype=dtype))
    overflowing.model.get_submodule("transformer.h.0.mlp.c_fc").weight.fill_(value)
    with pytest.raises(CollectionError, match=f"not finite numbers.* {advice}") as raised:
        collect(sessions, overflowing, CORPUS, tmp_path, OPTIONS)
    with sessions() as session:
        failed = session.scalars(select(Collection)).one()
    assert (failed.status, failed.error) == ("failed", raised.value.message)


def test_progress_is_told_from_cutting_to_storing(sessions: Sessions, subject: LoadedSubject, tmp_path: Path) -> None:
    told: list[Progress] = []
    collect(sessions, subject, CORPUS, tmp_path, replace(OPTIONS, batch=16), told.append)
    ends = {p.stage: (p.done, p.total) for p in told}
    looked_at = (960, 960)  # a corpus of 120 excerpts is looked at whole
    assert list(ends.items()) == [
        (CollectionStage.CUT, (960, 0)),
        (CollectionStage.PILOT, looked_at),
        (CollectionStage.COLLECT, (960, 960)),
        (CollectionStage.LOOK, looked_at),
        (CollectionStage.STORE, (2, 2)),
    ]
    for stage in list(ends)[1:]:
        assert next(p.done for p in told if p.stage is stage) == 0
        done = [p.done for p in told if p.stage is stage]
        assert done == sorted(done)
        assert len(done) > 2 or stage is CollectionStage.STORE


KILLED = """
import os, signal, sys
from pathlib import Path
from app.db import make_engine, make_sessions
from tests.worker.test_collection_run import CORPUS, OPTIONS, collect, load_subject, LoadOptions

def die(progress):
    if progress.stage == "collect" and progress.done >= 600:
        os.kill(os.getpid(), signal.SIGKILL)

subject = load_subject(sys.argv[1], LoadOptions(device="cpu", dtype="float32"))
collect(make_sessions(make_engine(sys.argv[2])), subject, CORPUS, Path(sys.argv[3]), OPTIONS, die)
"""


def test_a_killed_collection_goes_on_to_the_same_rows(
    fresh_sessions: Sessions, fresh_database: str, subject: LoadedSubject, tmp_path: Path
) -> None:
    arguments = [subject.info.source, fresh_database, str(tmp_path / "killed")]
    ended = subprocess.run([sys.executable, "-c", KILLED, *arguments], check=False, capture_output=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    with fresh_sessions() as session:
        (running,) = session.scalars(select(Collection))
        assert running.status == "running"
        assert session.scalars(select(Neuron)).all() == []

    told: list[Progress] = []
    resumed = collect(fresh_sessions, subject, CORPUS, tmp_path / "killed", OPTIONS, told.append)
    assert resumed.collection_id == running.id
    assert [p.done for p in told if p.stage is CollectionStage.COLLECT][1] > 0
    after = statistics(fresh_sessions)
    whole = collect(fresh_sessions, subject, CORPUS, tmp_path / "whole", OPTIONS)
    assert rows(fresh_sessions, resumed.collection_id) == rows(fresh_sessions, whole.collection_id)
    assert statistics(fresh_sessions) == after


def test_parts_and_names_are_read_from_the_command_line() -> None:
    assert parse_part("2/4") == Part(1, 4)
    for text in ("0/4", "5/4", "x"):
        with pytest.raises(CollectionError, match="2/4"):
            parse_part(text)
    assert [slug_of_model(m) for m in ("openai-community/GPT2-XL", "/models/My model/")] == ["gpt2-xl", "my-model"]


@pytest.mark.parametrize("slug", ["flags", "Two Words", "", "a/b", "openapi.json"])
def test_a_slug_that_cannot_stand_in_an_address_is_refused_at_once(slug: str) -> None:
    with pytest.raises(Invalid, match="choose a --slug"):
        CollectOptions(slug)
