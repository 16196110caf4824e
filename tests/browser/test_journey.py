"""What the product is for, done as a person does it."""

import re
from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.browser.site import SLUG, Site

LAST_OF_LAYER_0 = 767


def test_a_login_address_works_once(site: Site, open_page: Callable[..., Page]) -> None:
    page = open_page()
    address = site.login_address()
    button = page.get_by_role("main").get_by_role("button", name="Log in")
    page.goto(address)
    button.click()
    expect(page.get_by_role("button", name="Log out")).to_be_visible()
    page.context.clear_cookies()
    again = page.request.post(
        f"{site.url}/login", form={"token": address.partition("token=")[2]}, headers={"Origin": site.url}
    )
    assert again.status == 403
    assert "used already" in again.text()


def test_ten_neurons_are_queued_from_the_list_and_come_back(open_page: Callable[..., Page]) -> None:
    page = open_page("alice")
    page.goto(f"/{SLUG}?sort=position&layer=1")
    boxes = page.locator('input[name="neuron"]')
    for place in range(10):
        boxes.nth(place).check()
    page.get_by_role("button", name=re.compile("Queue again")).click()
    expect(page.locator("main")).to_contain_text("10 neurons")
    page.get_by_role("button", name=re.compile("^Queue")).click()

    expect(page).to_have_url(re.compile(r"/batches/\d+$"))
    expect(page.locator("#_progress")).to_contain_text("10 of 10 runs succeeded", timeout=120_000)
    page.locator("table.runs tbody").get_by_role("link", name="1/0", exact=True).click()
    expect(page.locator(".pills")).to_contain_text("1 explanation")
    expect(page.locator("#_claim .text")).to_contain_text("fires")


def test_a_neuron_is_explained_again_from_its_page_and_the_method_says_the_same(open_page: Callable[..., Page]) -> None:
    page = open_page("alice")
    page.goto(f"/{SLUG}/0/0")
    expect(page.locator(".pills")).to_contain_text("1 explanation")
    page.locator("#explain-summary").click()
    page.get_by_role("button", name="Queue").click()

    expect(page.locator("#_progress")).to_contain_text("same as before", timeout=120_000)
    expect(page.locator(".pills")).to_contain_text("1 explanation")
    expect(page.locator(".pills")).not_to_contain_text("active run")


def test_a_doubted_explanation_is_flagged_seen_and_resolved(open_page: Callable[..., Page]) -> None:
    charlie = open_page("charlie", role="viewer")
    charlie.goto(f"/{SLUG}/0/5")
    charlie.locator("#flag-summary").click()
    charlie.get_by_label("Note").fill('fires on more than that: see "\u202eevil"')
    charlie.get_by_role("button", name="2 Too broad").click()
    expect(charlie.locator("#_flags")).to_contain_text("1 open")
    expect(charlie.locator(".pills")).to_contain_text("1 open flag")

    bob = open_page("bob", role="reviewer")
    bob.goto("/flags")
    card = bob.locator("article.flag").filter(has_text="fires on more than that")
    expect(card).to_contain_text(re.compile("too broad", re.IGNORECASE))
    assert "\u202e" not in card.inner_text()
    card.get_by_role("button", name="Uphold").click()
    expect(card).to_contain_text(re.compile("upheld", re.IGNORECASE))
    bob.reload()
    expect(bob.locator("article.flag").filter(has_text="fires on more than that")).to_have_count(0)


def test_keys_lead_to_the_neighbours(open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.goto(f"/{SLUG}/0/{LAST_OF_LAYER_0}")
    page.keyboard.press("]")
    expect(page).to_have_url(re.compile("/1/0$"))
    page.wait_for_load_state()  # keys are read once the page's script runs
    page.keyboard.press("[")
    expect(page).to_have_url(re.compile(f"/0/{LAST_OF_LAYER_0}$"))


def test_a_search_shows_what_it_found_and_has_an_address(open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.goto(f"/{SLUG}")
    page.get_by_label("State").select_option("explained")
    expect(page).to_have_url(re.compile("state=explained"))
    expect(page.locator(".matches")).to_contain_text("match")
    page.get_by_label("Words in the explanation").fill("zyzzyva")
    page.get_by_role("button", name="Show").click()
    expect(page.locator(".matches")).to_contain_text("0 neurons match")


def test_everything_works_without_javascript(open_page: Callable[..., Page]) -> None:
    page = open_page("alice", java_script_enabled=False)
    page.goto(f"/{SLUG}?state=explained")
    page.locator("table.neurons tbody a").first.click()
    expect(page.locator(".evidence .rows").first).to_be_visible()
    page.locator("#flag-summary").click()
    page.get_by_label("Note").fill("sent without a script")
    page.get_by_role("button", name="Wrong").click()
    page.goto("/flags")
    expect(page.locator("main")).to_contain_text("sent without a script")
