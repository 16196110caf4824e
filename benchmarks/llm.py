"""Language models: fan-out, tokens per neuron, local simulation: ``python -m benchmarks.llm [--quick] [--json FILE]``.

The endpoint is the tests' loopback server with one second of latency. Tokens are counted with the
demo model's tokenizer, whose vocabulary is small: a large one needs fewer for the instructions.
"""

import resource
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

from app.db import make_engine, make_sessions
from app.domain.activations import ActivationRecord, NeuronRecords, SampleKind
from app.domain.arrays import Int32s
from app.domain.costs import Prices
from app.domain.tokens import Vocabulary
from benchmarks.counting import CountingProvider, Counts
from benchmarks.database import empty_database
from benchmarks.figures import Figure, benchmark, held_to, reported
from tests.llm_server import LlmServer
from worker.method.contracts import NeuronTask, Services
from worker.method.registry import EXPLAINERS, SIMULATORS
from worker.providers.base import Attempt, ChatRequest, Message, Provider, Reply, ScoreTextRequest, Watch
from worker.providers.local import LocalProvider
from worker.providers.openai_compatible import EndpointSettings, OpenAICompatible
from worker.run.recording import DatabaseCalls, RecordingProvider
from worker.simulators.all_at_once import AllAtOnce
from worker.simulators.numbers import distribution, expected

AT_ONCE = 64
LATENCY_SECONDS = 1.0
LENGTH = 64
MODEL = Path(__file__).resolve().parent.parent / "demo" / "model"
EXPLANATION = "the keyword that begins a statement, most strongly at the start of a line"
PAPER = {"explain": 2371, "all_at_once": 1121, "token_by_token": 79_068}
"""Prompt tokens in "Language models can explain neurons in language models": per neuron, per excerpt."""
MOST_COMPUTED = 300
LLAMA_8B = LlamaConfig(
    vocab_size=128_256,
    hidden_size=4096,
    intermediate_size=14_336,
    num_hidden_layers=32,
    num_attention_heads=32,
    num_key_value_heads=8,
    max_position_embeddings=8192,
)
SMALL = LlamaConfig(
    vocab_size=4096,
    hidden_size=256,
    intermediate_size=688,
    num_hidden_layers=4,
    num_attention_heads=8,
    num_key_value_heads=4,
    max_position_embeddings=8192,
)


def measure(quick: bool) -> dict[str, Figure]:
    """What calls to language models cost in time, memory and tokens."""
    figures = {**fan_out(640 if quick else 10_000, recorded=640 if quick else 2560), **tokens_per_neuron()}
    figures |= local_on_processor(n_excerpts=4 if quick else 20)
    if torch.cuda.is_available():
        figures |= local_on_gpu(n_excerpts=64 if quick else 512)
    return figures


def fan_out(n_calls: int, *, recorded: int) -> dict[str, Figure]:
    """Calls a second against a server that answers each after one second, as a share of 64 at once."""
    with LlmServer(latency=LATENCY_SECONDS) as server:
        server.keep_requests = False
        provider = OpenAICompatible(
            EndpointSettings("loopback", "tiny", server.url, "", ("127.0.0.0/8",), concurrency=AT_ONCE)
        )
        provider.chat(_calls(AT_ONCE))  # opens the connections
        memory = Memory(n_calls)
        share = _share_of_ideal(provider, n_calls, Watch(after=memory.look))
        with empty_database() as url:
            engine = make_engine(url)
            store = DatabaseCalls(make_sessions(engine), None, "loopback", Prices())
            with_record = _share_of_ideal(RecordingProvider(provider, store), recorded, Watch())
            engine.dispose()
        provider.close()
    return {
        "fan_out.calls": reported(n_calls, "calls"),
        "fan_out.share_of_ideal": held_to(share, f"of {AT_ONCE / LATENCY_SECONDS:g}/s", ">=", 0.95),
        "fan_out.share_of_ideal_recorded": reported(with_record, f"of {AT_ONCE / LATENCY_SECONDS:g}/s"),
        "fan_out.memory_growth": held_to(memory.growth_mib, "MiB", "<=", 10),
    }


def _calls(n: int) -> list[ChatRequest]:
    message = (Message("user", EXPLANATION),)
    return [ChatRequest(f"call/{i}", message, 20) for i in range(n)]


def _share_of_ideal(provider: Provider, n_calls: int, watch: Watch) -> float:
    calls = _calls(n_calls)
    started = time.perf_counter()
    provider.chat(calls, watch=watch)
    return n_calls / AT_ONCE * LATENCY_SECONDS / (time.perf_counter() - started)


