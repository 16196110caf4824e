"""A neuron's statistics on its page are those of the model's activations on every token of the corpus."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from app.db import Sessions
from app.domain.samples import PEAK_QUANTILES
from app.models import Collection, Excerpt, Subject
from tests.worker.collecting import corpus_of, some_text
from tests.worker.models import save_model
from worker.collection.run import CollectOptions, collect
from worker.corpora.documents import CorpusSource
from worker.subjects.load import LoadOptions, load_subject
from worker.subjects.loaded import LoadedSubject

OPTIONS = CollectOptions(slug="tiny", context_length=8, shard_excerpts=16)
NEURONS = ((0, 0), (0, 63), (1, 5), (1, 40))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadedSubject:
    return load_subject(str(save_model(tmp_path_factory.mktemp("model"))), LoadOptions("cpu", "float32"))


def corpus(n_documents: int, seed: int) -> CorpusSource:
    return corpus_of(f"{n_documents} texts", some_text(n_documents, seed=seed))


def activations(session: Session, model: LoadedSubject) -> list[np.ndarray]:
    """By layer: the model's own activations on every excerpt of the newest collection, [excerpts, tokens, neurons]."""
    ids = session.scalars(
        select(Excerpt.token_ids)
        .join(Collection, Collection.corpus_id == Excerpt.corpus_id)
        .join(Subject, Subject.collection_id == Collection.id)
    ).all()
    found: dict[int, torch.Tensor] = {}
    model.activations(torch.tensor(ids), lambda layer, values: found.update({layer: values.clone()}))
    return [found[layer].double().numpy() for layer in sorted(found)]


@pytest.mark.parametrize("n_collections", [1, 2])
def test_a_twin_shows_what_every_token_of_the_newest_collection_has(
    client: TestClient, session: Session, sessions: Sessions, model: LoadedSubject, tmp_path: Path, n_collections: int
) -> None:
    for number in range(n_collections):
        collect(sessions, model, corpus(120 + 80 * number, seed=number), tmp_path, OPTIONS)
    session.expire_all()
    layers = activations(session, model)
    for layer, index in NEURONS:
        told = client.get(f"/tiny/{layer}/{index}.json").json()["neuron"]["statistics"]
        values = layers[layer][:, :, index]
        flat = values.ravel()
        assert told["mean"] == pytest.approx(flat.mean(), rel=1e-4, abs=1e-6)
        assert told["variance"] == pytest.approx(flat.var(), rel=1e-4)
        assert told["skewness"] == pytest.approx(stats.skew(flat), rel=1e-3, abs=1e-4)
        assert told["kurtosis"] == pytest.approx(stats.kurtosis(flat, fisher=False), rel=1e-3)
        assert (told["min"], told["max"]) == pytest.approx((flat.min(), flat.max()), rel=1e-5)
        assert told["firing_rate"] == pytest.approx((flat > 0).mean())
        peaks = values.max(axis=1)
        spread = peaks.max() - peaks.min()
        assert np.abs(told["peak_quantiles"] - np.quantile(peaks, PEAK_QUANTILES)).max() <= 0.02 * spread + 1e-6
        counts, edges = told["histogram_counts"], told["histogram_edges"]
        assert sum(counts) == flat.size
        assert (len(edges), edges[0] <= flat.min(), edges[-1] >= flat.max()) == (len(counts) + 1, True, True)
