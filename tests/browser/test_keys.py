"""Keys, the field in the bar, the theme and the page on paper."""

from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.browser.kinds import WIDE
from tests.browser.site import SLUG

NEURON = f"/{SLUG}/0/7"
"""One that no other test flags."""
FLAGGED = f"/{SLUG}/0/6"


def test_a_neuron_is_flagged_with_two_keys(open_page: Callable[..., Page]) -> None:
    page = open_page("alice", **WIDE)
    page.goto(FLAGGED)
    page.keyboard.press("f")
    expect(page.get_by_role("button", name="1 Wrong")).to_be_focused()
    page.keyboard.press("3")
    expect(page.locator("#_flags")).to_contain_text("Flagged.")
    expect(page.locator("#_flags")).to_contain_text("too narrow")


def test_keys_without_altgr_lead_to_the_neighbours(open_page: Callable[..., Page]) -> None:
    page = open_page(**WIDE)
    page.goto(NEURON)
    page.keyboard.press(".")
    page.wait_for_url(f"**/{SLUG}/0/8")
    page.keyboard.press(",")
    page.wait_for_url(f"**{NEURON}")


def test_j_and_k_go_through_the_excerpts(open_page: Callable[..., Page]) -> None:
    page = open_page(**WIDE)
    page.goto(NEURON)
    rows = page.locator("details.x > summary")
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(rows.nth(1)).to_be_focused()
    page.keyboard.press("k")
    expect(rows.nth(0)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("details.x").first).to_have_attribute("open", "")


def test_a_letter_opens_each_action(open_page: Callable[..., Page]) -> None:
    page = open_page("alice", **WIDE)
    page.goto(NEURON)
    page.wait_for_load_state()  # keys are read once the page's script runs
    page.keyboard.press("e")
    expect(page.get_by_role("button", name="Queue", exact=True)).to_be_visible()
    page.evaluate("document.activeElement.blur()")  # in a form letters are text
    page.keyboard.press("t")
    page.wait_for_url(f"**{NEURON}/try*")
    page.goto(f"/{SLUG}?layer=1")
    page.wait_for_load_state()
    page.keyboard.press("r")
    page.wait_for_url(f"**/{SLUG}/1/*")
    page.keyboard.press("/")
    expect(page.locator("#go")).to_be_focused()


def test_the_bar_leads_to_a_neuron(open_page: Callable[..., Page]) -> None:
    page = open_page(**WIDE)
    page.goto(f"/{SLUG}/plots")  # among several subjects the one that is open is meant
    page.keyboard.press("Control+k")
    page.keyboard.type("0/5")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/{SLUG}/0/5")


def test_the_sheet_lists_the_keys_of_the_page_and_turns_them_off(open_page: Callable[..., Page]) -> None:
    page = open_page("alice", **WIDE)
    page.goto(NEURON)
    page.keyboard.press("?")
    sheet = page.get_by_role("dialog", name="Keys of this page")
    expect(sheet.get_by_text("Flag this explanation")).to_be_visible()
    expect(sheet.get_by_text("Try a text")).to_be_visible()
    sheet.get_by_role("checkbox").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("f")
    expect(page.get_by_role("button", name="1 Wrong")).not_to_be_visible()
    page.reload()
    page.keyboard.press("f")
    expect(page.get_by_role("button", name="1 Wrong")).not_to_be_visible()
    page.keyboard.press("Control+k")  # is no single letter, and stays
    expect(page.locator("#go")).to_be_focused()


def test_x_selects_all_that_match(open_page: Callable[..., Page]) -> None:
    page = open_page("alice", **WIDE)
    page.goto(f"/{SLUG}?state=explained")
    page.keyboard.press("x")
    expect(page.locator('[name="all"]')).to_be_checked()
    page.keyboard.press("x")
    expect(page.locator('[name="all"]')).not_to_be_checked()


def test_a_chosen_theme_stays(open_page: Callable[..., Page]) -> None:
    page = open_page(color_scheme="light", **WIDE)
    page.goto("/")
    background = "getComputedStyle(document.documentElement).backgroundColor"
    light = page.evaluate(background)
    page.locator("#theme").click()
    assert page.evaluate(background) == light
    page.locator("#theme").click()
    dark = page.evaluate(background)
    assert dark != light
    page.goto("/methods")
    assert page.evaluate(background) == dark


def test_on_paper_a_page_is_light_names_its_address_and_keeps_its_heat(open_page: Callable[..., Page]) -> None:
    page = open_page("alice", color_scheme="dark", **WIDE)
    page.goto(NEURON)
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "light"
    expect(page.locator("footer .address")).to_contain_text(NEURON)
    expect(page.locator("header.site nav")).not_to_be_visible()
    hot = page.locator(".evidence details.x i[class]").first
    assert hot.evaluate("e => getComputedStyle(e).printColorAdjust") == "exact"
