"""The guide, the grammar of lexical explanations and the glossary, as pages of the site."""

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from itertools import pairwise

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

from app.domain.glossary import GLOSSARY, Term
from app.domain.headlines import ESTIMATED
from app.domain.standing import SCORE_2023
from app.domain.steps.catalogue import SCORERS
from app.home import files
from app.web.http.routing import PageRouter
from app.web.rendering.templating import page

router = PageRouter()

DOCS = files("docs")
MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")


class Document(StrEnum):
    """What the guide consists of, by its file in ``docs``."""

    GUIDE = "guide"
    LEXICAL = "lexical"


@dataclass(frozen=True, slots=True)
class GuidePage:
    """One document of the guide."""

    title: str
    html: str
    headings: tuple[tuple[str, str], ...]
    """Identifier and text of each section."""


@dataclass(frozen=True, slots=True)
class GlossaryPage:
    """All terms, by their keys."""

    terms: dict[str, Term]


@dataclass(frozen=True, slots=True)
class ScoresPage(GlossaryPage):
    """The terms, and which of them explain the scores that are neither headline nor the 2023 score."""

    other_scores: tuple[str, ...]


@page(router, "/guide", template="guide/page.html", is_kept=True)
def guide() -> GuidePage:
    """How to use the site."""
    return _rendered(Document.GUIDE)


@page(router, "/guide/lexical", template="guide/page.html", is_kept=True)
def lexical() -> GuidePage:
    """The grammar of lexical explanations."""
    return _rendered(Document.LEXICAL)


@page(router, "/guide/scores", template="guide/scores.html", is_kept=True)
def scores() -> ScoresPage:
    """How to read a score."""
    others = (name for name in SCORERS if name not in (ESTIMATED, SCORE_2023.scorer))
    return ScoresPage(dict(GLOSSARY), (*others, "uncentred_rsquared"))


@page(router, "/guide/glossary", template="guide/glossary.html", is_kept=True)
def glossary() -> GlossaryPage:
    """Every term that the pages use."""
    return GlossaryPage(dict(GLOSSARY))


@cache
def _rendered(document: Document) -> GuidePage:
    tokens = MARKDOWN.parse((DOCS / f"{document}.md").read_text(encoding="utf-8"))
    headings = []
    for opening, inline in pairwise(tokens):
        if opening.type == "heading_open":
            identifier = re.sub(r"[^\w -]", "", inline.content.lower()).replace(" ", "-")  # as GitHub names them
            opening.attrSet("id", identifier)
            headings.append((opening.tag, identifier, inline.content))
        if opening.type in ("table_open", "fence"):
            opening.attrSet("tabindex", "0")  # what is wider than the window is scrolled by keyboard, too
        _point_into_the_site(inline)
    return GuidePage(
        title=next(text for tag, _, text in headings if tag == "h1"),
        html=Markup(MARKDOWN.renderer.render(tokens, MARKDOWN.options, {})),  # noqa: S704 - our own documents, HTML off
        headings=tuple((identifier, text) for tag, identifier, text in headings if tag == "h2"),
    )


def _point_into_the_site(inline: Token) -> None:
    """Make links between the documents' files links between their pages."""
    for child in inline.children or ():
        href = child.attrGet("href") if child.type == "link_open" else None
        if isinstance(href, str) and href.removesuffix(".md") in set(Document):
            child.attrSet("href", "/guide" if href == "guide.md" else f"/guide/{href.removesuffix('.md')}")
