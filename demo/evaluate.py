"""Measure the demo model on the held-out documents, with two baselines: `python -m demo.evaluate --model demo/model`.

Writes `evaluation.json` into the model's folder and, from it and `training.json`, the model card `README.md`.
"""

import json
import math
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import structlog
import torch
import typer
from torch import Tensor
from torch.nn import functional
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from demo.baselines import ByteNgrams, bits_per_byte, xz_size
from demo.card import write_card
from demo.corpus import library_tests, split, standard_library
from demo.tokenizer import encode

log = structlog.get_logger()
Documents = list[tuple[str, str]]
FIRES_ABOVE = 0.1


@dataclass(frozen=True)
class Window:
    """A stretch of a document's tokens that the model sees at once: targets `first..last`, scored from `scored` on."""

    first: int
    scored: int
    last: int


def windows(tokens: int, context: int) -> Iterator[Window]:
    """Yield windows over a document of `tokens` tokens that score every token once.

    A window holds `context` targets and moves by half of that, so that every token but those of the first window has at
    least half a context before it.
    """
    scored = 0
    while scored < tokens:
        first = 0 if scored == 0 else scored - context // 2
        last = min(first + context, tokens)
        yield Window(first, scored, last)
        scored = last


@torch.inference_mode()
def document_nats(model: PreTrainedModel, ids: list[int]) -> float:
    """Return the negative log-likelihood in nats of a document's tokens; every window starts with the special token."""
    context, start = model.config.n_positions, model.config.bos_token_id
    total = 0.0
    for window in windows(len(ids), context):
        inputs = torch.tensor([[start, *ids[window.first : window.last - 1]]])
        targets = torch.tensor(ids[window.first : window.last])
        losses = functional.cross_entropy(model(input_ids=inputs).logits[0], targets, reduction="none")
        total += losses[window.scored - window.first :].double().sum().item()
    return total


class PeakActivations:
    """The largest activation of every neuron, one float32[neurons] per layer, and at how many positions it fires."""

    def __init__(self, model: Any) -> None:
        blocks = model.transformer.h
        self.peaks = [torch.full((block.mlp.c_proj.weight.shape[0],), -math.inf) for block in blocks]
        self.fired = [torch.zeros_like(peak) for peak in self.peaks]
        self.positions = 0
        for layer, block in enumerate(blocks):
            block.mlp.c_proj.register_forward_pre_hook(self._hook(layer))

    def _hook(self, layer: int) -> Any:
        def record(_module: torch.nn.Module, inputs: tuple[Tensor]) -> None:
            activations = inputs[0].flatten(0, 1)
            self.peaks[layer] = torch.maximum(self.peaks[layer], activations.amax(0))
            self.fired[layer] += (activations > FIRES_ABOVE).sum(0)
            self.positions += len(activations) if layer == 0 else 0

        return record

    def summary(self) -> dict[str, Any]:
        """Return per layer the share of neurons that ever fire and the median share of positions at which one does."""
        return {
            "positions": self.positions,
            "fires_above": FIRES_ABOVE,
            "share_of_neurons_that_fire": [round((peak > FIRES_ABOVE).float().mean().item(), 4) for peak in self.peaks],
            "median_firing_rate": [round((fired / self.positions).median().item(), 4) for fired in self.fired],
            "median_peak": [round(peak.median().item(), 2) for peak in self.peaks],
        }


def measure_model(folder: Path, held_out: Documents) -> dict[str, Any]:
    """Return bits per byte of the model in `folder` over the held-out documents, and how its neurons fire there."""
    model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True)
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True).backend_tokenizer
    peaks = PeakActivations(model)
    encoded = [encode(tokenizer, text) for _, text in held_out]
    nats = sum(document_nats(model, ids) for ids in encoded)
    tokens = sum(map(len, encoded))
    return {
        "bits_per_byte": bits_per_byte(nats, size_in_bytes(held_out)),
        "nats_per_token": nats / tokens,
        "tokens": tokens,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "neurons": sum(len(peak) for peak in peaks.peaks),
        "activity": peaks.summary(),
    }


def measure_baselines(training: Documents, held_out: Documents) -> dict[str, Any]:
    """Return bits per byte of the n-gram model trained on `training`, and of `xz -9` alone and primed with it."""
    held_bytes = [text.encode() for _, text in held_out]
    training_bytes = [text.encode() for _, text in training]
    size = sum(map(len, held_bytes))
    ngrams = ByteNgrams(training_bytes).nats(held_bytes)
    joined, primer = b"".join(held_bytes), b"".join(training_bytes)
    return {
        "order_5_ngram_bits_per_byte": bits_per_byte(ngrams, size),
        "xz_bits_per_byte": 8 * xz_size(joined) / size,
        "xz_primed_bits_per_byte": 8 * (xz_size(primer + joined) - xz_size(primer)) / size,
    }


def size_in_bytes(documents: Documents) -> int:
    """Return the number of UTF-8 bytes of all texts."""
    return sum(len(text.encode()) for _, text in documents)


def main(model: Annotated[Path, typer.Option(help="The model's folder.")] = Path("demo/model")) -> None:
    """Measure the demo model and write its card."""
    training, held_out = split(standard_library())
    tests = list(library_tests())
    data = {"training": training, "tests": tests, "held_out": held_out}
    measured = measure_model(model, held_out)
    baselines = measure_baselines(training + tests, held_out)
    result = {
        "python": platform.python_version(),
        "data": {name: {"documents": len(part), "bytes": size_in_bytes(part)} for name, part in data.items()},
        "model": measured,
        "baselines": baselines,
    }
    (model / "evaluation.json").write_text(json.dumps(result, indent=2) + "\n")
    write_card(model)
    log.info("measured", **baselines, model_bits_per_byte=measured["bits_per_byte"])


if __name__ == "__main__":
    typer.run(main)
