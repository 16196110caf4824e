"""The time of a check in times of the collection's: ``python -m benchmarks.check [--quick] [--tokens N]``.

Both read the same text, Python's standard library, with the demo's model, one after the other in one process: the
collection, then a check of one explanation per neuron. The explanations quote the tokens that the collection has found
strongest for their neuron, with a class after a token, as the lexical explainer's sentences do.
"""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter
from typing import TypeVar

import numpy as np
import torch

from benchmarks.collect import BATCH, DEMO_MODEL, TOKENS
from benchmarks.figures import Figures, benchmark, held_to, reported
from worker.checks.checker import Executable
from worker.checks.passes import CheckPass
from worker.collection.passes import BatchSize, Part, Pass
from worker.collection.plan import Cut, Excerpts, Plan, prepare
from worker.collection.sampling import Sampling
from worker.collection.state import Shape, State, layer_bounds
from worker.collection.statistics import layer_tokens
from worker.collection.token_sums import TokenRows, token_rows
from worker.corpora.corpus import open_corpus
from worker.lexical.grammar import Clause, Named, Near, Quoted, Reach
from worker.subjects.load import LoadOptions, load_subject
from worker.subjects.loaded import LoadedSubject

T = TypeVar("T")
MOST = 2.0
"""Target: the most times that a check may take of the collection's time."""
ALL_TOKENS, QUICK_TOKENS = 3_000_000, 65_536
"""The whole standard library has fewer."""


def measure(quick: bool, tokens: int = ALL_TOKENS) -> Figures:
    """Seconds of a check of one explanation per neuron of the demo, and of the collection before it.

    At most ``tokens`` tokens are read.
    """
    subject = load_subject(str(DEMO_MODEL), LoadOptions(device="cpu", dtype="float32"))
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        cut = Cut(TOKENS, min(tokens, QUICK_TOKENS) if quick else tokens, 1024)
        plan = prepare(home / "cut", open_corpus("demo:stdlib"), subject.encode, cut)
        excerpts = Excerpts(home / "cut", plan)
        _both(subject, excerpts, _beginning(plan), home / "warm")
        collected, checked, n_explanations = _both(subject, excerpts, plan, home / "measured")
    return {
        "tokens": reported(plan.tokens, "tokens"),
        "explanations": reported(n_explanations, "explanations"),
        "collection": reported(collected, "s"),
        "check": reported(checked, "s"),
        "check_to_collection": held_to(checked / collected, "of the collection's time", "<=", MOST),
    }


def _beginning(plan: Plan) -> Plan:
    """The first few excerpts, so that loops are compiled and memory is allocated before the timing."""
    return Plan(plan.context_length, 2 * BATCH, 2 * BATCH, plan.corpus_digest, ())


def _both(subject: LoadedSubject, excerpts: Excerpts, plan: Plan, home: Path) -> tuple[float, float, int]:
    """Seconds of the collection and of the check, and the number of explanations."""
    layers, neurons = subject.info.n_layers, subject.info.neurons_per_layer
    rows = token_rows(excerpts, plan, n_neurons=layers * neurons)
    shape, sampling = Shape(layers, neurons, TOKENS, rows.n_rows), Sampling.of(0, plan.n_excerpts)
    work = Pass(subject.activations, plan, excerpts, shape, sampling, rows, BatchSize(BATCH), torch.device("cpu"))
    home.mkdir()
    (bounds, state), collected = _timed(lambda: _collect(work, home))
    explanations = list(_explanations(subject, state, bounds, rows))
    maxima = state.tensors["maximum"].cpu().numpy().astype(np.float64)
    check = CheckPass(subject.activations, plan, excerpts, explanations, maxima, subject.vocabulary, BatchSize(BATCH))
    folder = home / "check"
    folder.mkdir()
    _, checked = _timed(lambda: check.run(Part(), folder, lambda tokens: None))
    return collected, checked, len(explanations)


def _collect(work: Pass, home: Path) -> tuple[dict[str, torch.Tensor], State]:
    bounds = work.pilot()
    return bounds, work.run(bounds, Part(), home, lambda tokens: None)


def _explanations(
    subject: LoadedSubject, state: State, bounds: dict[str, torch.Tensor], rows: TokenRows
) -> Iterator[Executable]:
    """One per neuron: six of its strongest tokens, two more after words, and words after another."""
    words = Named("lower-case words")
    number = 0
    for layer in range(subject.info.n_layers):
        strongest = layer_tokens(state, layer_bounds(bounds, layer), layer, rows).token_ids
        for index, token_ids in enumerate(strongest.tolist()):
            quoted = [Quoted(subject.vocabulary.tokens[token_id]) for token_id in token_ids[:9]]
            number += 1
            clauses = (
                Clause(7, tuple(quoted[:6])),
                Clause(5, tuple(quoted[6:8]), (Near(Reach.NEXT, (words,)),)),
                Clause(3, (words,), (Near(Reach.LINE, (quoted[8],)),)),
            )
            yield Executable(number, layer, index, clauses)


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    begun = perf_counter()
    result = work()
    return result, perf_counter() - begun


if __name__ == "__main__":
    benchmark("check", measure, tokens=ALL_TOKENS)
