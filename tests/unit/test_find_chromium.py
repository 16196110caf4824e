import subprocess
import sys
from pathlib import Path

import pytest

from tests.browser import find_chromium

NO_LIBRARY = "node: error while loading shared libraries: libatomic.so.1: cannot open shared object file: No such file"


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine with nothing on the PATH and an empty home; returns the home."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("PLAYWRIGHT_BROWSERS_PATH", raising=False)
    find_chromium._installed.clear()
    return tmp_path


def program(path: Path, script: str = "#!/bin/sh\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(script)
    path.chmod(0o755)
    return path


def driver_that_says(monkeypatch: pytest.MonkeyPatch, *answers: tuple[int, str]) -> None:
    """Playwright's command line answers these exit codes and errors in turn."""
    turns = iter(answers)

    def playwright(*words: str) -> subprocess.CompletedProcess[str]:
        code, said = next(turns)
        return subprocess.CompletedProcess(words, code, "", said)

    monkeypatch.setattr(find_chromium, "playwright", playwright)


def test_without_browser_and_without_driver_the_search_finds_nothing_and_starts_nothing(bare: Path) -> None:
    assert find_chromium.find() is None


def test_the_search_runs_where_playwright_cannot_even_be_imported(bare: Path) -> None:
    script = "import sys; sys.modules['playwright'] = None; from tests.browser.find_chromium import find; print(find())"
    root = Path(__file__).parents[2]
    ended = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True)
    assert ended.stdout == "None\n"


def test_a_browser_of_playwright_is_found_without_its_driver(bare: Path) -> None:
    own = program(bare / ".cache" / "ms-playwright" / "chromium-1200" / "chrome-linux64" / "chrome")
    assert find_chromium.find() == str(own)


def test_a_browser_on_the_path_comes_first(bare: Path) -> None:
    program(bare / ".cache" / "ms-playwright" / "chromium-1200" / "chrome-linux64" / "chrome")
    on_path = program(bare / "bin" / "chromium")
    assert find_chromium.find() == str(on_path)


def test_a_missing_library_is_installed_and_the_driver_tried_again(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = bare / "asked"
    program(bare / "bin" / "apt-get", f'#!/bin/sh\necho "$*" >> {asked}\n')
    driver_that_says(monkeypatch, (127, NO_LIBRARY), (0, ""))
    find_chromium.prepare_driver()
    assert asked.read_text().splitlines()[-1].endswith("libatomic1")


def test_a_library_that_cannot_be_installed_is_named_in_one_sentence(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver_that_says(monkeypatch, (127, NO_LIBRARY))
    with pytest.raises(SystemExit, match=r"lacks the library libatomic\.so\.1 \(Debian's package libatomic1\)"):
        find_chromium.prepare_driver()


def test_a_library_that_is_still_missing_after_its_installation_ends_the_search(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(bare / "bin" / "apt-get")
    driver_that_says(monkeypatch, (127, NO_LIBRARY), (127, NO_LIBRARY))
    with pytest.raises(SystemExit, match="libatomic1"):
        find_chromium.prepare_driver()


def test_a_driver_that_fails_for_another_reason_says_what_it_said(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driver_that_says(monkeypatch, (1, "exec format error"))
    with pytest.raises(SystemExit, match="exec format error"):
        find_chromium.prepare_driver()


def test_without_any_browser_the_command_says_what_to_install(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["find_chromium", "--install"])
    driver_that_says(monkeypatch, (0, ""), (1, "no network"))
    with pytest.raises(SystemExit, match="apt-get install chromium"):
        find_chromium.main()
