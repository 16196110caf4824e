import re
import subprocess
from pathlib import Path

import pytest

from app.version import COMMIT_FILE, code_version, commit_of

ROOT = Path(__file__).parents[2]


def git(folder: Path, *words: str) -> str:
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    done = subprocess.run(["git", "-C", str(folder), *who, *words], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_the_version_names_the_package_and_the_commit_where_there_is_one() -> None:
    commit = commit_of(ROOT)
    assert re.fullmatch(r"\d[\w.]*", code_version().partition("+")[0])
    assert code_version().partition("+")[2] == commit
    if (ROOT / ".git").exists():
        assert commit.removeprefix("g").removesuffix(".dirty") == git(ROOT, "rev-parse", "HEAD")[:10]


def test_a_checkout_says_its_commit_and_whether_files_differ_from_it(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    (tmp_path / "a").write_text("a")
    git(tmp_path, "add", "a")
    git(tmp_path, "commit", "--quiet", "--message", "one")
    commit = f"g{git(tmp_path, 'rev-parse', 'HEAD')[:10]}"
    (tmp_path / COMMIT_FILE).write_text("f" * 40)
    assert commit_of(tmp_path) == commit
    (tmp_path / "a").write_text("b")
    assert commit_of(tmp_path) == f"{commit}.dirty"


@pytest.mark.parametrize(
    ("written", "commit"),
    [("0123456789abcdef\n", "g0123456789"), ("0123456", "g0123456"), ("", ""), ("main", ""), ("0123456; rm", "")],
)
def test_an_image_says_the_commit_that_it_was_built_with(tmp_path: Path, written: str, commit: str) -> None:
    assert commit_of(tmp_path) == ""
    (tmp_path / COMMIT_FILE).write_text(written)
    assert commit_of(tmp_path) == commit
