"""Neurons of one model are found again in another by how they fire, wherever they stand there."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session
from transformers import AutoModelForCausalLM

from app.db import Sessions
from app.models import Neuron, Subject
from app.queries.subjects.cofiring_pairs import MOST_DRAWN, subjects_by_cofiring
from tests.factories import Make
from tests.queries import counted_queries
from tests.worker.collecting import corpus_of
from tests.worker.models import save_model
from tests.worker.test_collection_run import CORPUS, OPTIONS
from worker.collection.run import CollectOptions, collect
from worker.subjects.load import LoadOptions, load_subject

N_EXPLAINED = 6


def shuffled(folder: Path, into: Path) -> list[int]:
    """The same model with the neurons of each layer in another order; where the old ones stand now."""
    save_model(into, "llama")
    model = AutoModelForCausalLM.from_pretrained(folder)
    width = model.model.layers[0].mlp.down_proj.weight.shape[1]
    order = torch.randperm(width, generator=torch.Generator().manual_seed(3))
    for layer in model.model.layers:
        for name in ("gate_proj", "up_proj"):
            projection = getattr(layer.mlp, name)
            projection.weight.data = projection.weight.data[order]
        layer.mlp.down_proj.weight.data = layer.mlp.down_proj.weight.data[:, order]
    model.save_pretrained(into)
    return torch.argsort(order).tolist()


def collected(sessions: Sessions, folder: Path, data: Path, options: CollectOptions, text: str = "") -> None:
    corpus = corpus_of("another text", [("a.txt", text)]) if text else CORPUS
    collect(sessions, load_subject(str(folder), LoadOptions("cpu", "float32")), corpus, data, options)


@pytest.fixture
def moved(sessions: Sessions, tmp_path: Path) -> list[int]:
    """A model and the same one shuffled, both collected; where the neurons of the first stand in the second."""
    first, second = save_model(tmp_path / "first", "llama"), tmp_path / "second"
    now = shuffled(first, second)
    collected(sessions, first, tmp_path / "data", OPTIONS)
    collected(sessions, second, tmp_path / "data", replace(OPTIONS, slug="shuffled", name="shuffled"))
    return now


@pytest.fixture
def session(sessions: Sessions, moved: list[int]) -> Iterator[Session]:
    with sessions() as session:
        make = Make(session)
        for slug in (OPTIONS.slug, "shuffled"):
            for neuron in neurons(session, slug):
                make.explained(neuron, f"what neuron {neuron.index} does")
        session.flush()
        yield session


def neurons(session: Session, slug: str) -> list[Neuron]:
    """Those that fire most often, in an order that both subjects have in common."""
    own = select(Neuron).join(Subject).where(Subject.slug == slug)
    return list(session.scalars(own.order_by(Neuron.firing_rate.desc(), Neuron.mean).limit(N_EXPLAINED)))


def ids(session: Session, *slugs: str) -> list[int]:
    return [session.scalars(select(Subject.id).where(Subject.slug == slug)).one() for slug in slugs]


def test_every_neuron_is_found_where_it_stands_now(session: Session, moved: list[int]) -> None:
    first, second = ids(session, OPTIONS.slug, "shuffled")
    found = subjects_by_cofiring(session, first=first, second=second)
    assert found.same_corpus
    assert found.n_drawn == len(found.pairs) == N_EXPLAINED <= MOST_DRAWN
    for pair in found.pairs:
        assert (pair.second.layer, pair.second.index) == (pair.first.layer, moved[pair.first.index])
        assert pair.cofiring == pytest.approx(1, abs=1e-3)
        assert pair.n_shared >= 3
    assert found == subjects_by_cofiring(session, first=first, second=second)  # drawn by seed


def test_it_takes_few_queries(session: Session, engine: Engine) -> None:
    first, second = ids(session, OPTIONS.slug, "shuffled")
    with counted_queries(engine) as sent:
        subjects_by_cofiring(session, first=first, second=second)
    assert len(sent) <= 6


def test_subjects_on_different_text_are_not_matched(session: Session, sessions: Sessions, tmp_path: Path) -> None:
    session.commit()
    options = replace(OPTIONS, slug="other", name="other")
    collected(sessions, tmp_path / "second", tmp_path / "data", options, "some other words " * 40)
    first, second = ids(session, OPTIONS.slug, "other")
    found = subjects_by_cofiring(session, first=first, second=second)
    assert (found.same_corpus, found.n_drawn, found.pairs) == (False, 0, ())
