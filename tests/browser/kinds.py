"""Every kind of page of the site, each with an address that shows one. ``audit_some`` has made what it names."""

from collections.abc import Iterator
from typing import Any

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
    "account": "/account",
    "second-factor": "/account/factor",
    "people": "/people",
    "language-models": "/providers",
    "language-model-new": "/providers/new",
    "guide": "/guide",
    "scores": "/guide/scores",
    "glossary": "/guide/glossary",
    "progress": f"/{SLUG}/0/1/progress",
    "tried": f"/{SLUG}/0/18/try?trial=4",
    "fired": f"/{SLUG}/firing?trial=5",
    "nothing-found": f"/{SLUG}?words=zyzzyva",
    "no-explanation": f"/{SLUG}/0/3",
    "unexplained": f"/{SLUG}/2/1",
    "flagged": f"/{SLUG}/0/18",
    "upheld": f"/{SLUG}/0/19",
    "kept-list": "/lists/1",
    "flag": "/flags/1",
    "resolved-flags": "/flags?state=resolved",
    "campaign": "/campaigns/2",
    "ended-campaign": "/campaigns/3",
    "campaign-rules": "/campaigns/2/rules",
    "figures": "/campaigns/3/figures",
    "report": "/campaigns/3/report",
    "statements": "/campaigns/2/statements",
    "draw": "/draws/4",
    "judged-item": "/items/4",
    "settled-item": "/items/9",
    "import": "/imports/1",
    "task": "/tasks/1",
    "inspection": "/subjects/new/3",
    "call": "/calls/1",
    "language-model": "/providers/1",
    "guide-lexical": "/guide/lexical",
}
"""Name and address of every kind of page that people with an account read."""
VISITORS = {
    "visitor-home": "/",
    "visitor-neuron": f"/{SLUG}/0/1",
    "login": "/login",
    "login-token": "/login?token=of-an-invitation",
}
"""What those without one read."""
REFUSED = {
    "not-found": "/none/such",
    "unknown-value": f"/{SLUG}?state=happy&doubt=grave",
    "not-logged-in": "/account",
    "not-set-up": "/embeddings",
}
"""Pages that say why there is nothing."""
WIDE: dict[str, Any] = {"viewport": {"width": 1440, "height": 900}}
NARROW: dict[str, Any] = {"viewport": {"width": 390, "height": 844}}
SMALLEST: dict[str, Any] = {"viewport": {"width": 360, "height": 740}}


def every_kind(page: Page) -> Iterator[str]:
    """Opens a page of every kind, in a browser that an administrator is logged in to; the kinds' names.

    The last ones are those of a visitor: the browser is logged out then.
    """
    yield from opened(page, PAGES)
    yield from reviewing(page)
    page.goto(PAGES["neuron"])
    page.goto(page.locator(".evidence details.x > a").first.get_attribute("href") or "")
    yield "excerpt"
    page.context.clear_cookies()
    yield from opened(page, VISITORS)
    yield from opened(page, REFUSED, refused=True)


def opened(page: Page, pages: dict[str, str], *, refused: bool = False) -> Iterator[str]:
    """Opens pages by their addresses."""
    for name, address in pages.items():
        response = page.goto(address)
        assert response is not None
        assert (response.status >= 400) == refused, f"{address}: {response.status}"
        if name == "atlas":
            page.wait_for_load_state("networkidle")  # its neurons are a file of their own
        yield name


def reviewing(page: Page) -> Iterator[str]:
    """An item of a blind campaign before its text is shown, and with it."""
    page.goto(PAGES["campaign"])
    page.get_by_role("button", name="Review the next item").click()
    expect(page.locator("#_item")).to_be_visible()
    yield "review"
    page.get_by_role("button", name="Show the explanation").click()
    expect(page.locator("#verdict")).to_be_visible()
    yield "review-text"
    page.get_by_role("button", name="Skip").click()
