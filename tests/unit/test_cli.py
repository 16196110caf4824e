import subprocess
import sys

import pytest
import typer

from app.cli.common import worker_libraries
from app.cli.main import REFUSED, TERMINATED, TRY_AGAIN, main


def end_of(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[object, str]:
    """The exit code of a command, and what it wrote to standard error."""
    monkeypatch.setattr("sys.argv", ["neuron-audit", *command])
    monkeypatch.setenv("DATABASE_URL", "postgresql://127.0.0.1:1/none")
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code, capsys.readouterr().err


def test_a_database_that_does_not_answer_is_told_in_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, told = end_of(["user", "list"], monkeypatch, capsys)
    assert code == TRY_AGAIN
    assert "\nThe database cannot go on: " in told
    assert "Traceback" not in told


def test_what_a_person_can_put_right_is_told_in_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, told = end_of(["collect", "no such folder", "no such text.txt"], monkeypatch, capsys)
    assert code == REFUSED
    assert "no such text.txt" in told
    assert "Traceback" not in told


def test_sigterm_lets_a_command_put_its_things_away() -> None:
    waits = "import atexit, time, app.cli.main as c; atexit.register(print, 'put away'); "
    waits += "c.cli = lambda: (print('up', flush=True), time.sleep(60)); c.main()"
    with subprocess.Popen([sys.executable, "-c", waits], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.terminate()
        assert process.stdout.read() == "put away\n"
    assert process.returncode == TERMINATED


def test_a_command_whose_libraries_are_not_installed_says_what_installs_them() -> None:
    with pytest.raises(typer.BadParameter, match=r"\(no_such_library is missing\): make setup"), worker_libraries():
        raise ModuleNotFoundError(name="no_such_library")
    with pytest.raises(ModuleNotFoundError), worker_libraries():
        raise ModuleNotFoundError(name="worker.run.gone")
