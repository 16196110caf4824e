"""The atlas in a real browser: by pointer, by keyboard, and without scripts."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.kinds import WIDE
from tests.browser.site import SLUG

ADDRESS = f"/{SLUG}/atlas"


def drawn(page: Page) -> None:
    """Opens the atlas and waits until it is drawn."""
    page.goto(ADDRESS)
    expect(page.locator("#atlas[data-milliseconds]")).to_be_visible()


def test_the_picture_has_a_colour_for_each_neuron(open_page: Callable[..., Page]) -> None:
    page = open_page(**WIDE)
    drawn(page)
    page.get_by_role("radio", name="State").check()
    explained = "getComputedStyle(document.querySelector('[data-plane=state] .of-explained')).backgroundColor"
    first = (
        "(() => { const d = document.querySelector('canvas').getContext('2d').getImageData(0, 0, 1, 1).data;"
        " return `rgb(${d[0]}, ${d[1]}, ${d[2]})`; })()"
    )
    marks = {page.evaluate(explained), page.evaluate(explained.replace("explained", "unexplained"))}
    assert page.evaluate(first) in marks


def test_hovering_names_a_neuron_and_a_click_opens_it(open_page: Callable[..., Page]) -> None:
    page = open_page(**WIDE)
    drawn(page)
    page.locator("canvas").hover(position={"x": 1, "y": 1})
    expect(page.locator(".said")).to_contain_text("0/0: ")
    page.locator("canvas").click(position={"x": 1, "y": 1})
    page.wait_for_url(f"**/{SLUG}/0/0")


def test_a_region_becomes_a_list(open_page: Callable[..., Page]) -> None:
    page = open_page(**WIDE)
    drawn(page)
    box = page.locator("canvas").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 1, box["y"] + 1)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 4, box["y"] + 4, steps=4)
    page.mouse.up()
    link = page.locator(".chosen a")
    n = int((link.text_content() or "").split()[1].replace(",", ""))
    link.click()
    expect(page.locator(".matches b")).to_have_text(f"{n:,}")
    assert "layer_min=0&layer_max=0&index_min=0" in page.url


def test_the_keyboard_moves_selects_and_opens(open_page: Callable[..., Page]) -> None:
    page = open_page(**WIDE)
    drawn(page)
    page.locator("canvas").focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowDown"):
        page.keyboard.press(key)
    expect(page.locator(".said")).to_contain_text("1/2: ")
    page.keyboard.press("Shift+ArrowDown")
    expect(page.locator(".chosen a")).to_contain_text("layers 1 to 2, indices 2 to 2")
    page.keyboard.press("Escape")
    expect(page.locator(".chosen")).to_be_hidden()
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/{SLUG}/2/2")


def test_without_scripts_the_table_is_what_there_is(open_page: Callable[..., Page]) -> None:
    page = open_page(java_script_enabled=False, **WIDE)
    page.goto(ADDRESS)
    expect(page.locator("#atlas")).to_be_hidden()
    page.get_by_role("link", name="layer 0").click()
    expect(page.locator(".matches")).to_contain_text("match")


@pytest.mark.parametrize("number", range(3))
def test_squares_of_a_plot_that_are_dragged_over_become_a_list(open_page: Callable[..., Page], number: int) -> None:
    page = open_page(**WIDE)
    page.goto(f"/{SLUG}/plots")
    plot = page.locator(".brushed").nth(number)
    squares = plot.locator("svg a")
    boxes = [box for square in squares.all() if (box := square.bounding_box()) is not None]
    left, top = min(box["x"] for box in boxes), min(box["y"] for box in boxes)
    right = max(box["x"] + box["width"] for box in boxes)
    bottom = max(box["y"] + box["height"] for box in boxes)
    page.mouse.move(left - 2, top + 1)
    page.mouse.down()
    page.mouse.move((left + right) / 2, (top + bottom) / 2, steps=4)
    some = plot.locator("svg a.in-brush").count()
    page.mouse.move(right - 1, bottom - 1, steps=4)
    assert some < plot.locator("svg a.in-brush").count() == squares.count()
    page.mouse.up()
    link = plot.locator(".chosen a")
    n = int((link.text_content() or "").split()[1].replace(",", ""))
    link.click()
    expect(page.locator(".matches b")).to_have_text(f"{n:,}")
