"""Every kind of page against the rules of axe-core, in both themes and at both widths."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.kinds import NARROW, WIDE, every_kind
from tests.browser.site import SLUG

AXE = Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"
"""Installed from the lock file by `make setup`."""
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
RULES_OF_COLOURS = ["color-contrast", "link-in-text-block"]
"""What differs between the themes: every other rule sees the same page."""


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


@pytest.mark.parametrize("view", [WIDE, NARROW], ids=["wide", "narrow"])
def test_no_page_violates_a_rule(open_page: Callable[..., Page], view: dict[str, Any]) -> None:
    page = open_page("alice", color_scheme="light", **view)
    violations = []
    for name in every_kind(page):
        page.evaluate("for (const part of document.querySelectorAll('details')) part.open = true")
        expect(page.locator("details.x > a")).to_have_count(0)  # until the numbers of all rows are there
        violations += [f"{name}: {violation}" for violation in violations_of(page, RULES)]
        page.emulate_media(color_scheme="dark")
        violations += [f"{name}, dark: {violation}" for violation in violations_of(page, RULES_OF_COLOURS)]
        page.emulate_media(color_scheme="light")
    assert not violations, "\n".join(violations)


def violations_of(page: Page, rules: list[str]) -> list[str]:
    """A line per element that breaks a rule: the rule, where, and what axe-core says of it."""
    page.evaluate(AXE.read_text(encoding="utf-8"))  # by the debugger: the page's own policy allows no foreign script
    found = page.evaluate("rules => axe.run(document, {runOnly: rules, resultTypes: ['violations']})", rules)
    return [
        f"{violation['id']} at {node['target'][0]}: {node['failureSummary']}"
        for violation in found["violations"]
        for node in violation["nodes"]
    ]
