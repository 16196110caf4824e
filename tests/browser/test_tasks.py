"""What people come for, done as they do it: none of it takes more than six clicks or keys.

Every click and every key counts, words that are typed as one. Each test begins on the first page, or where the task
itself says.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect
from sqlalchemy import select

from app.db import transaction
from app.formats.tables import TableFormat, read_table
from app.models import Account, Flag, ReviewItem
from app.queries.review.flags import resolve_flag
from app.queries.review.taking import Reviewer
from app.web.pages.neuron_files import NeuronLine
from tests.browser.kinds import WIDE
from tests.browser.site import SLUG, Site

MOST = 6
OpenPage = Callable[..., Page]


class Hand:
    """One hand, whose clicks and keys are counted."""

    def __init__(self, page: Page) -> None:
        self.page, self.n = page, 0

    def click(self, what: Locator) -> None:
        self.n += 1
        what.click()

    def press(self, key: str) -> None:
        self.n += 1
        self.page.keyboard.press(key)

    def write(self, where: Locator, words: str) -> None:
        """Words count as one."""
        self.n += 1
        where.fill(words)

    def choose(self, where: Locator, value: str) -> None:
        self.n += 1
        where.select_option(value)


@pytest.fixture
def hand(open_page: OpenPage) -> Iterator[Hand]:
    """Alice's, on the first page."""
    page = open_page("alice", **WIDE)
    page.goto("/")
    hand = Hand(page)
    yield hand
    assert 0 < hand.n <= MOST, f"{hand.n} clicks and keys"


def main(hand: Hand) -> Locator:
    return hand.page.get_by_role("main")


def test_find_neurons_about_exceptions(hand: Hand) -> None:
    hand.press("/")
    hand.write(hand.page.locator("#go"), "exception or error or raise")
    hand.press("Enter")
    expect(hand.page).to_have_url(re.compile("/search.*words=exception"))
    expect(hand.page.locator(".matches")).to_contain_text("match")


def test_the_worst_explanations_that_score_high(hand: Hand) -> None:
    ways = hand.page.get_by_role("navigation", name="Ways into Standard-library")
    hand.click(ways.get_by_role("link", name="Audit the doubtful"))
    expect(hand.page).to_have_url(re.compile("state=doubtful.*sort=-score"))
    rows = hand.page.locator("table.neurons tbody tr")
    expect(rows.first.locator(".verdict-line.doubtful")).to_be_visible()


def test_those_that_do_not_beat_the_token_table(hand: Hand) -> None:
    hand.click(main(hand).get_by_role("link", name=re.compile("does not beat its token table")))
    expect(hand.page).to_have_url(re.compile("margin_max=0"))
    margins = hand.page.locator('td[data-label="over tokens"]')
    expect(margins.first).to_be_visible()
    assert not [words for words in margins.all_inner_texts() if words.strip().startswith("+")]


def test_flag_three_bad_ones(hand: Hand, site: Site) -> None:
    hand.page.goto(f"/{SLUG}?state=explained&sort=score&layer=0")
    before = n_flags(site)
    hand.click(hand.page.locator("table.neurons tbody .place a").first)
    hand.page.wait_for_load_state()  # keys are read once the page's script runs
    hand.press("f")
    hand.click(hand.page.get_by_label("Flag and go to the next neuron"))
    for reason in ("1", "2", "1"):
        here = re.compile(re.escape(hand.page.url))
        hand.press(reason)
        expect(hand.page).not_to_have_url(here)
        hand.page.wait_for_load_state()
    assert n_flags(site) == before + 3


def n_flags(site: Site, name: str = "alice") -> int:
    with transaction(site.sessions) as session:
        own = select(Flag.id).join(Account, Account.id == Flag.account_id).where(Account.name == name)
        return len(session.scalars(own).all())


def flag_by_key(page: Page) -> None:
    """Flags the explanation of a neuron's page as wrong."""
    page.wait_for_load_state()
    page.keyboard.press("f")
    page.keyboard.press("1")
    told = page.locator("#_flags .told, #told")  # the latter where the key came before htmx was ready
    expect(told.filter(has_text="Flagged.").first).to_be_visible()


