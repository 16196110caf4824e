import subprocess
import sys
from pathlib import Path

from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

USER = """
import sys
from pathlib import Path
from app.embedded import embedded_server
print(embedded_server(Path(sys.argv[1])), flush=True)
sys.stdin.readline()
"""


def user(folder: Path) -> tuple[subprocess.Popen[str], str]:
    """A process that uses the server until it is told to end, and the address it was given."""
    command = [sys.executable, "-c", USER, str(folder)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def end(process: subprocess.Popen[str]) -> None:
    process.communicate("\n", timeout=120)


def answers(url: str) -> bool:
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"))
    try:
        with engine.connect() as connection:
            return bool(connection.scalar(text("SELECT 1")) == 1)
    finally:
        engine.dispose()


def test_the_server_stops_with_its_last_user_even_if_another_was_killed(tmp_path: Path) -> None:
    folder = tmp_path / "postgres"
    killed, url = user(folder)
    last, again = user(folder)
    assert again == url
    killed.kill()
    killed.communicate()
    assert answers(url)
    end(last)
    assert not (folder / "postmaster.pid").exists()
