"""Routers whose routes are tried only for URLs with a matching first path segment."""

from functools import cached_property

from fastapi import APIRouter
from starlette.routing import Match
from starlette.types import Scope


class PageRouter(APIRouter):
    """The routes of one module of pages.

    FastAPI tries every route of every router in turn, which took a tenth of a page's time for the last ones. Most
    modules have a first path segment of their own ("/batches", "/flags"), so their routes can be skipped for other
    URLs. All routes must be added before the application includes the router.
    """

    @cached_property
    def first_words(self) -> frozenset[str]:
        """The first path segments of its routes; empty if any segment matches, such as the name of a subject."""
        words = {_first_word(str(getattr(route, "path", "{"))) for route in self.routes}
        return frozenset() if any("{" in word for word in words) else frozenset(words)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether one of its routes matches; decided by the first segment alone if that excludes all routes."""
        if (
            self.first_words
            and _first_word(scope["path"].removeprefix(scope.get("root_path", ""))) not in self.first_words
        ):
            return Match.NONE, {}
        return super().matches(scope)


def _first_word(path: str) -> str:
    return path[1:].partition("/")[0].partition(".")[0]
