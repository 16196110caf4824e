"""Two people settle a campaign by keyboard; what they disagree on goes to an adjudicator."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import select

from app.db import transaction
from app.domain.review import VerdictKind
from app.domain.roles import Role
from app.models import Account, Explanation, ReviewItem, Subject
from app.queries.neurons.selection import NeuronSelection
from app.queries.people.accounts import ensure_account
from app.queries.review.campaigns import CampaignRules
from app.queries.review.items import SampleWanted, create_campaign
from tests.browser.site import SLUG, Site

N_ITEMS = 20
WIDE = {"width": 1440, "height": 900}
NARROW = {"width": 390, "height": 844}
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
            rules=CampaignRules(QUESTION, "Judge by the excerpts.", **rules),  # type: ignore[arg-type]  # rules of several types
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


def test_the_keys_1_to_8_choose_the_eight_verdicts(open_page: Callable[..., Page], site: Site) -> None:
    page = open_page("bob", role=Role.REVIEWER)
    begin(page, create(site, "Eight keys", 2, asks_guess=False))
    for kind in VerdictKind:
        page.keyboard.press(kind.key)
        expect(page.locator("#verdict :checked[name=kind]")).to_have_value(kind.value)


def test_items_are_judged_and_undone_by_touch_on_a_narrow_screen(open_page: Callable[..., Page], site: Site) -> None:
    page = open_page("bob", role=Role.REVIEWER, viewport=NARROW, has_touch=True)
    page.goto(f"/campaigns/{create(site, 'Touch', 4)}")
    page.get_by_role("button", name=re.compile("Review the next item")).tap()
    for number in (1, 2):
        page.get_by_role("button", name=re.compile("Show the explanation")).tap()
        page.locator("label.choice.partly").first.tap()
        page.get_by_role("button", name=re.compile("Submit and next")).tap()
        expect(page.locator(".own-progress")).to_contain_text(f"{number} of 4 items")
    page.locator("#_last").get_by_role("button", name=re.compile("undo")).tap()
    expect(page.locator('#verdict [value="too_broad"]')).to_be_checked()
    expect(page.locator(".own-progress")).to_contain_text("1 of 4 items")


def test_a_campaign_is_judged_without_scripts(open_page: Callable[..., Page], site: Site) -> None:
    page = open_page("bob", role=Role.REVIEWER, java_script_enabled=False)
    page.goto(f"/campaigns/{create(site, 'Plain', 2)}")
    page.get_by_role("button", name=re.compile("Review the next item")).click()
    page.get_by_role("button", name=re.compile("Show the explanation")).click()
    page.locator("label.choice.holds").click()
    page.get_by_role("button", name=re.compile("Submit and next")).click()
    expect(page.locator(".own-progress")).to_contain_text("1 of 2 items")


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