class Memory:
    """The largest memory of this process after the first tenth of the calls, and after all."""

    def __init__(self, n_calls: int) -> None:
        self._looks = (n_calls // 10, n_calls)
        self._seen = 0
        self._found: list[float] = []

    def look(self, _attempt: Attempt) -> None:
        self._seen += 1
        if self._seen in self._looks:
            self._found.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10)

    @property
    def growth_mib(self) -> float:
        """Growth in MiB; NaN if calls were missed."""
        return self._found[-1] - self._found[0] if len(self._found) == len(self._looks) else float("nan")


def tokenizer() -> PreTrainedTokenizerFast:
    """The demo model's tokenizer."""
    found = AutoTokenizer.from_pretrained(MODEL)
    assert isinstance(found, PreTrainedTokenizerFast)
    found.model_max_length = 1_000_000  # the demo model's own limit does not concern the models measured here
    return found


def excerpts_of(n: int) -> tuple[Vocabulary, list[tuple[int, Int32s]]]:
    """Excerpts of 64 tokens from this repository's own code and docstrings, as the demo's subject reads them."""
    own = tokenizer()
    text = "".join(p.read_text() for p in sorted((MODEL.parent.parent / "worker").rglob("*.py")))
    ids = np.array(own(text)["input_ids"][: n * LENGTH], dtype=np.int32)
    vocabulary = Vocabulary("demo", tuple(_bytes_of(own)))
    return vocabulary, [(i, ids[i * LENGTH : (i + 1) * LENGTH]) for i in range(n)]


def _bytes_of(own: PreTrainedTokenizerFast) -> Iterator[bytes]:
    for token_id in range(len(own)):
        yield str(own.decode([token_id])).encode()


def tokens_per_neuron() -> dict[str, Figure]:
    """Prompt tokens of each explainer per neuron and of each simulator per excerpt, beside the paper's."""
    vocabulary, excerpts = excerpts_of(20)
    figures = {"tokens.paper.explain": reported(PAPER["explain"], "tokens/neuron")}
    for name in ("token_activation_pairs", "highlighted"):
        counts = Counts()
        explainer = EXPLAINERS[name].build({}, _services(counts))
        explainer.explain(_task(vocabulary, excerpts))
        figures[f"tokens.explain.{name}"] = reported(counts.tokens_in, "tokens/neuron")
    for name in ("all_at_once", "token_by_token", "structured"):
        counts = Counts()
        simulator = SIMULATORS[name].build({}, _services(counts))
        simulator.simulate(EXPLANATION, excerpts[:1], vocabulary)
        first = replace(counts)
        simulator.simulate(EXPLANATION, excerpts[1:6], vocabulary)
        further = (counts.computed - first.computed) / 5
        if name in PAPER:
            figures[f"tokens.paper.{name}"] = reported(PAPER[name], "tokens/excerpt")
        figures[f"tokens.{name}.prompt"] = reported(first.tokens_in, "tokens/excerpt")
        bound = name == "all_at_once"
        unit = "tokens/excerpt"
        figures[f"tokens.{name}.computed_further"] = (
            held_to(further, unit, "<=", MOST_COMPUTED) if bound else reported(further, unit)
        )
    return figures


def _services(counts: Counts) -> Services:
    return Services(provider=CountingProvider(tokenizer(), counts))


def _task(vocabulary: Vocabulary, excerpts: Sequence[tuple[int, Int32s]]) -> NeuronTask:
    """A neuron that fires on every sixteenth token."""
    shape = np.where(np.arange(LENGTH) % 16 == 0, 4.0, 0.0).astype(np.float32)
    records = tuple(ActivationRecord(i, ids, shape) for i, ids in excerpts)
    return NeuronTask(0, "demo", 0, 0, NeuronRecords({SampleKind.TOP: records}, 4.0), vocabulary, None, 0)


