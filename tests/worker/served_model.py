"""A model that has learned two answers by heart, and a server of another project that serves it.

The chat template reduces a prompt to one letter: S where it asks for a simulation, E for an explanation.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx2
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from tests.worker.tiny_models import tiny_tokenizer

EXPLANATION = '{"explanation": "the word import"}'
SIMULATION = '{"activations": [0, 0, 10, 0, 0, 0]}'
TEMPLATE = "{% if ' tokens.' in messages[-1]['content'] %}S{% else %}E{% endif %}"
KNOWN_BY_HEART = 0.02
START_SECONDS = 120.0


def save_model_with_two_answers(folder: Path) -> None:
    """Train a tiny Llama on the two answers until it knows them; a second or two."""
    tokenizer = tiny_tokenizer()
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=8192,
        bos_token_id=0,
        eos_token_id=0,
    )
    model = LlamaForCausalLM(config)
    rows = [[*tokenizer(text)["input_ids"], 0] for text in ("E" + EXPLANATION, "S" + SIMULATION)]
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(500):
        losses = [model(input_ids=(ids := torch.tensor([row])), labels=ids).loss for row in rows]
        loss = torch.stack(losses).sum()
        if loss.item() < KNOWN_BY_HEART:
            break
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # the library leaves it untyped
        optimizer.step()
    model.save_pretrained(folder)
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    tokenizer.chat_template = None


@contextmanager
def transformers_serve(folder: Path) -> Iterator[str]:
    """``transformers serve`` on loopback with the folder's model; yields its base URL."""
    port = _free_port()
    program = Path(sys.executable).parent / "transformers"
    command = [str(program), "serve", str(folder), "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    with (folder / "serve.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT, cwd=folder)
    try:
        _wait_until_healthy(f"http://127.0.0.1:{port}/health", process)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait()


def _free_port() -> int:
    with closing(socket.socket()) as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _wait_until_healthy(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode}")
        try:
            if httpx2.get(url, trust_env=False).status_code == 200:
                return
        except httpx2.TransportError:
            pass  # it does not listen yet
        time.sleep(0.2)
    raise TimeoutError(f"no answer from {url} within {START_SECONDS:g} s")
