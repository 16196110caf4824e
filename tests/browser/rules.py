"""What must hold on every page, each as a function that gives a line per place that breaks it."""

import re
from pathlib import Path

from playwright.sync_api import Page, expect

from app.domain.glossary import GLOSSARY

AXE = Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"
"""Installed from the lock file by `make setup`."""
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
RULES_OF_COLOURS = ["color-contrast", "link-in-text-block"]
"""What differs between the themes: every other rule sees the same page."""
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
QUOTED = ".text, .claimed, .verdict-line, .result, blockquote, q, code, pre, option, svg, .rows, .terms, [popover]"
"""What people and models have written, and what explains."""
SAID = """quoted => {
    const main = document.querySelector('main').cloneNode(true);
    for (const part of main.querySelectorAll(quoted)) part.remove();
    return main.textContent.replace(/\\s+/g, ' ');
}"""
TARGETS = "() => [...document.querySelectorAll('main [popovertarget]')].map(e => e.getAttribute('popovertarget'))"


def broken_rules(page: Page) -> list[str]:
    """The rules of axe-core with everything unfolded, in both themes."""
    page.evaluate("for (const part of document.querySelectorAll('details')) part.open = true")
    expect(page.locator("details.x > a")).to_have_count(0)  # until the numbers of all rows are there
    violations = violations_of(page, RULES)
    page.emulate_media(color_scheme="dark")
    violations += [f"dark: {violation}" for violation in violations_of(page, RULES_OF_COLOURS)]
    page.emulate_media(color_scheme="light")
    return violations


def violations_of(page: Page, rules: list[str]) -> list[str]:
    """A line per element that breaks a rule: the rule, where, and what axe-core says of it."""
    page.evaluate(AXE.read_text(encoding="utf-8"))  # by the debugger: the page's own policy allows no foreign script
    found = page.evaluate("rules => axe.run(document, {runOnly: rules, resultTypes: ['violations']})", rules)
    return [
        f"{violation['id']} at {node['target'][0]}: {node['failureSummary']}"
        for violation in found["violations"]
        for node in violation["nodes"]
    ]


def unexplained_terms(page: Page) -> list[str]:
    """Terms that the field may read differently and that the page does not explain."""
    said = page.evaluate(SAID, QUOTED)
    explained = {key for key in GLOSSARY for target in page.evaluate(TARGETS) if is_of(target, key)}
    found = {words: re.search(words, said, re.IGNORECASE) for words in TERMS}
    unexplained = [
        f"not explained: {said[max(0, where.start() - 30) : where.end() + 20]}"
        for words, where in found.items()
        if where and not TERMS[words] & explained
    ]
    if page.locator("main .verdict-line").count() and "verdict_line" not in explained:
        unexplained.append("not explained: the verdict line")
    return unexplained


def is_of(target: str, key: str) -> bool:
    """Whether a popover explains a term."""
    return target == f"term-{key}" or target.startswith(f"term-{key}-")


def overflow(page: Page) -> list[str]:
    """Whether the page is wider than the screen."""
    widths = page.evaluate("(e => [e.scrollWidth, e.clientWidth])(document.documentElement)")
    return [f"{widths[0]} pixels wide on a screen of {widths[1]}"] if widths[0] > widths[1] else []
