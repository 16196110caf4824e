"""Installs what libraries need of the system and do not bring: ``python -m tests.system_packages --install``.

WeasyPrint draws the pages of reports with Pango. On Debian the packages are installed; elsewhere they are named.
"""

import subprocess
import sys

from app.web.report.pdf import PACKAGES
from tests.browser.find_chromium import install_package

PROBE = "import sys; from app.web.report.pdf import can_make_pdf; sys.exit(not can_make_pdf())"
"""Asked of a new process: a library that was missing when this one looked is not looked for again."""


def is_complete() -> bool:
    """Whether a process that starts now can make PDF."""
    return subprocess.run([sys.executable, "-c", PROBE], check=False).returncode == 0


def main() -> None:
    """Make sure that the tests of reports can run. Raises SystemExit with one sentence."""
    if is_complete():
        return
    if "--install" in sys.argv and all(install_package(package) for package in PACKAGES) and is_complete():
        return
    raise SystemExit(
        "The tests of reports cannot run: WeasyPrint lacks Pango, and it could not be installed. Install it, on Debian"
        f" with: apt-get install {' '.join(PACKAGES)}"
    )


if __name__ == "__main__":
    main()
