"""Train the demo model: `python -m demo.train --minutes 70 --out demo/model`.

The whole recipe is here and in `tokenizer.py`: the standard library without its held-out documents, half as much
text of its tests, a byte-level BPE tokenizer, a GPT-2 of four layers. The schedule follows the share of the time that
is used up, so a slower machine ends with fewer steps, never with an unfinished decay. A run that is killed goes on from
its last checkpoint when the same command is given again.

Each core has a process of its own with a part of every batch, and they meet once per step to add up their gradients.
Threads inside the operators would meet hundreds of times per step, and wait whenever the machine has other work.
"""

import json
import math
import os
import platform
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import structlog
import torch
import typer
from tokenizers import Tokenizer
from torch import Tensor, distributed
from torch.multiprocessing.spawn import spawn
from torch.nn import functional
from transformers import GPT2Config, GPT2LMHeadModel

from app.domain.arrays import Int64s
from demo.corpus import library_tests, split, standard_library
from demo.tokenizer import encode_stream, save_tokenizer, train_tokenizer

log = structlog.get_logger()


@dataclass(frozen=True)
class Recipe:
    """All choices of a training run except its length."""

    context: int = 256
    batch: int = 16
    layers: int = 4
    width: int = 192
    heads: int = 6
    neurons_per_layer: int = 768
    optimizer: str = "Muon on the blocks' matrices, AdamW on the rest"
    matrix_rate: float = 4e-3
    other_rate: float = 8e-3
    weight_decay: float = 0.1
    warm_up_steps: int = 100
    decay_share: float = 0.6
    clip: float = 1.0
    tests_per_source: float = 0.5
    seed: int = 20240607


@dataclass
class Progress:
    """What a run has done so far; stored with each checkpoint."""

    steps: int = 0
    tokens: int = 0
    seconds: float = 0.0


def build_model(recipe: Recipe, vocabulary: int) -> GPT2LMHeadModel:
    """Return the model with fresh weights drawn from the recipe's seed."""
    torch.manual_seed(recipe.seed)
    config = GPT2Config(
        vocab_size=vocabulary,
        n_positions=recipe.context,
        n_embd=recipe.width,
        n_layer=recipe.layers,
        n_head=recipe.heads,
        n_inner=recipe.neurons_per_layer,
        activation_function="gelu_pytorch_tanh",
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=0,
        eos_token_id=0,
    )
    model = GPT2LMHeadModel(config)
    # the same function under GPT-2's name for it; torch computes the former in one kernel instead of five
    model.config.activation_function = "gelu_new"
    return model


def rate_factor(step: int, share: float, recipe: Recipe) -> float:
    """Return the factor of the learning rate: warm-up by steps, then constant, then linear to zero by share of time."""
    warm_up = min(1.0, (step + 1) / recipe.warm_up_steps)
    decay = min(1.0, (1.0 - share) / recipe.decay_share)
    return max(0.0, min(warm_up, decay))


@dataclass(frozen=True)
class Stream:
    """Token ids of all training documents laid end to end: `ids[:source]` library source, the rest its tests."""

    ids: Int64s
    source: int


def windows(stream: Stream, recipe: Recipe, skip: int) -> Iterator[Tensor]:
    """Yield batches [batch, context + 1] without end: each epoch cuts the source anew and shuffles the pieces.

    To every epoch of the source comes a random part of the tests, half as long, so that a small corpus is repeated
    less often. Half of the windows begin with the special token instead of their first token, so that the model knows
    text from the middle of a document both with and without it. `skip` batches are left out first, to go on where a
    run stopped.
    """
    random = np.random.default_rng(recipe.seed)
    length = recipe.context
    while True:
        offset = int(random.integers(length))
        starts = np.arange(offset, stream.source - length - 1, length)
        tests = np.arange(stream.source + offset, len(stream.ids) - length - 1, length)
        count = min(len(tests), int(len(starts) * recipe.tests_per_source))
        starts = random.permutation(np.concatenate([starts, random.choice(tests, count, replace=False)]))
        coins = random.random(len(starts)) < 0.5
        for first in range(0, len(starts) - recipe.batch + 1, recipe.batch):
            if skip > 0:
                skip -= 1
                continue
            chosen = slice(first, first + recipe.batch)
            rows = stream.ids[starts[chosen, None] + np.arange(length + 1)]
            rows[coins[chosen], 0] = 0
            yield torch.from_numpy(rows)


