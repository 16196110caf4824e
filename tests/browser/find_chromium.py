"""Finds a Chromium for the browser tests, or installs one: ``python -m tests.browser.find_chromium --install``."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
DEBIAN = (["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium"])
OFFLINE = (
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
"""A test browser asks nobody but the server under test."""


def find() -> str | None:
    """Path of a Chromium on the PATH, else of the one that Playwright has installed, else None."""
    for name in NAMES:
        if found := shutil.which(name):
            return found
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    return own if Path(own).exists() else None


def arguments() -> list[str]:
    """Command-line arguments of the test browser. Chromium's sandbox refuses to run as root."""
    return [*OFFLINE, *(["--no-sandbox"] if os.geteuid() == 0 else [])]


def install() -> None:
    """Install a Chromium: Playwright's own build, else Debian's package."""
    if subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=False).returncode == 0:
        return
    for command in DEBIAN:
        subprocess.run(command, check=True, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})


def main() -> None:
    if find() is None and "--install" in sys.argv:
        install()
    found = find()
    if found is None:
        raise SystemExit("No Chromium on the PATH, and none could be installed: the browser tests cannot run.")
    sys.stdout.write(f"browser tests use {found}\n")


if __name__ == "__main__":
    main()
