import sys
from pathlib import Path

import pytest

from app.web.report.pdf import PACKAGES
from tests import system_packages

ROOT = Path(__file__).parents[2]


def test_what_is_there_needs_no_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(system_packages, "is_complete", lambda: True)
    monkeypatch.setattr(system_packages, "install_package", asked.append)
    system_packages.main()
    assert asked == []


def test_what_is_missing_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    installed: list[str] = []

    def install(package: str) -> bool:
        installed.append(package)
        return True

    monkeypatch.setattr(system_packages, "is_complete", lambda: bool(installed))
    monkeypatch.setattr(system_packages, "install_package", install)
    monkeypatch.setattr(sys, "argv", ["system_packages", "--install"])
    system_packages.main()
    assert tuple(installed) == PACKAGES


def test_what_cannot_be_installed_is_named_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system_packages, "is_complete", lambda: False)
    monkeypatch.setattr(system_packages, "install_package", lambda _package: False)
    monkeypatch.setattr(sys, "argv", ["system_packages", "--install"])
    with pytest.raises(SystemExit, match=f"apt-get install {' '.join(PACKAGES)}"):
        system_packages.main()


def test_the_image_of_the_web_has_the_same_packages() -> None:
    image = (ROOT / "Dockerfile").read_text()
    assert [package for package in PACKAGES if package not in image] == []
