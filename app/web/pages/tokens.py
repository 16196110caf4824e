"""The tokens of a vocabulary, and how many neurons each of them drives."""

from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlencode

from fastapi import Query
from markupsafe import Markup
from pydantic import Field

from app.domain.bounds import LONGEST_FIELD
from app.queries.common.inputs import plain_text
from app.queries.neurons.tokens import DrivingToken, driving_tokens
from app.queries.subjects.lookup import SubjectName, named_subject
from app.web.deps import DbSession
from app.web.heat.glyphs import visible, visible_bytes
from app.web.http.routing import PageRouter
from app.web.rendering.templating import page

router = PageRouter()


@dataclass(frozen=True, slots=True)
class TokenRow:
    """A token, with the neurons that have it among their strongest."""

    token: str
    """The token as text; half of a character is written as ``\\\\xe2``."""
    n_neurons: int
    address: str | None
    """URL of the list of these neurons; None if there are none, or if no text identifies the token."""


@dataclass(frozen=True, slots=True)
class TokensPage:
    """The tokens that hold a text."""

    subject: SubjectName
    address: str
    text: str
    rows: tuple[TokenRow, ...]
    is_cut: bool
    """Whether there are more than are shown or were counted."""
    glyphs: Annotated[dict[str, str], Field(exclude=True)]
    """The tokens as the page shows them."""


@page(router, "/{slug}/tokens", template="subject/tokens.html", is_kept=True)
def tokens(
    session: DbSession,
    slug: str,
    text: Annotated[str, Query(max_length=LONGEST_FIELD, description="A part of the token")] = "",
) -> TokensPage:
    """Which tokens hold a text, and how many neurons each of them drives."""
    subject, address = named_subject(session, slug=slug), f"/{slug}/tokens"
    plain_text(text, what="token", limit=LONGEST_FIELD)
    if not text:
        return TokensPage(subject, address, text, (), is_cut=False, glyphs={})
    found = driving_tokens(session, subject_id=subject.id, text=text)
    rows = tuple(_row(slug, each) for each in found.tokens)
    glyphs: dict[str, str] = {}
    for each in found.tokens:
        glyphs[_text(each.bytes)] = _glyphs(each.bytes)
    return TokensPage(subject, address, text, rows, is_cut=found.is_cut, glyphs=glyphs)


def _glyphs(token: bytes) -> Markup:
    try:
        return Markup(visible(token.decode()))  # noqa: S704 - escaped there
    except UnicodeDecodeError:
        return Markup(visible_bytes(token))  # noqa: S704 - escaped there


def _row(slug: str, token: DrivingToken) -> TokenRow:
    return TokenRow(_text(token.bytes), token.n_neurons, _list(slug, token.bytes, token.n_neurons))


def _text(token: bytes) -> str:
    return token.decode(errors="backslashreplace")


def _list(slug: str, token: bytes, n_neurons: int) -> str | None:
    try:
        name = token.decode()
    except UnicodeDecodeError:
        return None
    return f"/{slug}?{urlencode({'token': name})}" if n_neurons and len(name) <= LONGEST_FIELD else None
