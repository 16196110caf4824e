"""A person's own explanation, and a text tried on the live subject."""

from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.browser.site import SLUG

SECONDS = 120_000
"""A guard, in milliseconds; the first text waits until the subject is loaded."""


def test_a_persons_explanation_is_scored_and_compared(open_page: Callable[..., Page]) -> None:
    page = open_page("alice")
    page.goto(f"/{SLUG}/0/5")
    page.locator("#_own > summary").click()
    page.get_by_label("What does this neuron fire on?").fill('fires strongly on " self", weakly on digits')
    before = page.locator("#_progress").inner_text()
    page.get_by_role("button", name="Score it").click()

    expect(page.locator("#_progress")).not_to_have_text(before)  # the last run's, which succeeded too
    expect(page.locator("#_progress")).to_contain_text("succeeded", timeout=SECONDS)
    page.goto(f"/{SLUG}/0/5")
    page.get_by_role("link", name="Compare", exact=True).click()
    expect(page.locator("table.compare thead").first).to_contain_text("alice")
    expect(page.locator("table.compare ins").first).to_be_visible()
    expect(page.locator(".evidence details.x .under").first).to_be_visible()


def test_a_text_that_cannot_be_simulated_shows_why_it_has_no_score(open_page: Callable[..., Page]) -> None:
    page = open_page("alice")
    page.goto(f"/{SLUG}/0/6")
    page.locator("#_own > summary").click()
    page.get_by_label("What does this neuron fire on?").fill("a feeling of joy")
    page.get_by_role("button", name="Score it").click()
    expect(page.locator("#_progress")).to_contain_text("can be read", timeout=SECONDS)


def test_a_text_is_answered_while_a_person_waits(open_page: Callable[..., Page]) -> None:
    page = open_page("charlie", role="viewer")
    page.goto(f"/{SLUG}/0/7")
    page.get_by_role("link", name="Try a text").click()
    page.get_by_label("A text that this neuron may fire on").fill("    return self.name")
    page.get_by_role("button", name="Run it").click()
    expect(page.locator("#_trial h2")).to_contain_text("Live", timeout=SECONDS)
    expect(page.locator("#_trial").get_by_role("rowheader").first).to_be_visible()


def test_a_text_is_answered_without_javascript(open_page: Callable[..., Page]) -> None:
    page = open_page("charlie", role="viewer", java_script_enabled=False)
    page.goto(f"/{SLUG}/0/7/try")
    page.get_by_label("A text that this neuron may fire on").fill("    return self.name")
    page.get_by_role("button", name="Run it").click()
    for _ in range(100):
        if page.locator("#_trial h2").count():
            break
        page.get_by_role("link", name="Look again").click()
    expect(page.locator("#_trial h2")).to_contain_text("Live")
    assert page.get_by_label("A text that this neuron may fire on").input_value() == "    return self.name"
