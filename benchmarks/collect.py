"""Collection against the bare forward pass: ``python -m benchmarks.collect [--quick] [--json FILE]``.

Three things run on each batch, in every order by turns, with the same threads: the collection (forward pass up to the
last layer's neurons, and everything that is kept of it), the bare forward pass without language-model
head, and the whole model with it. So a busy machine slows all three alike. The collection's time
holds all its parts: saved states, and the pilot in the share of 1/256 that it has of a long corpus.
"""

import itertools
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel
from transformers.utils.logging import disable_progress_bar

from benchmarks.figures import Figure, benchmark, held_to, reported
from worker.collection.bounds import PILOT_SHARE, pilot_size
from worker.collection.passes import BatchSize, Forward, Part, Pass
from worker.collection.plan import Excerpts, Plan
from worker.collection.sampling import Sampling
from worker.collection.state import Shape, State, layer_bounds
from worker.collection.statistics import layer_statistics
from worker.collection.token_sums import token_rows
from worker.subjects.hooks import OnLayer, run_to_layer

TOKENS = 64
BATCH = 32
TARGET = 0.9
DEMO_MODEL = Path(__file__).resolve().parent.parent / "demo" / "model"


@dataclass(frozen=True, slots=True)
class Bench:
    """A model to be measured."""

    model: nn.Module
    vocabulary: int
    n_layers: int
    neurons: int

    @property
    def modules(self) -> dict[int, nn.Module]:
        """The output projections of a GPT-2 model."""
        return {i: self.model.get_submodule(f"transformer.h.{i}.mlp.c_proj") for i in range(self.n_layers)}


class InTurn:
    """A collection's forward pass that also runs the passes it is compared with, and times them separately."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._modules = bench.modules
        self._orders = itertools.cycle(itertools.permutations(("collect", "bare", "full")))
        self.bare = self.full = 0.0

    def __call__(self, token_ids: Tensor, on_layer: OnLayer) -> None:
        model: Any = self._bench.model
        # every order in turn, since the pass after the whole model finds the caches full of logits
        for work in next(self._orders):
            if work == "collect":
                run_to_layer(model, self._modules, token_ids, on_layer)
            elif work == "bare":
                self.bare += seconds(lambda: model.transformer(token_ids, use_cache=False))
            else:
                self.full += seconds(lambda: model(token_ids, use_cache=False))


@dataclass(frozen=True, slots=True)
class Speeds:
    """Tokens per second, side by side, and the bytes that the collection keeps per neuron."""

    collect: float
    bare: float
    full: float
    bytes_per_neuron: float


def measure(quick: bool) -> dict[str, Figure]:
    """Tokens per second of collection, of the bare forward pass and of the whole model."""
    disable_progress_bar()  # type: ignore[no-untyped-call]  # the library ships no type for it
    figures: dict[str, Figure] = {}
    for name, bench, excerpts in (
        ("demo", demo_model(), 1024 if quick else 32768),
        ("gpt2_small", small_model(), 32 if quick else 1024),
    ):
        speeds = compare(bench, excerpts)
        figures |= {
            f"{name}_tokens": reported(excerpts * TOKENS, "tokens"),
            f"{name}_collect": reported(speeds.collect, "tokens/s"),
            f"{name}_bare": reported(speeds.bare, "tokens/s"),
            f"{name}_full": reported(speeds.full, "tokens/s"),
            f"{name}_to_bare": held_to(speeds.collect / speeds.bare, "of the bare pass", ">=", TARGET),
            f"{name}_to_full": held_to(speeds.collect / speeds.full, "of model(ids)", ">", 1),
            f"{name}_memory": reported(speeds.bytes_per_neuron / 1000, "kB per neuron"),
        }
    return figures | half_precision(demo_model(), 128 if quick else 2048)


def compare(bench: Bench, n_excerpts: int) -> Speeds:
    """A whole collection of random tokens, with the other two passes in turn."""
    with tempfile.TemporaryDirectory() as name:
        forward = InTurn(bench)
        work = a_pass(bench, Path(name), n_excerpts, forward)
        warm_up(bench, forward)
        pilot_seconds, bounds = apart(forward, work.pilot)
        forward.bare = forward.full = 0.0
        pass_seconds, state = apart(forward, lambda: work.run(bounds, Part(), Path(name), lambda tokens: None))
    tokens = n_excerpts * TOKENS
    pilot_tokens = pilot_size(n_excerpts) * TOKENS
    per_token = pass_seconds / tokens + pilot_seconds / pilot_tokens / PILOT_SHARE
    neurons = bench.n_layers * bench.neurons
    return Speeds(1 / per_token, tokens / forward.bare, tokens / forward.full, state.n_bytes / neurons)


def warm_up(bench: Bench, forward: InTurn) -> None:
    """A small first collection, so that memory is allocated and loops are compiled."""
    with tempfile.TemporaryDirectory() as name:
        work = a_pass(bench, Path(name), 2 * BATCH, forward)
        work.run(work.pilot(), Part(), Path(name), lambda tokens: None)


def half_precision(bench: Bench, n_excerpts: int) -> dict[str, Figure]:
    """Effects of bfloat16: the speed, and the error of each neuron's mean and quantile of peaks.

    Errors are the median over neurons, in standard deviations of the neuron's activations.
    """
    results: dict[torch.dtype, tuple[float, State, dict[str, Tensor]]] = {}
    for dtype in (torch.float32, torch.bfloat16):
        bench.model.to(dtype)
        with tempfile.TemporaryDirectory() as name:
            work = a_pass(bench, Path(name), n_excerpts, plain(bench))
            bounds = work.pilot()
            begun = perf_counter()
            state = work.run(bounds, Part(), Path(name), lambda tokens: None)
            results[dtype] = (perf_counter() - begun, state, bounds)
    errors = [layer_errors(results[torch.float32][1:], results[torch.bfloat16][1:], i) for i in range(bench.n_layers)]
    mean, peak = np.median(np.concatenate(errors, axis=1), axis=1)
    return {
        "bfloat16_speed": reported(results[torch.float32][0] / results[torch.bfloat16][0], "of float32"),
        "bfloat16_mean_error": reported(float(mean), "standard deviations"),
        "bfloat16_peak_error": reported(float(peak), "standard deviations"),
    }


def layer_errors(
    exact: tuple[State, dict[str, Tensor]], rough: tuple[State, dict[str, Tensor]], layer: int
) -> np.ndarray:
    """Errors of the mean and of the 0.99 quantile of peaks, [2, N], in standard deviations."""
    left, right = (layer_statistics(state, layer_bounds(bounds, layer), layer) for state, bounds in (exact, rough))
    deviation = np.sqrt(left.variance)
    differences = [left.mean - right.mean, left.peak_quantiles[:, 2] - right.peak_quantiles[:, 2]]
    return np.abs(np.stack(differences)) / deviation


def plain(bench: Bench) -> Forward:
    """The collection's forward pass alone."""
    modules = bench.modules
    return lambda token_ids, on_layer: run_to_layer(bench.model, modules, token_ids, on_layer)


