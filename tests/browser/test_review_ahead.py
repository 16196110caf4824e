"""The next item is loaded ahead: what is sent while a verdict is under way, and what if it is not stored."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect
from sqlalchemy import select

from app.db import transaction
from app.domain.roles import Role
from app.models import ReviewVerdict
from tests.browser.site import Site
from tests.browser.test_review import begin, create


def test_a_verdict_shows_the_next_item_at_once(open_page: Callable[..., Page], site: Site, pictures: Path) -> None:
    """The next item was loaded ahead; nothing is asked of the server before it is there."""
    page = open_page("bob", role=Role.REVIEWER)
    begin(page, create(site, "Ahead", 6, asks_guess=False))
    shown = []
    for _ in range(4):
        page.wait_for_load_state("networkidle")
        slot = page.locator("#_item").get_attribute("data-slot")
        page.keyboard.press("1")
        shown.append(
            page.evaluate(
                """async (slot) => {
                    const start = performance.now();
                    document.querySelector("#verdict [data-enter]").click();
                    while (document.querySelector("#_item").dataset.slot === slot)
                        await new Promise(requestAnimationFrame);
                    return performance.now() - start;
                }""",
                slot,
            )
        )
        assert page.locator("#_item").get_attribute("data-slot") != slot
    (pictures / "verdict-to-next-ms.txt").write_text(" ".join(f"{ms:.0f}" for ms in shown))


@pytest.mark.parametrize("is_first", [True, False], ids=["renewed first", "sent first"])
def test_a_renewal_at_the_moment_of_the_verdict_is_no_message(
    open_page: Callable[..., Page], site: Site, is_first: bool
) -> None:
    """Whichever goes first: no response of it is an error, which the browser's console would show."""
    page = open_page("bob", role=Role.REVIEWER)
    begin(page, create(site, f"Renewed {is_first}", 4, asks_guess=False))
    for _ in range(3):
        page.wait_for_load_state("networkidle")
        slot = page.locator("#_item").get_attribute("data-slot")
        page.keyboard.press("1")
        page.evaluate(
            """(isFirst) => {
                const renew = () => htmx.trigger(document.querySelector("[hx-post$='/renew']"), "every");
                if (isFirst) renew();
                document.querySelector("#verdict [data-enter]").click();
                if (!isFirst && document.querySelector("#verdict")) renew();
            }""",
            is_first,
        )
        expect(page.locator(f'#_item[data-slot="{slot}"]')).to_have_count(0)


def shown_slot(page: Page) -> str:
    return str(page.locator("#_item").get_attribute("data-slot"))


def judged_slots(site: Site, campaign_id: int) -> list[str]:
    with transaction(site.sessions) as session:
        given = select(ReviewVerdict.slot_id).where(ReviewVerdict.campaign_id == campaign_id)
        return [str(slot_id) for slot_id in session.scalars(given.order_by(ReviewVerdict.id))]


VERDICT = "**/verdict?ahead=*"


def test_the_response_to_a_verdict_brings_the_progress_and_the_item_after_the_next(
    open_page: Callable[..., Page], site: Site
) -> None:
    page = open_page("bob", role=Role.REVIEWER)
    begin(page, create(site, "One request", 6, asks_guess=False))
    page.wait_for_load_state("networkidle")
    sent = list[str]()
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    shown = [shown_slot(page)]
    for number in range(1, 4):
        with page.expect_response(VERDICT):
            page.keyboard.press("1")
            page.keyboard.press("Enter")
        expect(page.locator(".own-progress")).to_contain_text(f"{number} of 6 items")
        shown.append(shown_slot(page))
    assert len(set(shown)) == 4
    assert [url.partition("?")[0].rpartition("/")[2] for url in sent] == ["verdict"] * 3


class Slow:
    """Verdicts on their way: a verdict that shows the next item at once goes to the server when it is let through."""

    def __init__(self, page: Page) -> None:
        self.page, self.held = page, list[Route]()
        page.route(VERDICT, lambda route: self.held.append(route))

    def judge(self, key: str) -> str:
        """Send a verdict; returns the slot whose item is shown now."""
        before = shown_slot(self.page)
        with self.page.expect_request(VERDICT):
            self.page.keyboard.press(key)
            self.page.keyboard.press("Enter")
        expect(self.page.locator(f'#_item[data-slot="{before}"]')).to_have_count(0)
        return shown_slot(self.page)

    def let_through(self) -> None:
        while not self.held:  # the request was seen: it is about to be handed over
            self.page.wait_for_timeout(10)
        self.held.pop().continue_()