def test_see_what_became_of_my_flags(open_page: OpenPage, site: Site) -> None:
    page = open_page("flora", **WIDE)
    page.goto(f"/{SLUG}?state=explained&sort=position&layer=0")
    page.locator("table.neurons tbody .place a").nth(9).click()
    flag_by_key(page)
    uphold(site, "flora")
    hand = Hand(page)
    page.goto("/")
    expect(page.locator(".who .count")).to_contain_text("1")
    with page.expect_response("**/mine/seen"):  # two seconds after the page is open
        hand.click(page.locator(".who").get_by_role("link", name=re.compile("Mine")))
    expect(page.locator(".news")).to_contain_text("was upheld")
    expect(page.locator(".consequence").first).to_be_visible()
    page.goto("/")
    expect(page.locator(".who .count")).to_have_count(0)
    assert hand.n == 1


def uphold(site: Site, name: str) -> None:
    """As a reviewer does it."""
    with transaction(site.sessions) as session:
        flag_id = session.scalars(
            select(Flag.id).join(Account, Account.id == Flag.account_id).where(Account.name == name)
        ).one()
        judge = Account(name=f"who judges {name}", role="reviewer")
        session.add(judge)
        session.flush()
        resolve_flag(session, flag_id=flag_id, reviewer=Reviewer(judge.id), kind="wrong", note="")
        assert session.scalars(select(ReviewItem.state).join(Flag, Flag.item_id == ReviewItem.id)).first()


def test_queue_layer_3_below_a_score_and_watch_before_and_after(hand: Hand) -> None:
    page = hand.page
    page.goto(f"/{SLUG}?layer=0&headline_max=0.4")
    hand.click(page.get_by_role("checkbox", name=re.compile("select all .* that match")))
    hand.click(page.get_by_role("button", name=re.compile("Queue again")))
    hand.click(main(hand).get_by_role("button", name=re.compile("^Queue")))
    expect(page).to_have_url(re.compile(r"/batches/\d+$"))
    expect(page.get_by_role("heading", level=1)).to_have_text("Layer 0, whole-corpus score at most 0.4")
    expect(page.locator("#_progress")).to_contain_text("Ended", timeout=120_000)
    expect(page.get_by_role("img", name=re.compile(r"\d+ the same"))).to_be_visible()
    expect(page.locator(".runs tbody tr").first).to_contain_text("same as before")
    hand.click(page.get_by_role("link", name="Difference"))
    expect(page).to_have_url(re.compile("sort=-difference"))
    expect(page.locator("#by-difference")).to_be_focused()


def test_which_neurons_did_i_look_at(hand: Hand) -> None:
    for index in (3, 4):
        hand.page.goto(f"/{SLUG}/0/{index}")
    hand.click(hand.page.locator(".brand"))
    visits = hand.page.locator(".visits a")
    expect(visits.nth(0)).to_have_attribute("href", f"/{SLUG}/0/4")
    hand.click(visits.nth(1))
    expect(hand.page).to_have_url(re.compile("/0/3$"))


def test_share_what_i_see(hand: Hand, open_page: OpenPage) -> None:
    page = hand.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"/{SLUG}?state=explained&sort=score")
    hand.click(page.locator("table.neurons tbody .place a").nth(2))
    page.wait_for_load_state()
    expect(page.locator(".trail")).to_contain_text("3 of")
    words, place = page.locator("#_claim .text").inner_text(), page.locator(".trail").inner_text()
    hand.click(page.get_by_role("button", name="Copy the address"))
    expect(page.get_by_role("button", name="Address copied")).to_be_visible()
    other = open_page(**WIDE)
    other.goto(page.evaluate("navigator.clipboard.readText()"))
    assert other.locator("#_claim .text").inner_text() == words
    assert other.locator(".trail").inner_text() == place


@pytest.mark.parametrize("format", TableFormat)
def test_export_all_that_match(hand: Hand, format: TableFormat) -> None:
    page = hand.page
    hand.click(main(hand).get_by_role("link", name="Standard-library GPT-2").first)
    hand.choose(page.get_by_label("State"), "explained")
    expect(page).to_have_url(re.compile("state=explained"))
    shown = page.locator("table.neurons tbody .place a").all_inner_texts()
    n_matches = int(page.locator(".matches b").inner_text().replace(",", ""))
    lines = downloaded(hand, page.get_by_role("link", name=format.label, exact=True), format)
    assert len(lines) == n_matches
    assert places(lines[: len(shown)]) == shown
    assert None not in {line.explanation for line in lines}


