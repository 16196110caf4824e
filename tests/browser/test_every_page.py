"""Every kind of page, opened once at each width: pictures for people in `test-output/`, and what must hold on all."""

import re
from collections.abc import Callable
from pathlib import Path

from fastapi.routing import APIRoute
from playwright.sync_api import Page, Route
from starlette.routing import Match

from app.web.main import ROUTERS
from tests.browser.kinds import NARROW, PAGES, REFUSED, SMALLEST, VISITORS, WIDE, every_kind
from tests.browser.rules import broken_rules, overflow, unexplained_terms
from tests.browser.site import SLUG

ELSEWHERE = {
    "/api/subjects/{slug}/explanations",
    "/api/subjects/{slug}/neurons",
    "/api/subjects/{slug}/scores",
    "/campaigns/{campaign_id}/export/{table}.{format}",
    "/campaigns/{campaign_id}/report.pdf",
    "/exports/{task_id}",
    "/go",
    "/health",
    "/login/openid",
    "/login/openid/callback",
    "/login/openid/end",
    "/login/openid/ended",
    "/search/random",
    "/searches/{key}",
    "/{slug}/atlas.bin",
    "/{slug}/neurons.{format}",
    "/{slug}/random",
    "/{slug}/{layer}/{index}/preview.png",
}
"""Addresses that show no page: files, ways to other pages, and what needs an OpenID provider."""
FOLLOWED = {"/review/{slot_id}", "/{slug}/{layer}/{index}/excerpts/{excerpt_id}"}
"""Opened by a button or a link."""
EXPLAIN_THEMSELVES = {"guide", "guide-lexical", "scores", "glossary", "report", *REFUSED}


def test_every_page_of_the_site_is_among_the_kinds() -> None:
    routes = [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]
    routes = [each for each in routes if "GET" in (each.methods or ()) and not each.path.endswith(".json")]
    opened = set(FOLLOWED)
    for address in (*PAGES.values(), *VISITORS.values(), REFUSED["not-set-up"]):
        scope = {"type": "http", "method": "GET", "path": address.partition("?")[0]}
        opened.add(next(each.path for each in routes if each.matches(scope)[0] is Match.FULL))
    assert {re.sub(r":\w+}", "}", path) for path in opened} | ELSEWHERE == {
        re.sub(r":\w+}", "}", each.path) for each in routes
    }


def test_every_page_on_a_wide_screen(open_page: Callable[..., Page], pictures: Path) -> None:
    page = open_page("alice", color_scheme="light", **WIDE)
    faults = []
    for name in every_kind(page):
        take_pictures(page, pictures, name, "wide")
        terms = [] if name in EXPLAIN_THEMSELVES else unexplained_terms(page)
        faults += [f"{name}: {fault}" for fault in (*terms, *broken_rules(page))]
    assert not faults, "\n".join(faults)


def test_every_page_on_a_narrow_screen(open_page: Callable[..., Page], pictures: Path) -> None:
    page = open_page("alice", color_scheme="light", **NARROW)
    faults = []
    for name in every_kind(page):
        take_pictures(page, pictures, name, "narrow")
        page.set_viewport_size(SMALLEST["viewport"])
        too_wide = overflow(page)
        page.set_viewport_size(NARROW["viewport"])
        faults += [f"{name}: {fault}" for fault in (*too_wide, *broken_rules(page))]
    assert not faults, "\n".join(faults)


def test_what_is_not_loaded_yet_is_a_target_of_24_pixels(open_page: Callable[..., Page]) -> None:
    page = open_page("alice", **WIDE)
    held: list[Route] = []
    page.route("**/search/facets**", lambda route: held.append(route))  # a server that takes its time
    for address, link in ((f"/{SLUG}", ".common > a"), ("/search?words=brackets", ".side > a")):
        page.goto(address)
        page.evaluate("for (const part of document.querySelectorAll('details')) part.open = true")
        box = page.locator(link).bounding_box()
        assert box is not None
        assert box["height"] >= 24
    for route in held:
        route.fulfill(body="<p>Nothing</p>")


def take_pictures(page: Page, pictures: Path, name: str, width: str) -> None:
    """One in each theme; the light one stays."""
    for scheme in ("dark", "light"):
        page.emulate_media(color_scheme=scheme)
        page.screenshot(path=pictures / f"{name}-{scheme}-{width}.png")