def a_pass(bench: Bench, folder: Path, n_excerpts: int, forward: Forward) -> Pass:
    """A collection of random tokens, as frequent as Zipf's law has them: how often tokens recur decides what is cached.

    As in a long corpus, one excerpt in 64 enters the histogram.
    """
    generator = np.random.default_rng(0)
    shares = 1 / np.arange(1, bench.vocabulary + 1)
    frequent = generator.permutation(bench.vocabulary).astype(np.int32)
    drawn = generator.choice(frequent, (n_excerpts, TOKENS), p=shares / shares.sum())
    drawn.tofile(folder / "excerpts.bin")
    np.zeros((n_excerpts, 2), dtype=np.int64).tofile(folder / "places.bin")
    plan = Plan(TOKENS, n_excerpts, 1024, "", ())
    excerpts = Excerpts(folder, plan)
    rows = token_rows(excerpts, plan, n_neurons=bench.n_layers * bench.neurons)
    shape = Shape(bench.n_layers, bench.neurons, TOKENS, rows.n_rows)
    sampling, device = Sampling(0, n_excerpts, 64), torch.device("cpu")
    return Pass(forward, plan, excerpts, shape, sampling, rows, BatchSize(BATCH), device)


def apart(forward: InTurn, work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of the work without the parts that ``forward`` timed separately, and the work's result."""
    before = forward.bare + forward.full
    begun = perf_counter()
    answer = work()
    return perf_counter() - begun - (forward.bare + forward.full - before), answer


@torch.inference_mode()
def seconds(work: Callable[[], object]) -> float:
    """Seconds that the work takes."""
    begun = perf_counter()
    work()
    return perf_counter() - begun


def demo_model() -> Bench:
    """The demo's model if it exists, otherwise random weights of its shape."""
    if (DEMO_MODEL / "model.safetensors").exists():
        model = AutoModelForCausalLM.from_pretrained(DEMO_MODEL, local_files_only=True, dtype=torch.float32)
        return _bench(model)
    config = GPT2Config(n_layer=4, n_embd=192, n_head=6, vocab_size=4096, bos_token_id=0, eos_token_id=0)
    return _bench(GPT2LMHeadModel(config))


def small_model() -> Bench:
    """Random weights of GPT-2 small's shape."""
    return _bench(GPT2LMHeadModel(GPT2Config()))


def _bench(model: Any) -> Bench:
    config = model.config
    return Bench(model.eval(), config.vocab_size, config.n_layer, config.n_inner or 4 * config.n_embd)


if __name__ == "__main__":
    benchmark("collect", measure)
