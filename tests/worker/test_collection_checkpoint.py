import errno
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import pytest
import torch

from app.errors import CollectionError
from tests.worker.collecting import CPU, FakeModel, a_pass, assert_same, finished, planned
from worker.collection.checkpoint import load_state, read_tensors, save_state, write_tensors
from worker.collection.passes import Part
from worker.collection.state import Shape, State
from worker.subjects.hooks import OnLayer


class FullDisk(BytesIO):
    """A file on a disk that has room for a few bytes only."""

    def write(self, data: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def full_disk(_: Path) -> BinaryIO:
    return FullDisk()


def test_a_state_comes_back_to_the_last_bit(tmp_path: Path) -> None:
    state = finished(a_pass(tmp_path, planned(tmp_path, 50), FakeModel()), tmp_path)
    save_state(tmp_path / "state.bin", state)
    again = load_state(tmp_path / "state.bin", CPU)
    assert again is not None
    assert_same(again, state)


def test_there_is_no_state_before_the_first(tmp_path: Path) -> None:
    assert load_state(tmp_path / "state.bin", CPU) is None


def test_a_full_disk_is_a_clear_error_and_keeps_the_old_state(tmp_path: Path) -> None:
    state = State.empty(Shape(1, 2, 3), CPU)
    state.shards.add(4)
    save_state(tmp_path / "state.bin", state)
    with pytest.raises(CollectionError, match=r"No space left on device.*same command"):
        save_state(tmp_path / "state.bin", State.empty(Shape(1, 2, 3), CPU), full_disk)
    kept = load_state(tmp_path / "state.bin", CPU)
    assert kept is not None
    assert kept.shards == {4}


def test_every_kind_of_tensor_can_be_kept(tmp_path: Path) -> None:
    kinds = (torch.float16, torch.float32, torch.float64, torch.int32, torch.int64)
    tensors = {str(kind): torch.arange(6).reshape(2, 3).to(kind) for kind in kinds}
    write_tensors(tmp_path / "t.bin", tensors, {"seed": 3})
    again, extra = read_tensors(tmp_path / "t.bin", CPU)
    assert extra == {"seed": 3}
    for name, tensor in tensors.items():
        torch.testing.assert_close(again[name], tensor, rtol=0, atol=0)


class Killed(Exception):
    """Stands for the end of the process."""


@pytest.mark.parametrize("after", [0, 7, 33, 60])
def test_a_pass_that_was_cut_off_goes_on_to_the_same_result(tmp_path: Path, after: int) -> None:
    class Mortal(FakeModel):
        left = after

        def __call__(self, token_ids: torch.Tensor, on_layer: OnLayer) -> None:
            if self.left == 0:
                raise Killed
            self.left -= 1
            super().__call__(token_ids, on_layer)

    plan = planned(tmp_path, 300)
    work = a_pass(tmp_path, plan, FakeModel())
    bounds = work.pilot()
    (tmp_path / "whole").mkdir()
    whole = work.run(bounds, Part(), tmp_path / "whole", lambda tokens: None)
    with pytest.raises(Killed):
        a_pass(tmp_path, plan, Mortal()).run(bounds, Part(), tmp_path, lambda tokens: None)

    told: list[int] = []
    assert_same(work.run(bounds, Part(), tmp_path, told.append), whole)
    assert told == sorted(told)
    assert after < 33 or told[0] > 0  # it did not begin anew
