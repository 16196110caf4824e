"""Models over several cards. No test machine has one: the map is computed for cards of given sizes, and the hooks that
move activations are tried with parts that are all on the processor."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from app.errors import CheckpointError, SubjectError
from tests.worker.models import save_model
from worker.checkpoints import model_bytes
from worker.devices import chosen_devices
from worker.subjects.load import LoadOptions, load_subject
from worker.subjects.loaded import LoadedSubject
from worker.subjects.spread import FIRST_SHARE, OTHER_SHARE, device_map, place, spread

CARDS = [torch.device("cuda", number) for number in range(3)]
CPU = torch.device("cpu")
IDS = torch.arange(24).reshape(3, 8)


@pytest.fixture(params=["gpt2", "llama"])
def subject(request: pytest.FixtureRequest, tmp_path: Path) -> LoadedSubject:
    return load_subject(str(save_model(tmp_path / "model", request.param)), LoadOptions(device="cpu", dtype="float32"))


def over_parts(subject: LoadedSubject) -> LoadedSubject:
    """The subject with a part for each module of its body, all on the processor."""
    (body,) = (name for name, child in subject.model.named_children() if list(child.children()))
    parts = {f"{body}.{name}": CPU for name, _ in getattr(subject.model, body).named_children()}
    parts |= {name: CPU for name, _ in subject.model.named_children() if name != body}
    return replace(subject, model=spread(subject.model, parts))


def seen(subject: LoadedSubject) -> dict[int, Tensor]:
    found: dict[int, Tensor] = {}

    def keep(layer: int, activations: Tensor) -> None:
        found[layer] = activations.clone()

    subject.activations(IDS, keep)
    return found


def test_layers_go_to_cards_whole_and_in_order(subject: LoadedSubject) -> None:
    size = model_bytes(subject.model)
    parts = device_map(subject.model, CARDS, memory=lambda _: int(size / 1.2))
    assert len({device.index for device in parts.values()}) > 1
    layers = [device.index for name, device in parts.items() if name.rpartition(".")[2].isdigit()]
    assert layers == sorted(layers)
    cut = [name for name in parts if any(part.isdigit() for part in name.split(".")[:-1])]
    assert cut == []


def test_a_model_that_no_cards_hold_is_refused_with_what_to_do(subject: LoadedSubject) -> None:
    with pytest.raises(SubjectError, match="Give this process more cards"):
        device_map(subject.model, CARDS[:2], memory=lambda _: 1000)
    assert FIRST_SHARE < OTHER_SHARE < 1


def test_a_model_that_fits_is_not_spread(subject: LoadedSubject) -> None:
    placed = place(subject.model, [CPU, CPU])
    assert getattr(placed, "hf_device_map", None) is None


def test_activations_and_logits_are_the_same_in_parts(subject: LoadedSubject) -> None:
    plain, logits = seen(subject), subject.logits(IDS, lambda _, activations: activations * 0)
    parts = over_parts(subject)
    assert parts.model.hf_device_map
    found = seen(parts)
    assert found.keys() == plain.keys() == set(range(subject.info.n_layers))
    assert all(torch.equal(found[layer], plain[layer]) for layer in plain)
    assert torch.equal(parts.logits(IDS, lambda _, activations: activations * 0), logits)


def test_devices_are_named_one_by_one() -> None:
    assert chosen_devices("cpu,cpu") == [CPU, CPU]
    with pytest.raises(CheckpointError, match="'cuda:97' cannot be used"):
        chosen_devices("cpu, cuda:97")


def test_auto_is_every_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    assert chosen_devices("auto") == chosen_devices("cuda") == CARDS
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert chosen_devices("auto") == [CPU]
