"""What a collection writes, and when it can be seen."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from app.domain.sites import Site, SiteKind
from app.domain.tokens import Vocabulary
from app.errors import CollectionError, Conflict
from app.models import Collection, Document, Excerpt, Neuron, Subject
from app.queries.neurons.records import vocabulary
from app.queries.subjects import collections as queries
from app.queries.subjects.collection_state import (
    collection_status,
    fail_collection,
    resume_collection,
    start_collection,
)
from app.queries.subjects.collections import ExcerptRow
from app.queries.subjects.registration import register_corpus, register_subject, register_tokenizer
from tests.factories import Make

VALUES: dict[str, Any] = {
    "name": "Tiny",
    "source": "test",
    "revision": None,
    "weights_digest": "abc",
    "architecture": "GPT2LMHeadModel",
    "site": Site(SiteKind.MLP_POST_ACTIVATION, "transformer.h.{layer}.mlp.c_proj", (3, 3)).as_json(),
    "n_layers": 2,
    "neurons_per_layer": 3,
    "activation_function": "gelu_new",
    "dtype": "float32",
    "bos_policy": "none",
    "permutation_seed": None,
}


@pytest.fixture
def running(session: Session) -> Collection:
    """A running collection of a subject without neurons."""
    tokenizer_id = register_tokenizer(session, name="t", vocabulary=Vocabulary("digest", (b"a", b"\xe2\x82")))
    collection_id = start_collection(
        session,
        subject_id=register_subject(session, slug="tiny", tokenizer_id=tokenizer_id, values=VALUES),
        corpus_id=register_corpus(session, digest="corpus", name="c", source="c"),
        context_length=4,
        seed=0,
        dtype="float32",
        device="cpu",
        code_version="test",
        tokens_planned=100,
    )
    return session.get_one(Collection, collection_id)


def neuron_rows(value: float, n: int = 3) -> list[Sequence[Any]]:
    """Statistics of two layers of n neurons, all alike; the skewness does not exist."""
    scalars = (value, 1.0, None, 3.0, -1.0, 2.0, 0.5)
    return [(layer, i, *scalars, [0.5] * 5, [1] * 50, [0.0] * 51) for layer in range(2) for i in range(n)]


def store(session: Session, collection: Collection, value: float) -> np.ndarray:
    rows = (tuple(row) for row in neuron_rows(value))
    return queries.store_neurons(session, subject_id=collection.subject_id, shape=(2, 3), rows=rows)


def test_a_tokenizer_and_a_subject_are_stored_once(session: Session, running: Collection) -> None:
    subject = session.get_one(Subject, running.subject_id)
    again = register_tokenizer(session, name="other", vocabulary=Vocabulary("digest", ()))
    assert again == subject.tokenizer_id
    assert vocabulary(session, tokenizer_id=again).tokens == (b"a", b"\xe2\x82")
    assert register_subject(session, slug="tiny", tokenizer_id=again, values=VALUES) == subject.id


def test_a_slug_is_not_given_to_another_model(session: Session, running: Collection) -> None:
    tokenizer_id = session.get_one(Subject, running.subject_id).tokenizer_id
    with pytest.raises(Conflict, match="differs in bos_policy"):
        register_subject(session, slug="tiny", tokenizer_id=tokenizer_id, values={**VALUES, "bos_policy": "prepend"})


def other_values() -> dict[str, Any]:
    """The same model at another site."""
    site = Site(SiteKind.MODULE_INPUT, "transformer.h.{layer}.attn.c_proj", (3, 3)).as_json()
    return {**VALUES, "site": site, "activation_function": None}


def test_a_slug_on_which_a_process_is_at_work_is_not_given_away(session: Session, running: Collection) -> None:
    tokenizer_id = session.get_one(Subject, running.subject_id).tokenizer_id
    with pytest.raises(Conflict, match="differs in site, activation_function"):
        register_subject(session, slug="tiny", tokenizer_id=tokenizer_id, values=other_values())


def test_a_slug_under_which_nothing_was_collected_is_free_again(session: Session, running: Collection) -> None:
    tokenizer_id, first = session.get_one(Subject, running.subject_id).tokenizer_id, running.subject_id
    fail_collection(session, collection_id=running.id, error="the wrong module was named")
    subject_id = register_subject(session, slug="tiny", tokenizer_id=tokenizer_id, values=other_values())
    assert session.scalars(select(Subject.id)).all() == [subject_id] != [first]
    assert session.scalars(select(Collection.id)).all() == []


def test_a_slug_with_neurons_or_a_control_is_not_given_away(session: Session, running: Collection) -> None:
    tokenizer_id, subject_id = session.get_one(Subject, running.subject_id).tokenizer_id, running.subject_id
    fail_collection(session, collection_id=running.id, error="stopped")
    control = {**VALUES, "permutation_seed": 0, "null_twin_of_id": subject_id}
    control_id = register_subject(session, slug="control", tokenizer_id=tokenizer_id, values=control)
    with pytest.raises(Conflict, match="differs in site"):
        register_subject(session, slug="tiny", tokenizer_id=tokenizer_id, values=other_values())
    session.execute(delete(Subject).where(Subject.id == control_id))
    store(session, running, 0.5)
    with pytest.raises(Conflict, match="differs in site"):
        register_subject(session, slug="tiny", tokenizer_id=tokenizer_id, values=other_values())


def test_neurons_keep_their_ids_and_get_new_statistics(session: Session, running: Collection) -> None:
    first = store(session, running, 0.25)
    assert first.shape == (2, 3)
    assert len(set(first.ravel().tolist())) == 6
    np.testing.assert_array_equal(store(session, running, 0.75), first)
    neuron = session.scalars(select(Neuron).where(Neuron.layer == 1, Neuron.index == 2)).one()
    assert (neuron.id, neuron.mean, neuron.skewness, neuron.histogram_counts) == (first[1, 2], 0.75, None, [1] * 50)


def test_excerpts_and_documents_are_stored_once(session: Session, running: Collection) -> None:
    tokenizer_id = session.get_one(Subject, running.subject_id).tokenizer_id
    stored = []
    for ordinals in ((7, 9), (7, 8, 9)):
        queries.store_documents(session, corpus_id=running.corpus_id, documents=[(3, "a.txt", 10), (5, "a.txt", None)])
        rows = (ExcerptRow(o, 3 if o < 9 else 5, 4 * o, [o, 1, 2, 3]) for o in ordinals)
        stored.append(
            queries.store_excerpts(session, corpus_id=running.corpus_id, tokenizer_id=tokenizer_id, excerpts=rows)
        )
    (first, first_ids), (second, second_ids) = stored
    assert (first.tolist(), second.tolist()) == ([7, 9], [7, 8, 9])
    assert second_ids[[0, 2]].tolist() == first_ids.tolist()
    assert session.get_one(Excerpt, int(second_ids[1])).token_ids == [8, 1, 2, 3]
    assert [d.byte_offset for d in session.scalars(select(Document).order_by(Document.ordinal))] == [10, None]


def test_a_complete_collection_is_the_subjects_and_cannot_fail(session: Session, running: Collection) -> None:
    queries.complete_collection(session, collection_id=running.id, values={})
    fail_collection(session, collection_id=running.id, error="too late")
    session.refresh(running)
    assert (running.status, running.error) == ("complete", None)
    assert session.scalars(select(Subject.collection_id)).all() == [running.id]


def test_only_a_running_collection_can_be_completed(session: Session, running: Collection) -> None:
    fail_collection(session, collection_id=running.id, error="disk full")
    with pytest.raises(CollectionError, match="not running"):
        queries.complete_collection(session, collection_id=running.id, values={})
    resume_collection(session, collection_id=running.id)
    assert collection_status(session, collection_id=running.id) == "running"


def test_a_collection_of_its_own_subject_leaves_others_alone(session: Session, make: Make, running: Collection) -> None:
    other = make.subject("other")
    neuron = make.neuron(other, mean=0.1)
    store(session, running, 0.9)
    queries.complete_collection(session, collection_id=running.id, values={})
    session.refresh(neuron)
    session.refresh(other)
    assert (neuron.mean, other.collection_id == running.id) == (0.1, False)
