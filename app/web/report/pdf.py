"""A report as PDF, by WeasyPrint, and as one file of HTML.

WeasyPrint draws text with Pango, which is a library of the system and may be missing.
"""

import logging
import re
from functools import cache
from typing import Any

from app.errors import Unavailable
from app.web.http.static import static_files

PACKAGES = ("libpango-1.0-0", "libpangoft2-1.0-0", "libharfbuzz-subset0", "fonts-dejavu-core")
"""The Debian packages that WeasyPrint needs and does not contain."""
_LINK = re.compile(r'<link rel="stylesheet" href="/static/([^"?]+)[^"]*">')
_ICON = re.compile(r'<link rel="icon"[^>]*>\s*')
_LIGHT_DARK = re.compile(r"light-dark\(\s*([^,()]+),[^()]+\)")


class PdfUnavailable(Unavailable):
    """PDF needs Pango, which this machine lacks. Print the HTML report with the browser instead, or install Pango."""


@cache
def can_make_pdf() -> bool:
    """Whether WeasyPrint and the libraries that it loads are there."""
    try:
        import weasyprint  # noqa: F401 - whether it can be imported is the question
    except (ImportError, OSError):  # OSError: a library of the system cannot be loaded
        return False
    return True


def standalone_html(html: str) -> str:
    """The page with its style sheets inside and without an icon, so that it is one file."""
    return _LINK.sub(lambda match: f"<style>\n{_style(match[1])}</style>", _ICON.sub("", html))


def pdf_of(html: str) -> bytes:
    """The page as PDF/UA, with bookmarks and without anything from outside. Raises PdfUnavailable.

    Equal pages give equal bytes: dates and ids in the file come from the page.
    """
    return bytes(for_paper(html).write_pdf(pdf_variant="pdf/ua-1") or b"")


def for_paper(html: str) -> Any:
    """The page as WeasyPrint's ``HTML``, in the light theme: it knows one. Raises PdfUnavailable."""
    if not can_make_pdf():
        raise PdfUnavailable
    import weasyprint

    # style sheets have rules that only browsers know; WeasyPrint's warnings about these are irrelevant
    logging.getLogger("weasyprint").setLevel(logging.ERROR)
    return weasyprint.HTML(string=_LIGHT_DARK.sub(r"\1", standalone_html(html)), url_fetcher=_refuse)


def _style(name: str) -> str:
    return static_files()[name].content.decode()


def _refuse(url: str, *_: Any, **__: Any) -> Any:
    raise ValueError(f"a report refers to nothing outside of it, and not to {url}")
