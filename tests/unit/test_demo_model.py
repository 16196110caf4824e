"""The demo model in the repository: its size, its figures, its card."""

import json
import struct
from pathlib import Path

from demo.card import DIGESTED, card, digest

MODEL = Path(__file__).parents[2] / "demo" / "model"


def weights_header() -> dict[str, dict[str, list[int]]]:
    with (MODEL / "model.safetensors").open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header: dict[str, dict[str, list[int]]] = json.loads(file.read(length))
    return header


def test_the_shipped_model_is_small_and_has_neurons_enough() -> None:
    shapes = [entry["shape"] for name, entry in weights_header().items() if name.endswith("mlp.c_proj.weight")]
    assert len(shapes) >= 4
    assert sum(shape[0] for shape in shapes) >= 3000
    assert (MODEL / "model.safetensors").stat().st_size <= 12_000_000


def test_the_card_is_the_one_its_figures_and_files_make() -> None:
    shipped = (MODEL / "README.md").read_text()
    assert shipped == card(MODEL)
    assert all(digest(MODEL / name) in shipped for name in DIGESTED)


def test_the_shipped_model_beats_its_baselines() -> None:
    evaluation = json.loads((MODEL / "evaluation.json").read_text())
    assert all(evaluation["model"]["bits_per_byte"] < bits for bits in evaluation["baselines"].values())
