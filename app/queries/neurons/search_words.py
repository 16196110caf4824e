"""Search words as conditions of PostgreSQL's full-text search."""

from enum import StrEnum
from functools import reduce
from typing import Any

from sqlalchemy import ColumnElement, case, func, literal_column, select
from sqlalchemy.orm import Session

from app.domain.searches import SearchGroup, parse_search, web_search
from app.models import Neuron
from app.models.subjects import SAMPLED_NEURONS

ENGLISH: ColumnElement[str] = literal_column("'english'::regconfig")
_SIMPLE: ColumnElement[str] = literal_column("'simple'::regconfig")
SAMPLED: ColumnElement[bool] = literal_column(SAMPLED_NEURONS)
"""Whether a neuron is one of the sample that answers searches with thousands of matches; see ADR 0067."""


def search_query(words: str) -> ColumnElement[Any]:
    """The search as a ``tsquery``: stems, phrases, exclusions, prefixes."""
    groups = [_group(group) for group in parse_search(words)]
    return reduce(lambda found, other: found.op("||")(other), groups)


def search_language(words: str) -> ColumnElement[str]:
    """The language in which hits are marked: none where a search has only words that are common in English."""
    return case((func.numnode(func.websearch_to_tsquery(ENGLISH, web_search(words))) == 0, _SIMPLE), else_=ENGLISH)


def has_search_words(session: Session, *, words: str) -> bool:
    """Whether a search has anything to look for: not only punctuation."""
    return (session.scalar(select(func.numnode(search_query(words)))) or 0) > 0


class Unsearchable(StrEnum):
    """The reason why an index cannot find what a search asks for."""

    EMPTY = "empty"
    """It has only punctuation."""
    ONLY_EXCLUDES = "only_excludes"


def why_unsearchable(session: Session, *, words: str) -> Unsearchable | None:
    """Why an index cannot find what a search asks for; None if it can."""
    query = search_query(words)
    n, indexed = session.execute(select(func.numnode(query), func.querytree(query))).one()
    if not n:
        return Unsearchable.EMPTY
    return Unsearchable.ONLY_EXCLUDES if indexed == "T" else None


def relevance(words: str) -> ColumnElement[Any]:
    """How well a neuron's explanation matches: higher if its hits are close together, lower for longer texts.

    Rounded to six digits, so that a cursor in decimal digits is exact.
    """
    rank = func.ts_rank_cd(Neuron.search, search_query(words), 1)
    return func.round(rank.op("::")(literal_column("numeric")), 6).op("::")(literal_column("float8"))


def _group(group: SearchGroup) -> ColumnElement[Any]:
    parts: list[ColumnElement[Any]] = [func.tsquery_not(_words(word)) for word in group.excluded]
    if group.words or not (group.prefixes or group.excluded):
        parts.insert(0, _words(group.words))
    for prefix in group.prefixes:
        begins = func.to_tsquery(_SIMPLE, f"{prefix.letters}:*")
        parts.append(func.tsquery_not(begins) if prefix.is_excluded else begins)
    return reduce(lambda found, other: found.op("&&")(other), parts)


def _words(words: str) -> ColumnElement[Any]:
    """Words by their stems. English leaves out its most common words; where these are all there is, they are searched.

    Explanations quote them as tokens: "from", "if", "not".
    """
    stems = func.websearch_to_tsquery(ENGLISH, words)
    return case((func.numnode(stems) == 0, func.websearch_to_tsquery(_SIMPLE, words)), else_=stems)
