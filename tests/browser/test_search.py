"""The search and what its matches have in common, in a real browser."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.kinds import WIDE

WORDS = "token or import or bracket*"


@pytest.mark.parametrize("facet", ["Doubt", "Whole-corpus score", "Fires on", "Method"])
def test_a_facet_narrows_a_search_to_what_it_counts_and_widens_it_again(
    open_page: Callable[..., Page], facet: str
) -> None:
    page = open_page(**WIDE)
    page.goto(f"/search?words={WORDS}")
    matches = page.locator(".matches b")
    before = matches.text_content() or ""
    value = page.locator(".facet").filter(has=page.get_by_text(facet, exact=True)).locator("li").first
    n = value.locator("small").text_content() or ""
    value.get_by_role("link").click()
    expect(matches).to_have_text(n)
    expect(page.locator("mark").first).to_be_visible()
    page.reload()
    expect(matches).to_have_text(n)
    page.locator(".facet [aria-current]").first.click()
    expect(matches).to_have_text(before)
