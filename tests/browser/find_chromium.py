"""Finds a Chromium for the browser tests, or installs one: ``python -m tests.browser.find_chromium --install``.

The search asks files only. Playwright's own driver is a program that may not start on a bare machine, so it is
tried, and what it lacks is installed or named, before any test needs it.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
OWN_BUILDS = (
    "chromium-*/chrome-*/chrome",
    "chromium-*/chrome-*/*.app/Contents/MacOS/*",
    "chromium-*/chrome-*/chrome.exe",
)
"""Where Playwright keeps the browsers that it has installed, below its folder."""
UPDATE = ("apt-get", "update", "-qq")
INSTALL = ("apt-get", "install", "-y", "-qq", "--no-install-recommends")
PACKAGE_OF = {"libatomic.so.1": "libatomic1", "libstdc++.so.6": "libstdc++6"}
"""Debian's packages of the libraries that Playwright's driver needs and does not bring."""
OFFLINE = (
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
"""A test browser connects to the server under test alone."""


def find() -> str | None:
    """Path of a Chromium on the PATH, else of one that Playwright has installed, else None."""
    for name in NAMES:
        if found := shutil.which(name):
            return found
    return next((str(path) for path in sorted(_own_builds(), reverse=True) if os.access(path, os.X_OK)), None)


def _own_builds() -> Iterator[Path]:
    folders = [Path(named)] if (named := os.environ.get("PLAYWRIGHT_BROWSERS_PATH", "")) else []
    home = Path.home()
    folders += [
        home / ".cache" / "ms-playwright",
        home / "Library" / "Caches" / "ms-playwright",
        home / "AppData" / "Local" / "ms-playwright",
    ]
    for folder in folders:
        for pattern in OWN_BUILDS:
            yield from folder.glob(pattern)


def arguments() -> list[str]:
    """Command-line arguments of the test browser. Chromium's sandbox refuses to run as root."""
    return [*OFFLINE, *(["--no-sandbox"] if os.geteuid() == 0 else [])]


def playwright(*words: str) -> subprocess.CompletedProcess[str]:
    """One call of Playwright's command line; a driver that does not start is a failed call, not an error."""
    return subprocess.run(
        [sys.executable, "-m", "playwright", *words], check=False, capture_output=True, text=True, errors="replace"
    )


def missing_library(said: str) -> str | None:
    """The shared library that a program's loader reports as missing, or None."""
    found = re.search(r"error while loading shared libraries: ([\w.+-]+):", said)
    return found[1] if found else None


def prepare_driver() -> None:
    """Make sure that Playwright's driver starts; install what it lacks. Raises SystemExit with one sentence."""
    while (tried := playwright("--version")).returncode != 0:
        library = missing_library(tried.stderr)
        package = PACKAGE_OF.get(library or "")
        if package is None or not install_package(package):
            told = f"the library {library}" if library else f"something: {tried.stderr.strip()[-500:]}"
            name = f" (Debian's package {package})" if package else ""
            raise SystemExit(f"The browser tests cannot run: Playwright's driver lacks {told}{name}. Install it.")


def install() -> None:
    """Install a Chromium: Playwright's own build, else Debian's package."""
    if playwright("install", "chromium").returncode != 0 or find() is None:
        install_package("chromium")


_installed: set[str] = set()


def install_package(package: str) -> bool:
    """Whether Debian's package could be installed. False the second time: then it was not what was missing."""
    if package in _installed or shutil.which("apt-get") is None:
        return False
    _installed.add(package)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    # Package lists may be old but good enough, or unreachable: what counts is whether the installation works.
    subprocess.run(UPDATE, check=False, env=environment)
    return subprocess.run([*INSTALL, package], check=False, env=environment).returncode == 0


def main() -> None:
    """Print the path of a Chromium with which the browser tests can run."""
    if "--install" in sys.argv:
        prepare_driver()
        if find() is None:
            install()
    found = find()
    if found is None:
        raise SystemExit(
            "The browser tests cannot run: there is no Chromium on the PATH, and none could be installed. Install one,"
            " for example with: apt-get install chromium"
        )
    sys.stdout.write(f"{found}\n")


if __name__ == "__main__":
    main()
