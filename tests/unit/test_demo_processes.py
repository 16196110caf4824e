"""Children of the demo: which are started again."""

import time
from pathlib import Path

import pytest

from demo.processes import Children


@pytest.mark.parametrize(
    ("arguments", "ends", "is_started_again"),
    [
        (("--help",), True, False),
        (("--help",), False, True),  # what serves until it is stopped has died, whatever it says
        (("no-such-command",), True, True),
    ],
)
def test_what_has_done_its_work_is_not_done_again(
    tmp_path: Path, arguments: tuple[str, ...], ends: bool, is_started_again: bool
) -> None:
    """A collection that ended between two looks at it was made twice, and the next one never."""
    children = Children(tmp_path)
    child = children.start("child", *arguments, ends=ends)
    try:
        child.wait(time.monotonic() + 60)
        assert children.keep_alive() == (["child"] if is_started_again else [])
        assert (child.exit_code is None) == is_started_again
    finally:
        children.stop()
