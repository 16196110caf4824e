"""The same collection on a GPU as on the processor, within the tolerance of its arithmetic."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.worker.collecting import corpus_of, some_text
from tests.worker.models import save_model
from worker.collection.best import ordinals_of
from worker.collection.passes import BatchSize, Part, Pass
from worker.collection.plan import Cut, Excerpts, prepare
from worker.collection.sampling import Sampling
from worker.collection.state import POOLS, Shape, State, layer_bounds
from worker.collection.statistics import LayerStatistics, layer_statistics
from worker.collection.token_sums import token_rows
from worker.subjects.load import LoadOptions, load_subject
from worker.subjects.loaded import LoadedSubject

TOKENS = 32


def collected(subject: LoadedSubject, folder: Path, batch: int = 16) -> tuple[State, LayerStatistics]:
    """A finished pass, on the processor, with the statistics of the last layer."""
    corpus = corpus_of("letters", some_text(1200))
    plan = prepare(folder, corpus, subject.encode, Cut(TOKENS, None, 64))
    excerpts, n_layers, neurons = Excerpts(folder, plan), subject.info.n_layers, subject.info.neurons_per_layer
    rows = token_rows(excerpts, plan, n_neurons=n_layers * neurons)
    shape = Shape(n_layers, neurons, TOKENS, rows.n_rows)
    sampling = Sampling.of(0, plan.n_excerpts)
    work = Pass(subject.activations, plan, excerpts, shape, sampling, rows, BatchSize(batch), subject.device)
    bounds = work.pilot()
    state = work.run(bounds, Part(), folder, lambda tokens: None).to(torch.device("cpu"))
    of_layer = {name: tensor.cpu() for name, tensor in bounds.items()}
    return state, layer_statistics(state, layer_bounds(of_layer, 1), 1)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[State, LayerStatistics]]:
    """The same on the processor and on the GPU, in float32."""
    model = str(save_model(tmp_path_factory.mktemp("model"), "llama"))
    torch.backends.cuda.matmul.allow_tf32 = False
    return [
        collected(load_subject(model, LoadOptions(device=device, dtype="float32")), tmp_path_factory.mktemp(device))
        for device in ("cpu", "cuda")
    ]


def test_statistics_agree(pair: list[tuple[State, LayerStatistics]]) -> None:
    (_, left), (_, right) = pair
    for name in ("mean", "variance", "skewness", "kurtosis", "minimum", "maximum", "firing_rate", "peak_quantiles"):
        np.testing.assert_allclose(getattr(left, name), getattr(right, name), rtol=2e-2, atol=1e-3, err_msg=name)


def test_nearly_every_place_holds_the_same_excerpt(pair: list[tuple[State, LayerStatistics]]) -> None:
    (left, _), (right, _) = pair
    for pool in POOLS:
        mine, theirs = (ordinals_of(state.pool(1, pool).ordered().scores).numpy() for state in (left, right))
        assert (mine == theirs).mean() > 0.95, pool


def test_bfloat16_stays_close(tmp_path: Path, pair: list[tuple[State, LayerStatistics]]) -> None:
    model = str(save_model(tmp_path / "model", "llama"))
    subject = load_subject(model, LoadOptions(device="cuda"))
    assert subject.info.dtype == "bfloat16"
    _, rough = collected(subject, tmp_path / "work")
    (_, exact), _ = pair
    deviation = np.sqrt(exact.variance)
    assert np.median(np.abs(rough.mean - exact.mean) / deviation) < 0.02


def test_the_same_batches_give_the_same_twice(tmp_path: Path) -> None:
    subject = load_subject(str(save_model(tmp_path / "model")), LoadOptions(device="cuda", dtype="float32"))
    (first, _), (second, _) = (collected(subject, tmp_path / name) for name in ("a", "b"))
    assert torch.equal(first.tensors["sums"], second.tensors["sums"])
    assert torch.equal(first.tensors["token_sums"], second.tensors["token_sums"])
    for pool in POOLS:
        assert torch.equal(first.best(pool).ordered().scores, second.best(pool).ordered().scores)
