"""Terms that the field may read differently: every page that uses one explains it, by keyboard and without scripts."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from app.domain.glossary import GLOSSARY
from tests.browser.kinds import NARROW, PAGES, REFUSED, WIDE, every_kind
from tests.browser.site import SLUG

TERMS = {
    r"(?<!from the )whole.corpus": {"whole_corpus"},
    "2023 score": {"score_2023"},
    "(token|over the) table|over tokens": {"token_table", "margin"},
    r"precision [−\d]": {"precision"},
    r"recall [−\d]": {"recall"},
    "null twin": {"null_twin"},
    "shuffled baseline": {"shuffled"},
    "95% interval": {"interval"},
    "simulator": {"simulator"},
    "control": {"control"},
    "agreement": {"agreement"},
    "corrected": {"corrected_share"},
    r"strongest tokens": {"strongest_tokens"},
    r"top excerpts": {"top_excerpts"},
    r"hard negatives": {"hard_negatives"},
    r"verdicts?\b": {"verdict"},
    r"doubts?\b": {"doubt"},
    r"leases?\b": {"lease"},
    "quarantine": {"quarantine"},
}
"""Words as pages write them, each with the terms of which one must be explained."""
EXPLAIN_THEMSELVES = {"guide", "guide-lexical", "scores", "glossary", "report", *REFUSED}
QUOTED = ".text, .claimed, .verdict-line, .result, blockquote, q, code, pre, option, svg, .rows, .terms, [popover]"
"""What people and models have written, and what explains."""
SAID = """quoted => {
    const main = document.querySelector('main').cloneNode(true);
    for (const part of main.querySelectorAll(quoted)) part.remove();
    return main.textContent.replace(/\\s+/g, ' ');
}"""
TARGETS = "() => [...document.querySelectorAll('main [popovertarget]')].map(e => e.getAttribute('popovertarget'))"


def test_every_page_explains_the_terms_that_it_uses(open_page: Callable[..., Page]) -> None:
    page = open_page("alice", **WIDE)
    unexplained = []
    for name in every_kind(page):
        if name in EXPLAIN_THEMSELVES:
            continue
        said = page.evaluate(SAID, QUOTED)
        explained = {key for key in GLOSSARY for target in page.evaluate(TARGETS) if is_of(target, key)}
        if page.locator("main .verdict-line").count() and "verdict_line" not in explained:
            unexplained.append(f"{name}: the verdict line")
        for words, keys in TERMS.items():
            found = re.search(words, said, re.IGNORECASE)
            if found and not keys & explained:
                unexplained.append(f"{name}: {said[max(0, found.start() - 30) : found.end() + 20]}")
    assert not unexplained, "\n".join(unexplained)


def is_of(target: str, key: str) -> bool:
    """Whether a popover explains a term."""
    return target == f"term-{key}" or target.startswith(f"term-{key}-")


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
