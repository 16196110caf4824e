"""A wheel holds everything: installed into an empty environment, the demo runs from any folder."""

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.browser.site import free_port, wait_until

ROOT = Path(__file__).parents[1]
SUITE = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "DATABASE_URL")}
"""The environment of a user, who has no checkout."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as `make wheel` does it: from a source archive, which is built first."""
    folder = tmp_path_factory.mktemp("dist")
    built = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder)]
    subprocess.run(built, cwd=ROOT, env=SUITE, check=True, capture_output=True)
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment that holds the wheel, and borrows its dependencies from this one. Returns its programs' folder."""
    home = tmp_path_factory.mktemp("environment")
    venv.create(home, with_pip=False, symlinks=True)
    pip = [sys.executable, "-m", "pip", "--python", str(home / "bin" / "python"), "install", "--quiet"]
    offline = ["--no-deps", "--no-index", "--disable-pip-version-check"]
    subprocess.run([*pip, *offline, str(wheel)], env=SUITE, check=True)
    (packages,) = home.glob("lib/python*/site-packages")
    (packages / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")  # its own .pth files are not read
    return home / "bin"


def test_a_wheel_holds_what_is_no_module(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    wanted = {
        "demo/model/model.safetensors",
        "app/domain/glossary.toml",
        "app/localization/messages/fr.po",
        "worker/method/prompts/explain_pairs.txt",
        "neuron_audit_files/static/vendor/htmx.min.js",
        "neuron_audit_files/static/css/elements.css",
        "neuron_audit_files/templates/base.html",
        "neuron_audit_files/docs/guide.md",
        "neuron_audit_files/migrations/env.py",
    }
    assert wanted - names == set()
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"app", "demo", "worker", "neuron_audit_files"}
    assert [name for name in names if "__pycache__" in name or name.startswith("tests/")] == []


@pytest.fixture
def demo(installed: Path, tmp_path: Path) -> Iterator[str]:
    """The demo, started by its command in a folder that holds nothing. Returns the site's address."""
    port = free_port()
    environment = {**SUITE, "NEURON_AUDIT_PORT": str(port)}
    with (tmp_path / "demo.log").open("wb") as log:
        process = subprocess.Popen(
            [str(installed / "neuron-audit"), "demo"], cwd=tmp_path, env=environment, stdout=log, stderr=log
        )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=120)


def test_the_demo_runs_from_any_folder(demo: str) -> None:
    def collects() -> bool:
        try:
            home = httpx.get(f"{demo}/index.json", timeout=30).json()
        except httpx.HTTPError:
            return False
        return bool(home["activity"]["collections"] or home["subjects"])

    wait_until(collects)
    page = httpx.get(demo, timeout=30)
    assert (page.status_code, "Neuron Audit" in page.text) == (200, True)
    assert httpx.get(f"{demo}/static/vendor/htmx.min.js").status_code == 200
    assert httpx.get(f"{demo}/guide", timeout=30).status_code == 200
