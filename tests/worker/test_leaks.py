"""What scores an explanation never shaped it: collections full of copies through the real pipeline."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select

from app.db import Sessions
from app.domain.activations import ActivationRecord, NeuronRecords
from app.domain.copies import alike
from app.domain.methods import LEXICAL
from app.domain.splits import OPEN, Split, Splits, split_of
from app.errors import MethodError
from app.models import Neuron, Subject
from app.queries.neurons.records import neuron_records, vocabulary
from tests.worker.collecting import corpus_of
from tests.worker.tiny_models import save_tiny
from worker.collection.run import CollectOptions, collect
from worker.method.contracts import NeuronTask, Services
from worker.method.pipeline import run_method
from worker.method.registry import build_method
from worker.subjects.load import LoadOptions, load_subject

CONTEXT = 16
LICENCE = (
    "Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated "
    "documentation files, to deal in the software without restriction, including the rights to use, copy and modify. "
)


def full_of_copies(n_documents: int) -> list[tuple[str, str]]:
    """Documents of random words; every other one holds the licence, at one position or shifted by a few letters."""
    generator = np.random.default_rng(0)
    documents = []
    for number in range(n_documents):
        words = " ".join(bytes(generator.integers(97, 123, 6).tolist()).decode() for _ in range(12))
        head = "x" * int(generator.integers(0, 12)) if number % 4 else ""
        documents.append((f"document {number}", f"{head}{LICENCE}{words}" if number % 2 else words))
    return documents


@pytest.fixture(params=[6, 24, 90])
def neurons(request: pytest.FixtureRequest, sessions: Sessions, tmp_path: Path) -> Iterator[list[NeuronTask]]:
    """Some neurons of a collection of so many documents."""
    subject = load_subject(str(save_tiny(tmp_path / "model")), LoadOptions(device="cpu"))
    corpus = corpus_of("copies", full_of_copies(request.param))
    collect(sessions, subject, corpus, tmp_path / "work", CollectOptions("tiny", context_length=CONTEXT))
    with sessions() as session:
        stored = session.scalars(select(Subject)).one()
        words = vocabulary(session, tokenizer_id=stored.tokenizer_id)
        found = session.scalars(select(Neuron).order_by(Neuron.id).limit(40)).all()
        yield [
            NeuronTask(n.id, "tiny", n.layer, n.index, neuron_records(session, neuron_id=n.id), words, None, seed=0)
            for n in found
        ]


def explained(tasks: list[NeuronTask]) -> Iterator[tuple[NeuronRecords, Mapping[str, Any]]]:
    """The neurons that the lexical method can say something about, each with the result's provenance."""
    method = build_method(LEXICAL, Services())
    for task in tasks:
        try:
            (result,) = run_method(method, task, lambda stage, share: None)
        except MethodError:
            continue
        yield task.records, result.provenance


def listed(records: NeuronRecords, ids: set[int]) -> list[ActivationRecord]:
    by_id = {r.excerpt_id: r for rows in records.samples.values() for r in rows}
    return [by_id[i] for i in sorted(ids)]


def test_what_is_shown_and_what_scores_do_not_meet(neurons: list[NeuronTask]) -> None:
    n_explained = n_scored = 0
    for records, told in explained(neurons):
        shown = {name: set(ids) for name, ids in told["shown"].items()}
        assert not shown["train"] & shown.get("calibration", set())
        opened, scored = set().union(*shown.values()), {i for ids in told["scored"].values() for i in ids}
        assert opened
        assert not opened & scored
        rows = listed(records, opened) + listed(records, scored)
        near = alike([r.token_ids for r in rows], [r.peak_index for r in rows])
        assert not near[: len(opened), len(opened) :].any()
        n_explained += 1
        n_scored += len(scored)
    assert n_explained > 10
    assert n_scored > 5 * n_explained


def leaks(records: NeuronRecords, splits: Splits) -> int:
    """How many records of open splits are alike to one that is validation."""
    rows = [(r, split) for kind, rs in records.samples.items() for r, split in zip(rs, splits[kind], strict=True)]
    near = alike([r.token_ids for r, _ in rows], [r.peak_index for r, _ in rows])
    scored = np.array([split is Split.VALIDATION for _, split in rows])
    return sum(split in OPEN and bool((near[i] & scored).any()) for i, (_, split) in enumerate(rows))


def test_no_neuron_leaks_where_dealing_by_rank_alone_would(neurons: list[NeuronTask]) -> None:
    by_rank = [
        leaks(
            t.records,
            {kind: tuple(split_of(kind, i) for i in range(len(rs))) for kind, rs in t.records.samples.items()},
        )
        for t in neurons
    ]
    assert sum(n > 0 for n in by_rank) > len(neurons) / 4
    assert [leaks(t.records, t.records.splits) for t in neurons] == [0] * len(neurons)
