"""Pages that change by themselves: updates that rest, focus that stays, words that say what was done."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, Request, Route, expect
from sqlalchemy import func, select, text, update

from app.db import transaction
from app.models import Neuron, Run, Subject
from app.queries.methods.definitions import newest_method
from app.work.enqueue import cancel_batch, enqueue_batch
from tests.browser.kinds import WIDE
from tests.browser.site import SLUG, Site

OpenPage = Callable[..., Page]
HIDE = "Object.defineProperty(document, 'hidden', {configurable: true, get: () => true})"
SHOW = "Object.defineProperty(document, 'hidden', {configurable: true, get: () => false})"


@pytest.fixture
def waiting(site: Site) -> Iterator[str]:
    """The address of a batch that no worker begins: it is due tomorrow."""
    with transaction(site.sessions) as session:
        subject = session.scalars(select(Subject).where(Subject.slug == SLUG)).one()
        chosen = select(Neuron.id).where(Neuron.subject_id == subject.id, Neuron.layer == 2, Neuron.index < 3)
        batch_id = enqueue_batch(
            session,
            subject_id=subject.id,
            neuron_ids=session.scalars(chosen).all(),
            method_id=newest_method(session, name="lexical").id,
            account_id=None,
        ).batch_id
        tomorrow = func.now() + text("interval '1 day'")
        session.execute(update(Run).where(Run.batch_id == batch_id).values(due_at=tomorrow))
    yield f"/batches/{batch_id}"
    with transaction(site.sessions) as session:
        cancel_batch(session, batch_id=batch_id, account_id=None)


def updates_of(page: Page) -> list[str]:
    """The addresses of the updates that a page requests, as they come."""
    found = list[str]()

    def note(request: Request) -> None:
        if request.headers.get("hx-request") == "true":
            found.append(request.url)

    page.on("request", note)
    return found


def run_until_updated(page: Page) -> None:
    """Lets one update come due, and waits for its answer.

    An update that is still waited for when the page's clock runs on would be given up as too late.
    """
    with page.expect_request_finished(lambda request: request.headers.get("hx-request") == "true"):
        page.clock.run_for(1_500)


def test_updates_rest_while_nobody_sees_the_page_and_when_they_are_paused(open_page: OpenPage, waiting: str) -> None:
    page = open_page("alice", **WIDE)
    page.clock.install()
    page.clock.pause_at(datetime.now(UTC) + timedelta(days=1))  # from here on it moves by the steps below alone
    page.goto(waiting)
    updates, pause = updates_of(page), page.locator("#pause")
    run_until_updated(page)
    assert len(updates) == 1
    page.evaluate(HIDE)
    page.clock.run_for(10_000)
    page.evaluate(SHOW)
    assert len(updates) == 1
    pause.click()
    expect(pause).to_have_text("Go on updating")
    page.clock.run_for(10_000)
    assert len(updates) == 1
    page.reload()
    page.clock.run_for(10_000)  # it stays paused in this tab
    assert len(updates) == 1
    page.locator("#pause").click()
    expect(page.locator("#pause")).to_have_text("Pause updates")
    run_until_updated(page)
    assert len(updates) == 2


def test_a_page_without_updates_offers_no_pause(open_page: OpenPage) -> None:
    page = open_page("alice", **WIDE)
    page.goto("/methods")
    expect(page.locator("#share")).to_be_visible()
    expect(page.locator("#pause")).to_be_hidden()


def test_the_progress_of_a_batch_is_announced(open_page: OpenPage, waiting: str) -> None:
    page = open_page("alice", **WIDE)
    page.goto(waiting)
    expect(page.get_by_role("status").filter(has_text="0 of 3 runs ended")).to_be_visible()


def test_focus_stays_on_the_heading_that_sorts(open_page: OpenPage) -> None:
    page = open_page("alice", **WIDE)
    page.goto(f"/{SLUG}?state=explained")
    heading = page.locator("#sort-score")
    heading.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**sort=-score**")
    expect(heading).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url("**sort=score**")
    expect(heading).to_be_focused()


WATCH_HEADING = """() => {
  window.headingsAtOnce = [];
  new MutationObserver(() => {
    const heading = document.getElementById("sort-score");
    if (heading) window.headingsAtOnce.push(heading.hasAttribute("data-htmx-powered"));
  }).observe(document.querySelector("main"), { childList: true, subtree: true });
}"""


def test_a_replaced_part_works_as_soon_as_it_stands_on_the_page(open_page: OpenPage) -> None:
    page = open_page("alice", **WIDE)
    page.goto(f"/{SLUG}?state=explained")
    page.evaluate(WATCH_HEADING)
    page.locator("#sort-score").click()
    page.wait_for_url("**sort=-score**")
    # A key pressed between would follow the plain link: the whole page is loaded, and the focus is lost.
    page.wait_for_function("window.headingsAtOnce.length > 0")
    assert page.evaluate("window.headingsAtOnce.every(Boolean)")


COUNT_FORMS = """document.addEventListener("DOMContentLoaded", () => {
  window.plainForms = document.querySelectorAll("[hx-post]:not([data-htmx-powered])").length;
});"""


def test_a_key_finds_forms_that_do_not_load_the_whole_page(open_page: OpenPage) -> None:
    page = open_page("alice", **WIDE)
    page.add_init_script(COUNT_FORMS)
    page.goto(f"/{SLUG}/0/5")
    assert page.locator("[hx-post]").count() > 0
    assert page.evaluate("window.plainForms") == 0


def test_what_a_press_did_is_said_in_a_region_that_stays_and_focus_is_kept(open_page: OpenPage) -> None:
    page = open_page("gina", **WIDE)
    said = page.locator("#said")
    page.goto(f"/{SLUG}/0/8")
    page.wait_for_load_state()
    page.keyboard.press("f")
    page.keyboard.press("4")
    expect(said).to_have_text("Flagged.")
    expect(page.get_by_role("button", name="1 Wrong")).to_be_focused()  # where the first key had put it
    page.goto(f"/{SLUG}/2/7")
    page.locator("#explain-summary").click()
    page.get_by_role("button", name="Queue", exact=True).click()
    expect(said).to_contain_text("Run")
    page.goto(f"/{SLUG}?state=explained")
    page.locator("#sort-score").click()
    page.wait_for_url("**sort=-score**")
    expect(said).to_contain_text("neurons match")


@pytest.mark.parametrize(("address", "value"), [(f"/{SLUG}", "explained"), ("/flags", "resolved")])
def test_a_choice_made_before_the_scripts_have_come_counts(open_page: OpenPage, address: str, value: str) -> None:
    page = open_page("alice", **WIDE)
    held: list[Route] = []
    page.route("**/vendor/htmx.min.js*", lambda route: held.append(route))
    page.goto(address, wait_until="commit")
    page.get_by_label("State", exact=True).select_option(value)
    assert f"state={value}" not in page.url
    for route in held:
        route.continue_()
    expect(page).to_have_url(re.compile(f"state={value}"))


def test_what_was_flagged_and_settled_is_said_where_it_was_done(open_page: OpenPage) -> None:
    page = open_page("flo", **WIDE)
    page.goto(f"/{SLUG}?state=explained&layer=0&sort=position")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("f")
    page.wait_for_url("**/flag?back=**")
    page.keyboard.press("2")
    page.wait_for_url(f"**/{SLUG}?**")
    expect(page.locator("#told")).to_contain_text("Flagged 0/1 as too broad.")
    bob = open_page("bob", role="reviewer", **WIDE)
    bob.goto("/flags?by=flo")
    card = bob.locator("article.flag")
    card.get_by_role("button", name="Reject").click()
    expect(card).to_contain_text("Rejected")
    expect(card).to_be_focused()
