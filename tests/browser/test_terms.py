"""Terms that the field may read differently: every page that uses one explains it, by keyboard and without scripts."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from app.domain.glossary import GLOSSARY
from tests.browser.kinds import NARROW, PAGES, WIDE
from tests.browser.site import SLUG


@pytest.mark.parametrize("view", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])
def test_a_term_is_explained_by_keyboard_without_scripts(
    open_page: Callable[..., Page], view: dict[str, object], scripts: bool
) -> None:
    page = open_page("alice", java_script_enabled=scripts, **view)
    for address in (f"/{SLUG}", PAGES["batch"], PAGES["flags"]):
        page.goto(address)
        term = page.get_by_role("main").get_by_role("button", name=GLOSSARY["verdict_line"].name)
        term.focus()
        page.keyboard.press("Enter")
        shown = page.locator("[popover]").filter(has_text=GLOSSARY["verdict_line"].text)
        expect(shown).to_be_in_viewport()
        page.keyboard.press("Escape")
        expect(shown).not_to_be_visible()
        expect(term).to_be_focused()
