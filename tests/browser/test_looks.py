"""How pages look, as far as it can be measured."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.kinds import PAGES, SMALLEST, WIDE
from tests.browser.site import SLUG


@pytest.mark.parametrize("view", [WIDE, SMALLEST], ids=["wide", "smallest"])
def test_nothing_that_unfolds_widens_the_claim(open_page: Callable[..., Page], view: dict[str, Any]) -> None:
    page = open_page("alice", **view)
    page.goto(f"/{SLUG}/0/5")
    page.evaluate("for (const part of document.querySelectorAll('.claim details')) part.open = true")
    assert page.evaluate("(claim => claim.scrollWidth <= claim.clientWidth)(document.querySelector('.claim'))")


@pytest.mark.parametrize("width", [1280, 1440])
def test_the_head_of_the_site_is_one_line_for_whoever_may_do_everything(
    open_page: Callable[..., Page], width: int
) -> None:
    page = open_page("alice", viewport={"width": width, "height": 800})
    page.goto("/")
    places = (
        page.locator("header.site")
        .locator("a, input, button")
        .evaluate_all(
            "all => all.map(e => { const box = e.getBoundingClientRect(); return box.top + box.height / 2; })"
        )
    )
    assert len(places) > 12
    assert max(places) - min(places) < 8


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