def local_on_processor(n_excerpts: int) -> dict[str, Figure]:
    """Simulation with the prefix cached and excerpts batched, against each whole prompt by itself."""
    torch.manual_seed(0)
    model = LlamaForCausalLM(SMALL)
    model.train(False)
    provider = LocalProvider("local", "small", model, tokenizer())
    requests = _requests(provider, n_excerpts)
    provider.score_texts(requests[:1])  # warm-up
    seconds, replies = _timed(provider, requests)
    alone = LocalProvider("local", "small", model, tokenizer(), caches=False)
    started = time.perf_counter()
    plain = [alone.score_texts([request])[0] for request in requests]
    plain_seconds = time.perf_counter() - started
    apart = max(float(np.abs(_values(a) - _values(b)).max()) for a, b in zip(replies, plain, strict=True))
    return {
        "local.cpu.excerpts_per_second": reported(n_excerpts / seconds, "excerpts/s"),
        "local.cpu.plain_excerpts_per_second": reported(n_excerpts / plain_seconds, "excerpts/s"),
        "local.cpu.speed_up": reported(plain_seconds / seconds, "x"),
        "local.cpu.largest_difference": held_to(apart, "of 0..10", "<=", 1e-3),
    }


def local_on_gpu(n_excerpts: int, *, device: str = "cuda", config: LlamaConfig = LLAMA_8B) -> dict[str, Figure]:
    """The same on a randomly initialised 8-billion-parameter Llama in bfloat16, beside the chip's matrix rate."""
    model = _llama_on(device, config)
    provider = LocalProvider("local", "8b", model, tokenizer())
    requests = _requests(provider, n_excerpts)
    provider.score_texts(requests[:32])  # warm-up
    seconds, replies = _timed(provider, requests)
    computed = sum(r.usage.tokens_in - r.usage.tokens_cached for r in replies if r.usage is not None)
    alone = LocalProvider("local", "8b", model, tokenizer(), caches=False)
    few = requests[: max(1, n_excerpts // 32)]
    started = time.perf_counter()
    for request in few:
        alone.score_texts([request])
    plain_rate = len(few) / (time.perf_counter() - started)
    embedding = config.vocab_size * config.hidden_size  # the embedding is looked up, not multiplied
    operations = 2.0 * (sum(p.numel() for p in model.parameters()) - embedding) * computed
    rate = matrix_rate(device)
    return {
        "local.gpu.excerpts_per_second": reported(n_excerpts / seconds, "excerpts/s"),
        "local.gpu.plain_excerpts_per_second": reported(plain_rate, "excerpts/s"),
        "local.gpu.speed_up": reported(n_excerpts / seconds / plain_rate, "x"),
        "local.gpu.matrix_rate": reported(rate / 1e12, "Tflop/s"),
        "local.gpu.share_of_matrix_rate": reported(operations / seconds / rate, "of 1"),
        "local.gpu.memory": reported(
            torch.cuda.max_memory_allocated(device) / 2**30 if _is_gpu(device) else 0.0, "GiB"
        ),
    }


def _llama_on(device: str, config: LlamaConfig) -> PreTrainedModel:
    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device(device):
            model = LlamaForCausalLM(config)
    finally:
        torch.set_default_dtype(before)
    model.train(False)
    return model


def _is_gpu(device: str) -> bool:
    return device.startswith("cuda")


def _wait_for(device: str) -> None:
    if _is_gpu(device):
        torch.cuda.synchronize(device)


def matrix_rate(device: str) -> float:
    """Operations a second of a large bfloat16 matrix product on this device."""
    size, repeats = (8192, 50) if _is_gpu(device) else (256, 3)
    a, b = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    for _ in range(3):
        a @ b
    _wait_for(device)
    started = time.perf_counter()
    for _ in range(repeats):
        a @ b
    _wait_for(device)
    return 2.0 * size**3 * repeats / (time.perf_counter() - started)


def _requests(provider: LocalProvider, n_excerpts: int) -> list[ScoreTextRequest]:
    vocabulary, excerpts = excerpts_of(n_excerpts)
    simulator = AllAtOnce(provider)
    return [simulator.request(EXPLANATION, i, vocabulary.raw(ids)) for i, ids in excerpts]


def _timed(provider: LocalProvider, requests: list[ScoreTextRequest]) -> tuple[float, tuple[Reply, ...]]:
    """Seconds for all, with an explanation that the provider has not seen, so that its prefix is computed too."""
    fresh = [replace(r, prefix=r.prefix.replace(EXPLANATION, EXPLANATION.upper())) for r in requests]
    started = time.perf_counter()
    provider.score_texts(fresh)
    seconds = time.perf_counter() - started
    return seconds, provider.score_texts(requests)


def _values(reply: Reply) -> np.ndarray:
    rows = [distribution(a.logprobs, 10) for a in reply.alternatives]
    return expected(np.stack([row for row in rows if row is not None]), 10)


if __name__ == "__main__":
    benchmark("llm", measure)