@pytest.mark.parametrize("format", TableFormat)
def test_export_a_list_of_neurons_with_its_notes(hand: Hand, format: TableFormat) -> None:
    page = hand.page
    hand.click(page.get_by_role("navigation", name="Site").get_by_role("link", name="Lists"))
    hand.click(main(hand).get_by_role("link", name="Brackets and imports"))
    shown = page.locator("table.listed tbody .place a").all_inner_texts()
    notes = [field.input_value() or None for field in page.locator("table.listed tbody input[name=note]").all()]
    lines = downloaded(hand, page.get_by_role("link", name=format.label, exact=True), format)
    assert places(lines) == shown
    assert [line.note for line in lines] == notes
    assert any(notes)


def downloaded(hand: Hand, link: Locator, format: TableFormat) -> list[NeuronLine]:
    """The file behind a link, read back."""
    with hand.page.expect_download() as waiting:
        hand.click(link)
    assert waiting.value.suggested_filename == f"{SLUG}-neurons.{format}"
    return read_table(Path(waiting.value.path()).read_bytes(), NeuronLine, format=format)


def places(lines: Sequence[NeuronLine]) -> list[str]:
    """As lists name neurons."""
    return [f"{line.layer}/{line.index}" for line in lines]


def test_know_what_the_score_means(hand: Hand) -> None:
    page = hand.page
    page.goto(f"/{SLUG}/0/1")
    expect(page.locator("#_claim .verdict-line").first).to_be_visible()  # the meaning stands below the number
    term = page.locator("#_claim .term").first
    hand.click(term)
    expect(page.locator(":popover-open")).to_be_visible()
    page.keyboard.press("Escape")
    hand.click(page.get_by_role("navigation", name="Site").get_by_role("link", name="Guide"))
    hand.click(main(hand).get_by_role("link", name=re.compile("read a score", re.IGNORECASE)).first)
    expect(page.get_by_role("heading", level=1)).to_contain_text(re.compile("score", re.IGNORECASE))


def test_compare_two_neurons(hand: Hand) -> None:
    page = hand.page
    page.goto(f"/{SLUG}/0/1")
    hand.press("c")
    hand.write(page.get_by_label("Compare with neuron"), "0/2")
    hand.press("Enter")
    expect(page).to_have_url(re.compile(r"compare\?against=0(/|%2F)2$"))
    expect(page.get_by_role("heading", level=1)).to_contain_text("compared with another neuron")


def test_find_neurons_like_one(hand: Hand) -> None:
    page = hand.page
    page.goto(f"/{SLUG}/0/1")
    hand.click(page.get_by_role("link", name="Neurons like this one"))
    rows = page.locator("table.neurons tbody tr")
    expect(rows.first.locator('td[data-label="top excerpts"]')).to_contain_text(re.compile(r"\d+ of \d+"))
    hand.click(rows.first.locator(".place a"))
    expect(page.locator("#_claim")).to_be_visible()


def test_which_neurons_fire_on_import(hand: Hand) -> None:
    page = hand.page
    hand.click(main(hand).get_by_role("link", name="Standard-library GPT-2").first)
    hand.click(page.get_by_role("link", name="Which neurons fire on a text?"))
    hand.write(page.get_by_label("A text"), " import")
    hand.click(page.get_by_role("button", name="Find them"))
    rows = page.locator("table.firing tbody tr")
    expect(rows.first.locator("code")).to_contain_text("import")
    expect(rows.first.locator("td").nth(1)).to_contain_text("%")


def test_what_was_queued_is_announced_and_a_rejected_text_queued_again(open_page: OpenPage, site: Site) -> None:
    page = open_page("quentin", **WIDE)
    page.goto(f"/{SLUG}?state=explained&sort=position&layer=0")
    page.locator("table.neurons tbody .place a").nth(12).click()
    flag_by_key(page)
    uphold(site, "quentin")
    hand = Hand(page)
    page.goto("/flags?state=resolved")
    hand.click(page.get_by_role("button", name="Queue the neuron again").first)
    expect(page.locator("#told")).to_contain_text("Queued.")
    expect(page.locator("#_progress")).to_contain_text("Run")
    page.goto(f"/{SLUG}?layer=1&sort=position")
    hand.click(page.locator('table.neurons tbody input[name="neuron"]').first)
    hand.click(page.get_by_role("button", name=re.compile("Queue again")))
    hand.click(main(hand).get_by_role("button", name=re.compile("^Queue")))
    expect(page.get_by_role("status").filter(has_text="Queued one run.")).to_be_visible()
    assert hand.n <= MOST