@pytest.mark.parametrize("key", ["Enter", "s"], ids=["verdict", "skip"])
def test_what_is_sent_while_a_verdict_is_on_its_way_waits_for_it(
    open_page: Callable[..., Page], site: Site, key: str
) -> None:
    """Overtaken by the next request, the item of the slow verdict would still be held, and be handed out again."""
    page = open_page("bob", role=Role.REVIEWER)
    campaign = create(site, f"Slow {key}", 6, asks_guess=False)
    begin(page, campaign)
    page.wait_for_load_state("networkidle")
    slow, first, sent = Slow(page), shown_slot(page), list[str]()
    page.on("request", lambda request: sent.append(request.url.rpartition("/review/")[2]))
    second = slow.judge("1")
    page.keyboard.press("2")
    page.keyboard.press(key)
    page.evaluate("fetch('/health')")  # sent after what the key has sent
    assert [each for each in sent if each.startswith(f"{second}/")] == []
    slow.let_through()
    expect(page.locator(f'#_item[data-slot="{second}"]')).to_have_count(0)
    if key == "Enter":
        with page.expect_response(VERDICT):
            slow.let_through()
    assert judged_slots(site, campaign) == ([first, second] if key == "Enter" else [first])
    assert shown_slot(page) not in (first, second)
    expect(page.locator("#messages")).to_be_empty()


def test_undo_while_a_verdict_is_on_its_way_undoes_that_one(open_page: Callable[..., Page], site: Site) -> None:
    page = open_page("bob", role=Role.REVIEWER)
    begin(page, create(site, "Slow undo", 6, asks_guess=False))
    page.wait_for_load_state("networkidle")
    slow = Slow(page)
    second = slow.judge("1")
    with page.expect_response(VERDICT):
        slow.let_through()
    page.evaluate("() => new Promise(requestAnimationFrame)")  # the response is read
    slow.judge("1")
    page.keyboard.press("u")  # the form that is shown is about the first verdict
    slow.let_through()
    expect(page.locator("#_item")).to_have_attribute("data-slot", second)


CUT = """() => {
    const send = window.fetch;
    window.fetch = (address, options) => address.includes("/verdict?ahead=")
        ? new Promise((_, reject) => { window.cut = () => { window.fetch = send; reject(new TypeError("cut")); }; })
        : send(address, options);
}"""


def test_a_verdict_that_could_not_be_sent_is_on_the_page_again(open_page: Callable[..., Page], site: Site) -> None:
    page = open_page("bob", role=Role.REVIEWER)
    campaign = create(site, "Cut off", 6, asks_guess=False)
    begin(page, campaign)
    page.wait_for_load_state("networkidle")
    first = shown_slot(page)
    page.evaluate(CUT)
    for key, note in (("1", "kept"), ("2", "kept as well")):
        page.keyboard.press(key)
        page.locator("#note").fill(note)
        page.keyboard.press("Control+Enter")
        expect(page.locator(f'#_item[data-slot="{first}"]')).to_have_count(0)
    page.evaluate("window.cut()")
    expect(page.locator("#messages")).to_contain_text("could not be sent")
    expect(page.locator("#note")).to_have_value("kept")
    assert shown_slot(page) == first
    with page.expect_response(VERDICT):
        page.locator("#note").press("Control+Enter")
        expect(page.locator("#note")).to_have_value("kept as well")
    assert judged_slots(site, campaign) == [first]
    expect(page.locator("#messages")).to_be_empty()


def test_a_verdict_whose_response_was_lost_is_sent_again_without_harm(
    open_page: Callable[..., Page], site: Site
) -> None:
    page, other = open_page("bob", role=Role.REVIEWER), open_page("bob", role=Role.REVIEWER)
    campaign = create(site, "Twice", 6, asks_guess=False)
    begin(page, campaign)
    begin(other, campaign)
    slot = shown_slot(page)
    assert shown_slot(other) == slot
    for window in (page, other):
        window.wait_for_load_state("networkidle")
        with window.expect_response(VERDICT):
            window.keyboard.press("1")
            window.keyboard.press("Enter")
        expect(window.locator(f'#_item[data-slot="{slot}"]')).to_have_count(0)
        expect(window.locator("#messages")).to_be_empty()
    assert judged_slots(site, campaign) == [slot]
