"""Routers whose routes are tried only for addresses that begin like one of them."""

from functools import cached_property

from fastapi import APIRouter
from starlette.routing import Match
from starlette.types import Scope


class PageRouter(APIRouter):
    """The routes of one module of pages.

    FastAPI tries every route of every router in turn, which for the last ones took a tenth of a page's time. Most
    modules have a first word of their own ("/batches", "/flags"): an address that begins otherwise needs no look at
    their routes. The routes are complete when the application includes the router.
    """

    @cached_property
    def first_words(self) -> frozenset[str]:
        """What its addresses begin with; empty where any word will do, as the name of a subject."""
        words = {_first_word(str(getattr(route, "path", "{"))) for route in self.routes}
        return frozenset() if any("{" in word for word in words) else frozenset(words)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether one of its routes is asked for, without a look at them where the first word says that none is."""
        if (
            self.first_words
            and _first_word(scope["path"].removeprefix(scope.get("root_path", ""))) not in self.first_words
        ):
            return Match.NONE, {}
        return super().matches(scope)


def _first_word(path: str) -> str:
    return path[1:].partition("/")[0].partition(".")[0]
