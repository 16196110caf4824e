"""Two people settle a campaign by keyboard; what they disagree on goes to an adjudicator."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect
from sqlalchemy import select

from app.db import transaction
from app.domain.roles import Role
from app.models import Account, Explanation, ReviewItem, ReviewVerdict, Subject
from app.queries.neurons.selection import NeuronSelection
from app.queries.people.accounts import ensure_account
from app.queries.review.campaigns import CampaignRules
from app.queries.review.items import SampleWanted, create_campaign
from tests.browser.site import SLUG, Site

N_ITEMS = 20
QUESTION = "Does the explanation say what this neuron fires on?"


@pytest.fixture(scope="module")
def campaign_id(site: Site) -> int:
    """Twenty explanations, two verdicts each, the text at once: the guess is tested by itself."""
    return create(site, "Keyboard", N_ITEMS, asks_guess=False)


def create(site: Site, name: str, n: int, **rules: bool) -> int:
    with transaction(site.sessions) as session:
        subject = session.scalars(select(Subject).where(Subject.slug == SLUG)).one()
        account = ensure_account(session, name="alice", role=Role.ADMINISTRATOR)
        return create_campaign(
            session,
            name=name,
            subject_id=subject.id,
            rules=CampaignRules(QUESTION, "Judge by the excerpts.", **rules),  # type: ignore[arg-type]
            wanted=SampleWanted(NeuronSelection(subject.id), n),
            account_id=account.id,
            seed=4,
        )


def begin(page: Page, campaign_id: int) -> None:
    page.goto(f"/campaigns/{campaign_id}")
    page.wait_for_load_state("networkidle")
    page.keyboard.press("Enter")
    expect(page.locator("#_item")).to_be_visible()


def judge_all(page: Page, keys: Callable[[int], str]) -> None:
    """Judge what is left, each by one key and Enter."""
    for number in range(N_ITEMS):
        slot = page.locator("#_item").get_attribute("data-slot")
        page.keyboard.press(keys(number))
        expect(page.locator("#verdict :checked[name=kind]")).to_have_count(1)
        page.keyboard.press("Enter")
        expect(page.locator(f'#_item[data-slot="{slot}"]')).to_have_count(0)
        if page.locator(".review-done").count():
            return


def test_two_people_settle_a_campaign_and_one_disagreement_is_adjudicated(
    site: Site, open_page: Callable[..., Page], campaign_id: int
) -> None:
    bob, dora = open_page("bob", role=Role.REVIEWER), open_page("dora", role=Role.ADJUDICATOR)
    for page in (bob, dora):
        begin(page, campaign_id)
    judge_all(bob, lambda number: "1")
    expect(bob.locator(".review-done")).to_contain_text("20 of the 20 items")
    judge_all(dora, lambda number: "5" if number == 0 else "1")
    dora.goto(f"/campaigns/{campaign_id}")
    expect(dora.locator("#_progress")).to_contain_text(re.compile(r"Settled\s+19"))
    expect(dora.locator("#_progress")).to_contain_text(re.compile(r"Disputed\s+1"))

    erik = open_page("erik", role=Role.REVIEWER)
    begin(erik, campaign_id)
    judge_all(erik, lambda number: "2")  # neither of the two
    expect(erik.locator(".review-done")).to_be_visible()
    dora.reload()
    dora.wait_for_load_state("networkidle")
    dora.keyboard.press("Enter")
    expect(dora.locator(".review-done")).to_be_visible()  # may adjudicate, but has judged this item
    carol = open_page("carol", role=Role.ADMINISTRATOR)
    begin(carol, campaign_id)
    expect(carol.locator("#_item")).to_contain_text("you adjudicate")
    judge_all(carol, lambda number: "5")
    carol.keyboard.press("Enter")
    expect(carol.locator("#_progress")).to_contain_text(re.compile(r"Settled\s+20"))
    with transaction(site.sessions) as session:
        outcomes = session.scalars(select(ReviewItem.outcome).where(ReviewItem.campaign_id == campaign_id)).all()
        assert sorted(str(o) for o in outcomes) == ["fails"] + ["holds"] * 19
        assert session.scalar(select(Account.id).where(Account.name == "carol")) is not None


def test_evidence_first_then_a_guess_then_the_text_all_by_keyboard(site: Site, open_page: Callable[..., Page]) -> None:
    page = open_page("bob", role=Role.REVIEWER)
    begin(page, create(site, "Guess first", 3))
    item = page.locator("#_item")
    expect(item.locator(".evidence .rows").first).to_be_visible()
    expect(item.locator(".judgement .text")).to_have_count(0)
    page.keyboard.press("n")
    page.keyboard.type("words about classes")
    page.keyboard.press("Control+Enter")
    expect(item.locator(".judgement .text")).to_contain_text("fires")
    expect(item.locator(".guessed")).to_contain_text("words about classes")
    page.keyboard.press("j")
    expect(page.locator(".evidence summary").first).to_be_focused()
    page.keyboard.press("j")
    page.keyboard.press("k")
    expect(page.locator(".evidence summary").first).to_be_focused()
    page.keyboard.press("f")
    expect(page.locator("#verdict [name=flag]")).to_be_checked()
    page.keyboard.press("f")
    expect(page.locator("#verdict [name=flag]")).not_to_be_checked()
    page.keyboard.press("3")
    page.keyboard.press("n")
    page.keyboard.type("misses some")
    page.keyboard.press("Escape")
    page.keyboard.press("Enter")
    expect(page.locator("#_last")).to_contain_text("too narrow")
    page.keyboard.press("u")
    expect(page.locator("#note")).to_have_value("misses some")
    expect(page.locator('#verdict [value="too_narrow"]')).to_be_checked()
    slot = page.locator("#_item").get_attribute("data-slot")
    page.keyboard.press("s")
    expect(page.locator(f'#_item[data-slot="{slot}"]')).to_have_count(0)


def test_keys_compare_with_other_explanations_and_reach_the_neighbours_where_nothing_is_hidden(
    site: Site, open_page: Callable[..., Page]
) -> None:
    campaign = create(site, "Open", 2, asks_guess=False, is_blind=False)
    with transaction(site.sessions) as session:
        items = select(Explanation).join(ReviewItem, ReviewItem.explanation_id == Explanation.id)
        for explanation in session.scalars(items.where(ReviewItem.campaign_id == campaign)):
            own = Explanation(neuron_id=explanation.neuron_id, text="fires on joy", author_kind="person", author="dora")
            session.add(own)
    page = open_page("bob", role=Role.REVIEWER)
    begin(page, campaign)
    others = page.locator(".others")
    expect(others).not_to_be_visible()
    page.keyboard.press("c")
    expect(others).to_contain_text("fires on joy")
    page.keyboard.press("]")
    page.wait_for_url(re.compile(rf"/{SLUG}/\d+/\d+"))
    page.keyboard.press("/")
    expect(page.locator("#go")).to_be_focused()


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


VERDICT = "**/verdict?ahead=yes"
LOADED_AHEAD = "**/next?besides=*"


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
    assert judged_slots(site, campaign) == ([first, second] if key == "Enter" else [first])
    assert shown_slot(page) not in (first, second)
    expect(page.locator("#messages")).to_be_empty()


def test_undo_while_a_verdict_is_on_its_way_undoes_that_one(open_page: Callable[..., Page], site: Site) -> None:
    page = open_page("bob", role=Role.REVIEWER)
    begin(page, create(site, "Slow undo", 6, asks_guess=False))
    page.wait_for_load_state("networkidle")
    slow = Slow(page)
    second = slow.judge("1")
    with page.expect_response(LOADED_AHEAD):
        slow.let_through()
    page.evaluate("() => new Promise(requestAnimationFrame)")  # the response is read
    slow.judge("1")
    page.keyboard.press("u")  # the form that is shown is about the first verdict
    slow.let_through()
    expect(page.locator("#_item")).to_have_attribute("data-slot", second)


CUT = """() => {
    const send = window.fetch;
    window.fetch = (address, options) => address.includes("/verdict?ahead=yes")
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
    with page.expect_response(LOADED_AHEAD):
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


def test_the_sheet_lists_what_works_on_the_page_and_nothing_else(open_page: Callable[..., Page], site: Site) -> None:
    page = open_page("bob", role=Role.REVIEWER)
    begin(page, create(site, "Sheet", 2, asks_guess=False))
    sheet = page.get_by_role("dialog", name="Keys of this page")
    page.keyboard.press("?")
    for name in ("Holds", "Submit and next", "Skip", "Next and previous excerpt", "Write a note", "Flag it too"):
        expect(sheet.locator("dd").get_by_text(name, exact=True)).to_be_visible()
    expect(sheet.get_by_text("next neuron")).to_have_count(0)  # a blind campaign names no neuron
    page.keyboard.press("Escape")
    page.goto("/campaigns")
    page.keyboard.press("?")
    expect(sheet.get_by_text("This sheet")).to_be_visible()
    for name in ("Next and previous excerpt", "Submit and next"):
        expect(sheet.get_by_text(name)).to_have_count(0)


def test_keys_choose_a_verdict_after_another_was_clicked(open_page: Callable[..., Page], site: Site) -> None:
    page = open_page("bob", role=Role.REVIEWER)
    begin(page, create(site, "Clicked", 2, asks_guess=False))
    page.locator("label.choice.holds").click()
    page.keyboard.press("5")
    expect(page.locator('#verdict [value="wrong"]')).to_be_checked()


def test_a_campaign_is_judged_without_scripts(open_page: Callable[..., Page], site: Site) -> None:
    page = open_page("bob", role=Role.REVIEWER, java_script_enabled=False)
    page.goto(f"/campaigns/{create(site, 'Plain', 2)}")
    page.get_by_role("button", name=re.compile("Review the next item")).click()
    page.get_by_role("button", name=re.compile("Show the explanation")).click()
    page.locator("label.choice.holds").click()
    page.get_by_role("button", name=re.compile("Submit and next")).click()
    expect(page.locator(".own-progress")).to_contain_text("1 of 2 items")


WIDE = {"width": 1440, "height": 900}
NARROW = {"width": 390, "height": 844}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "viewport"), [("wide", WIDE), ("narrow", NARROW)])
def test_pictures_of_reviewing_are_taken(
    open_page: Callable[..., Page], site: Site, pictures: Path, scheme: str, width: str, viewport: dict[str, int]
) -> None:
    page = open_page("alice", color_scheme=scheme, viewport=viewport, has_touch=width == "narrow")
    campaign = create(site, f"Pictures {scheme} {width}", 8)

    def picture(name: str) -> None:
        page.screenshot(path=f"{pictures}/{name}-{scheme}-{width}.png")
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), name

    page.goto("/campaigns")
    picture("campaigns")
    page.goto(f"/campaigns/new?subject={SLUG}")
    picture("campaign-new")
    begin(page, campaign)
    picture("review-evidence")
    page.keyboard.press("Enter")
    expect(page.locator(".judgement .text")).to_be_visible()
    page.locator("label.choice.partly").first.click()
    picture("review-verdict")
    page.keyboard.press("Enter")
    expect(page.locator("#_last")).to_contain_text("undo")
    page.goto(f"/campaigns/{campaign}")
    picture("campaign")
    page.goto("/review/verdicts")
    picture("verdicts")
    page.goto("/")
    picture("home-audit")
