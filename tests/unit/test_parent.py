import subprocess
import sys

CHILD = (
    "import time; from app.parent import stop_with_parent; stop_with_parent(); print('up', flush=True); time.sleep(60)"
)
PARENT = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {CHILD!r}], stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
sys.stdin.read()
"""


def test_a_process_ends_when_its_parent_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.kill()
    assert _ends(child)


def _ends(pid: int) -> bool:
    """Whether a process that is not ours to wait for ends within the guard's time."""
    waiting = f"tail --pid={pid} -f /dev/null"
    return subprocess.run(waiting.split(), timeout=30, check=False).returncode == 0