def build_optimizers(model: GPT2LMHeadModel, recipe: Recipe) -> list[torch.optim.Optimizer]:
    """Return Muon for the matrices of the blocks and AdamW for embeddings, biases and norms."""
    matrices = [p for p in model.transformer.h.parameters() if p.ndim == 2]
    embeddings = [model.transformer.wte.weight, model.transformer.wpe.weight]
    vectors = [p for p in model.parameters() if p.ndim == 1]
    muon = torch.optim.Muon(
        matrices, lr=recipe.matrix_rate, weight_decay=recipe.weight_decay, adjust_lr_fn="match_rms_adamw"
    )
    groups = [
        {"params": embeddings, "weight_decay": recipe.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    adam = torch.optim.AdamW(groups, lr=recipe.other_rate, betas=(0.9, 0.95), fused=True)
    return [muon, adam]


class Run:
    """One process's share of a training run: model, optimizers, data and their folder."""

    def __init__(self, recipe: Recipe, tokenizer: Tokenizer, stream: Stream, out: Path) -> None:
        self.rank, self.processes = distributed.get_rank(), distributed.get_world_size()
        self.recipe = recipe
        self.tokenizer = tokenizer
        self.stream = stream
        self.out = out
        self.state_file = out.with_name(f".{out.name}.state.pt")
        self.model = build_model(recipe, tokenizer.get_vocab_size())
        self.optimizers = build_optimizers(self.model, recipe)
        self.base_rates = [[group["lr"] for group in o.param_groups] for o in self.optimizers]
        self.progress = Progress()
        self.loss = math.nan
        self.loss_function = torch.compile(self._loss)

    def _loss(self, rows: Tensor) -> Tensor:
        logits = self.model(input_ids=rows[:, :-1], use_cache=False).logits
        return functional.cross_entropy(logits.flatten(0, 1).float(), rows[:, 1:].flatten())

    def step(self, rows: Tensor, share: float) -> None:
        """Take one optimizer step over a batch [batch, context + 1]."""
        factor = rate_factor(self.progress.steps, share, self.recipe)
        for optimizer, rates in zip(self.optimizers, self.base_rates, strict=True):
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * factor
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = self.loss_function(rows[self.rank :: self.processes])
        torch.autograd.backward(loss)
        mean_loss = self.average_gradients(loss)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad()
        self.progress.steps += 1
        self.progress.tokens += self.recipe.batch * self.recipe.context
        self.loss = mean_loss if math.isnan(self.loss) else 0.98 * self.loss + 0.02 * mean_loss

    def average_gradients(self, loss: Tensor) -> float:
        """Give every process the mean of all processes' gradients; return the mean of their losses."""
        gradients = [parameter.grad for parameter in self.model.parameters() if parameter.grad is not None]
        flat = torch.cat([loss.detach().reshape(1), *(gradient.flatten() for gradient in gradients)])
        distributed.all_reduce(flat)
        flat /= self.processes
        parts = torch.split(flat[1:], [gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))
        return flat[0].item()

    def common_seconds(self, seconds: float) -> float:
        """Return the first process's clock, so that all share one schedule and stop at the same step."""
        clock = torch.tensor([seconds], dtype=torch.float64)
        distributed.broadcast(clock, src=0)
        return clock.item()

    def train(self, minutes: float, save_every_seconds: float = 240.0) -> None:
        """Train until the time is used up, in this process and those before it, saving now and then and at the end."""
        budget = minutes * 60
        before, started, saved = self.progress.seconds, time.monotonic(), time.monotonic()
        for rows in windows(self.stream, self.recipe, self.progress.steps):
            self.step(rows, self.progress.seconds / budget)
            now = time.monotonic()
            self.progress.seconds = self.common_seconds(before + now - started)
            if self.rank == 0 and self.progress.steps % 50 == 0:
                log.info("trained", **asdict(self.progress), loss=round(self.loss, 4))
            if self.progress.seconds >= budget:
                break
            if now - saved >= save_every_seconds:
                self.save()
                saved = time.monotonic()
        self.save()
        if self.rank == 0:
            self.state_file.unlink()

    def save(self) -> None:
        """Write model, tokenizer, a note of the progress, and the state to go on from; each replaces the last whole."""
        if self.rank != 0:
            return
        scratch = self.out.with_name(f".{self.out.name}.new")
        self.model.save_pretrained(scratch)
        save_tokenizer(self.tokenizer, scratch, self.recipe.context)
        note = {
            "recipe": asdict(self.recipe),
            "progress": asdict(self.progress),
            "training_loss_nats_per_token": round(self.loss, 4),
            "source_tokens": self.stream.source,
            "test_tokens": len(self.stream.ids) - self.stream.source,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "cores": os.cpu_count(),
        }
        (scratch / "training.json").write_text(json.dumps(note, indent=2) + "\n")
        self.out.mkdir(parents=True, exist_ok=True)
        for file in scratch.iterdir():
            file.replace(self.out / file.name)
        state = {
            "model": self.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "progress": asdict(self.progress),
            "loss": self.loss,
        }
        torch.save(state, self.state_file.with_suffix(".new"))
        self.state_file.with_suffix(".new").replace(self.state_file)
        log.info("saved", folder=str(self.out), **asdict(self.progress))

    def resume(self) -> None:
        """Resume from the state of an earlier process, if there is one."""
        if not self.state_file.exists():
            return
        state: dict[str, Any] = torch.load(self.state_file, weights_only=True)
        self.model.load_state_dict(state["model"])
        for optimizer, stored in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(stored)
        self.progress = Progress(**state["progress"])
        self.loss = state["loss"]
        log.info("resumed", **asdict(self.progress))


@dataclass(frozen=True)
class Task:
    """The parameters of every process of a run."""

    processes: int
    meeting_place: str
    minutes: float
    out: Path


def train_process(rank: int, task: Task, tokenizer: Tokenizer, stream: Stream) -> None:
    """Train as one of several processes; this function is the body of each."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=task.meeting_place, rank=rank, world_size=task.processes)
    run = Run(Recipe(), tokenizer, stream, task.out)
    run.resume()
    run.train(task.minutes)
    distributed.destroy_process_group()


def main(
    minutes: Annotated[float, typer.Option(help="Wall-clock time to train for.")] = 70.0,
    out: Annotated[Path, typer.Option(help="Folder for the model.")] = Path("demo/model"),
) -> None:
    """Train the demo model on the standard library of this interpreter."""
    training, _ = split(standard_library())
    tokenizer = train_tokenizer(text for _, text in training)
    source = encode_stream(tokenizer, (text for _, text in training))
    tests = encode_stream(tokenizer, (text for _, text in library_tests()))
    log.info("tokenised", documents=len(training), source_tokens=len(source), test_tokens=len(tests))
    stream = Stream(np.concatenate([source, tests]), len(source))
    processes = os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as meeting:
        task = Task(processes, f"file://{meeting}/place", minutes, out)
        spawn(  # type: ignore[no-untyped-call]  # torch leaves it untyped
            train_process, (task, tokenizer, stream), nprocs=processes
        )


if __name__ == "__main__":
    typer.run(main)
