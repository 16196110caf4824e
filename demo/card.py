"""The demo model's card: `README.md` next to the weights, made from `training.json` and `evaluation.json`."""

import hashlib
import json
from pathlib import Path
from typing import Any

DIGESTED = ("model.safetensors", "tokenizer.json")

CARD = """---
license: apache-2.0
library_name: transformers
pipeline_tag: text-generation
---

# The demo model: a small GPT-2 that has read the Python standard library

A language model of the GPT-2 architecture, small enough to stand in the repository and to be collected, explained and
scored on two cores while you watch. It exists so that the demo shows real neurons that learned something from real
text. It is good at nothing else: it continues Python source and reStructuredText in the manner of the standard library.

| | |
|---|---|
| Layers, width, heads | {layers}, {width}, {heads} |
| Neurons (activation `gelu_new`) | {neurons:,} |
| Context | {context} tokens |
| Parameters | {parameters:,}, float32, embeddings tied |
| Tokenizer | byte-level BPE, 4,096 tokens, trained on the same text |
| Start of text | token 0, `<|endoftext|>`, in front of every document |

## Data

The text is the standard library of the interpreter that trained it, Python {python}: sources and help topics as
`demo/corpus.py` reads them. It is not stored here; the demo reads it again from your own interpreter. To every epoch of
this came half as much text from the library's own tests, chosen at random, so that a small corpus is repeated less.

| part | documents | bytes | tokens |
|---|---|---|---|
| training | {training[documents]:,} | {training[bytes]:,} | {source_tokens:,} |
| tests (training only) | {tests[documents]:,} | {tests[bytes]:,} | {test_tokens:,} |
| held out | {held_out[documents]:,} | {held_out[bytes]:,} | {held_out_tokens:,} |

A document is held out when the first 8 bytes of the SHA-256 of its name, as a big-endian number, are divisible by 20.
Tokenizer and model have not seen the held-out documents. Paragraphs that several help topics share stay in one of them.

## Training

| | |
|---|---|
| Steps | {steps:,} of {batch} windows of {context} tokens |
| Tokens seen | {tokens_seen:,} |
| Wall time | {minutes:.0f} minutes on {cores} cores |
| Arithmetic | bfloat16 with float32 weights, torch {torch} |
| Optimizer | {optimizer}; weight decay {weight_decay}, gradients clipped at {clip} |
| Learning rates | {matrix_rate} and {other_rate}, falling to zero over the last {decay_percent:.0f} % of the time |
| Windows | half of them begin with the special token |

{note}

The commands:

```
python -m demo.train --minutes {minutes_asked:.0f} --out demo/model
python -m demo.evaluate --model demo/model
```

Steps depend on the speed of the machine, so another run gives other weights.

## Held-out text

Bits per byte on the held-out documents, less is better. The model sees windows of {context} tokens that move by half of
that, and scores every token once. The n-gram model looks back five bytes and is smoothed by interpolated Witten-Bell.

| | bits per byte |
|---|---|
| this model | {model_bits:.3f} |
| order-5 byte n-gram, trained on the same text and the tests | {ngram:.3f} |
| `xz -9` of the held-out text alone | {xz:.3f} |
| `xz -9` of the held-out text after the same training text, additional bytes | {xz_primed:.3f} |

{verdict}

Neurons that ever exceed {fires_above} on the held-out text, by layer: {alive}.

## Files

| file | SHA-256 |
|---|---|
{digests}

## Limits and licence

The model repeats what it read, also long passages; do not use what it writes as documentation. Its training text is
under the licence of the Python Software Foundation and is not part of this repository. The weights are under this
project's licence, Apache-2.0.
"""


def digest(file: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def verdict(model_bits: float, baselines: dict[str, float]) -> str:
    """Return the sentence that says by how much the model beats every baseline, or misses which."""
    names = {
        "order_5_ngram_bits_per_byte": "the n-gram model",
        "xz_bits_per_byte": "`xz -9`",
        "xz_primed_bits_per_byte": "`xz -9` with the training text before it",
    }
    parts = [
        f"{names[key]} by {abs(1 - model_bits / value):.0%}{'' if model_bits < value else ' too many (not beaten)'}"
        for key, value in baselines.items()
    ]
    return f"The model needs fewer bits than {', '.join(parts[:-1])} and {parts[-1]}."


def write_card(folder: Path) -> None:
    """Write the card of the model in `folder`, which holds `training.json` and `evaluation.json`."""
    (folder / "README.md").write_text(card(folder))


def card(folder: Path) -> str:
    """Return the text of the card of the model in `folder`."""
    training = _read(folder / "training.json")
    evaluation = _read(folder / "evaluation.json")
    recipe, progress, model = training["recipe"], training["progress"], evaluation["model"]
    baselines, activity = evaluation["baselines"], model["activity"]
    return CARD.format(
        **recipe,
        **evaluation["data"],
        neurons=model["neurons"],
        parameters=model["parameters"],
        python=training["python"],
        torch=training["torch"],
        cores=training["cores"],
        note=training.get("note", ""),
        source_tokens=training["source_tokens"],
        test_tokens=training["test_tokens"],
        held_out_tokens=model["tokens"],
        steps=progress["steps"],
        tokens_seen=progress["tokens"],
        minutes=progress["seconds"] / 60,
        minutes_asked=progress["seconds"] // 60,
        decay_percent=100 * recipe["decay_share"],
        model_bits=model["bits_per_byte"],
        ngram=baselines["order_5_ngram_bits_per_byte"],
        xz=baselines["xz_bits_per_byte"],
        xz_primed=baselines["xz_primed_bits_per_byte"],
        verdict=verdict(model["bits_per_byte"], baselines),
        fires_above=activity["fires_above"],
        alive=", ".join(f"{share:.1%}" for share in activity["share_of_neurons_that_fire"]),
        digests="\n".join(f"| `{name}` | `{digest(folder / name)}` |" for name in DIGESTED),
    )


def _read(file: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(file.read_text())
    return loaded
