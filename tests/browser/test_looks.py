"""How pages look: pictures for people in `test-output/`, and what can be measured."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import APIRoute
from playwright.sync_api import Page, expect
from starlette.routing import Match

from app.web.main import ROUTERS
from tests.browser.kinds import NARROW, PAGES, REFUSED, SMALLEST, VISITORS, WIDE, every_kind
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
    "/searches/{key}",
    "/{slug}/atlas.bin",
    "/{slug}/neurons.{format}",
    "/{slug}/random",
    "/{slug}/{layer}/{index}/preview.png",
}
"""Addresses that show no page: files, ways to other pages, and what needs an OpenID provider."""
FOLLOWED = {"/review/{slot_id}", "/{slug}/{layer}/{index}/excerpts/{excerpt_id}"}
"""Opened by a button or a link."""


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


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "view"), [("wide", WIDE), ("narrow", NARROW)])
def test_pictures_of_every_page_are_taken(
    open_page: Callable[..., Page], pictures: Path, scheme: str, width: str, view: dict[str, Any]
) -> None:
    page = open_page("alice", color_scheme=scheme, **view)
    for name in every_kind(page):
        page.screenshot(path=pictures / f"{name}-{scheme}-{width}.png")


def test_no_page_is_wider_than_the_smallest_screen(open_page: Callable[..., Page]) -> None:
    page = open_page("alice", **SMALLEST)
    fits = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    assert [name for name in every_kind(page) if not page.evaluate(fits)] == []


@pytest.mark.parametrize("view", [WIDE, SMALLEST], ids=["wide", "smallest"])
def test_nothing_that_unfolds_widens_the_claim(open_page: Callable[..., Page], view: dict[str, Any]) -> None:
    page = open_page("alice", **view)
    page.goto(f"/{SLUG}/0/5")
    page.evaluate("for (const part of document.querySelectorAll('.claim details')) part.open = true")
    assert page.evaluate("(claim => claim.scrollWidth <= claim.clientWidth)(document.querySelector('.claim'))")


def test_claim_and_evidence_share_one_screen(open_page: Callable[..., Page]) -> None:
    page = open_page(**WIDE)
    page.goto(PAGES["neuron"])
    for part in (".claim", ".evidence .rows"):
        box = page.locator(part).first.bounding_box()
        assert box is not None
        assert box["y"] < 300


def test_every_action_on_a_neuron_is_reached_by_keyboard(open_page: Callable[..., Page]) -> None:
    page = open_page("alice", **WIDE)
    page.goto(PAGES["neuron"])
    for heading in page.locator("details.act > summary").all():
        heading.evaluate("e => e.parentElement.open = true")
    actions = page.locator("main a, main button, main select, main textarea, main summary")
    unreachable = actions.evaluate_all("all => all.filter(e => e.tabIndex < 0).map(e => e.outerHTML)")
    assert unreachable == []


def test_the_number_behind_a_token_is_reachable(open_page: Callable[..., Page]) -> None:
    page = open_page(**WIDE)
    page.goto(PAGES["neuron"])
    row = page.locator(".evidence details.x").first
    row.locator("summary").focus()
    page.keyboard.press("Enter")
    expect(row.get_by_role("rowheader")).not_to_have_count(0)
    peak = row.locator("em").inner_text().rstrip("0")
    expect(row.get_by_role("cell").filter(has_text=peak)).not_to_have_count(0)


def test_without_scripts_an_unfolded_row_leads_to_its_numbers(open_page: Callable[..., Page]) -> None:
    page = open_page(java_script_enabled=False, **WIDE)
    page.goto(PAGES["neuron"])
    row = page.locator(".evidence details.x").first
    row.locator("summary").click()
    row.get_by_role("link", name="The number of every token").click()
    expect(page.get_by_role("main").get_by_role("rowheader")).not_to_have_count(0)
