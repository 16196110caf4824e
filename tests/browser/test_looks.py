"""How pages look: pictures for people in `test-output/`, and what can be measured."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.site import SLUG

PAGES = {
    "home": "/",
    "list": f"/{SLUG}",
    "neuron": f"/{SLUG}/0/1",
    "expected": f"/{SLUG}/0/1?show=expected",
    "failures": f"/{SLUG}/0/1?show=failures&more=miss",
    "compare": f"/{SLUG}/0/1/compare",
    "pair": f"/{SLUG}/0/1/compare?against=0/2",
    "similar": f"/{SLUG}/0/1/similar",
    "try": f"/{SLUG}/0/1/try",
    "firing": f"/{SLUG}/firing",
    "like": f"/{SLUG}/0/1/like",
    "tokens": f"/{SLUG}/tokens",
    "search": "/search?words=brackets",
    "facets": "/search/facets?words=brackets",
    "subject-lists": f"/{SLUG}/lists?all=true",
    "lists": "/lists",
    "new-subject": "/subjects/new",
    "imports": "/imports",
    "tasks": "/tasks",
    "activity": "/activity",
    "compared-methods": "/methods/compare?first=1&second=2",
    "atlas": f"/{SLUG}/atlas",
    "plots": f"/{SLUG}/plots",
    "against": f"/{SLUG}/against",
    "queue": f"/{SLUG}/queue?method=1&layer=0&all=true",
    "batches": "/batches",
    "batch": "/batches/1",
    "run": "/runs/1",
    "flags": "/flags",
    "mine": "/mine",
    "flag-new": "/explanations/2/flag",
    "campaigns": "/campaigns",
    "campaign-new": f"/campaigns/new?subject={SLUG}",
    "standing-campaign": "/campaigns/1",
    "own-verdicts": "/review/verdicts",
    "bulk": f"/{SLUG}/bulk?all=true&state=explained",
    "methods": "/methods",
    "method": "/methods/1",
    "explanation": "/explanations/1",
    "bill": "/bill",
    "login": "/login",
    "account": "/account",
    "people": "/people",
    "language-models": "/providers",
    "language-model-new": "/providers/new",
    "guide": "/guide",
    "scores": "/guide/scores",
    "glossary": "/guide/glossary",
}
WIDE: dict[str, Any] = {"viewport": {"width": 1440, "height": 900}}
NARROW: dict[str, Any] = {"viewport": {"width": 390, "height": 844}}
SMALLEST: dict[str, Any] = {"viewport": {"width": 360, "height": 740}}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "view"), [("wide", WIDE), ("narrow", NARROW)])
def test_pictures_of_every_page_are_taken(
    open_page: Callable[..., Page], pictures: Path, scheme: str, width: str, view: dict[str, Any]
) -> None:
    page = open_page("alice", color_scheme=scheme, **view)
    for name, address in PAGES.items():
        response = page.goto(address)
        assert response is not None
        assert response.status == 200
        page.screenshot(path=pictures / f"{name}-{scheme}-{width}.png")


@pytest.mark.parametrize("address", PAGES.values(), ids=PAGES.keys())
def test_no_page_is_wider_than_the_smallest_screen(open_page: Callable[..., Page], address: str) -> None:
    page = open_page("alice", **SMALLEST)
    page.goto(address)
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


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
