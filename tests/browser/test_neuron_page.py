"""A neuron's page in a browser: its size for those who hear it, its order on a small screen, and its keys."""

from collections import Counter
from collections.abc import Callable

from playwright.sync_api import Page, expect
from sqlalchemy import func, select

from app.db import transaction
from app.models import Neuron, Sample
from tests.browser.kinds import NARROW, WIDE
from tests.browser.site import SLUG, Site

NEURON = f"/{SLUG}/0/9"
MOST_NODES = 8_000
MOST_BYTES = 45_000


def accessibility_nodes(page: Page) -> list[str]:
    """The role of every node of the page's accessibility tree, ignored ones included."""
    session = page.context.new_cdp_session(page)
    nodes = session.send("Accessibility.getFullAXTree")["nodes"]
    session.detach()
    return [node.get("role", {}).get("value", "") for node in nodes]


def address_with_most_excerpts(site: Site) -> str:
    """The page of the neuron of which most excerpts are stored, hard negatives among them."""
    n_excerpts = func.sum(func.cardinality(Sample.excerpt_ids))
    with transaction(site.sessions) as session:
        row = session.execute(
            select(Neuron.layer, Neuron.index.label("number"))
            .join(Sample, Sample.neuron_id == Neuron.id)
            .group_by(Neuron.id)
            .order_by(n_excerpts.desc(), Neuron.id)
            .limit(1)
        ).one()
    return f"/{SLUG}/{row.layer}/{row.number}"


def test_a_page_of_sixty_excerpts_is_small(open_page: Callable[..., Page], site: Site) -> None:
    page = open_page("alice", **WIDE)
    response = page.goto(f"{address_with_most_excerpts(site)}?more=top&more=random&more=hard_negative")
    assert response is not None
    assert page.locator("details.x").count() >= 60
    assert int(response.headers["content-length"]) < MOST_BYTES
    roles = Counter(accessibility_nodes(page))
    assert roles["DisclosureTriangle"] >= 60
    assert roles.total() < MOST_NODES, roles.most_common(8)


def test_an_unfolded_row_is_a_table_that_can_be_read(open_page: Callable[..., Page]) -> None:
    page = open_page(**WIDE)
    page.goto(NEURON)
    row = page.locator(".evidence details.x").first
    row.locator("summary").click()
    table = row.get_by_role("table")
    expect(table.get_by_role("rowheader")).not_to_have_count(0)
    assert table.get_by_role("cell").count() == table.get_by_role("rowheader").count()
    expect(row.locator(".strip").first).not_to_be_visible()


def test_verdict_and_actions_are_on_the_first_screen(open_page: Callable[..., Page]) -> None:
    page = open_page("alice", **WIDE)
    page.goto(NEURON)
    parts = [".claim .verdict-line", "#flag-summary"]
    parts += [f"#actions >> text={name}" for name in ("Explain again", "Write your own", "Try a text")]
    for part in parts:
        box = page.locator(part).first.bounding_box()
        assert box is not None
        assert box["y"] + box["height"] < 600, part


def test_on_a_small_screen_the_first_excerpt_comes_before_the_figures(open_page: Callable[..., Page]) -> None:
    page = open_page("alice", **NARROW)
    page.goto(NEURON)
    tops = [page.locator(part).first.bounding_box() for part in (".claim", ".evidence details.x", ".standing")]
    claim, excerpt, figures = (box["y"] if box else 0 for box in tops)
    assert claim < excerpt < figures
    assert excerpt < 1_000


def test_no_neuron_pushes_its_first_excerpt_off_the_first_two_screens(open_page: Callable[..., Page]) -> None:
    """Explained, flagged, rejected, without an explanation, and with another open part where it was just flagged."""
    page = open_page("alice", **NARROW)
    two_screens = 2 * NARROW["viewport"]["height"]
    low = {}
    for index in range(24):
        page.goto(f"/{SLUG}/0/{index}")
        box = page.locator(".evidence details.x").first.bounding_box()
        assert box is not None
        if box["y"] + box["height"] > two_screens:
            low[index] = box["y"]
    assert low == {}


def test_where_nothing_can_be_flagged_explaining_is_offered(open_page: Callable[..., Page]) -> None:
    page = open_page("alice", **WIDE)
    for unexplained in (f"/{SLUG}/0/3", f"/{SLUG}/2/1"):
        page.goto(unexplained)
        expect(page.locator("#flag-summary")).not_to_be_visible()
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(page.locator("#explain-summary")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.get_by_role("button", name="Queue", exact=True)).to_be_visible()
        page.locator("#_own > summary").click()
        expect(page.get_by_label("What does this neuron fire on?")).to_be_visible()
        page.get_by_role("link", name="Compare with another neuron").click()
        expect(page.get_by_role("link", name="Queue it for a method or write one")).to_be_visible()


def test_the_flag_is_reached_in_two_presses(open_page: Callable[..., Page]) -> None:
    page = open_page("alice", **WIDE)
    page.goto(NEURON)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#flag-summary")).to_be_focused()


def test_the_evidence_is_reached_in_three_presses(open_page: Callable[..., Page]) -> None:
    page = open_page("alice", **WIDE)
    page.goto(NEURON)
    for key in ("Tab", "Tab", "Enter"):
        page.keyboard.press(key)
    expect(page.locator("#_evidence")).to_be_focused()


def test_what_the_rows_show_changes_in_place_and_keeps_the_focus(open_page: Callable[..., Page]) -> None:
    page = open_page(**WIDE)
    page.goto(NEURON)
    page.get_by_role("link", name="Where it fails").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#show-failures")).to_have_attribute("aria-current", "true")
    expect(page.locator("#show-failures")).to_be_focused()
    page.wait_for_url("**show=failures")


def test_more_rows_come_in_place(open_page: Callable[..., Page]) -> None:
    page = open_page(**WIDE)
    page.goto(NEURON)
    rows = page.locator("section[aria-labelledby=top] details.x")
    assert rows.count() == 8
    page.locator("#more-top").click()
    expect(rows).to_have_count(20)


def test_a_row_of_the_list_opens_its_neuron_anywhere(open_page: Callable[..., Page]) -> None:
    page = open_page("alice", **WIDE)
    page.goto(f"/{SLUG}")
    row = page.locator(".neurons tbody tr").first
    address = row.locator("a.opens").get_attribute("href")
    box = row.locator("td.text").bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_url(f"**{address}")


def test_the_actions_of_the_list_come_with_a_selection(open_page: Callable[..., Page]) -> None:
    page = open_page("alice", **WIDE)
    page.goto(f"/{SLUG}")
    actions = page.get_by_role("group", name="With what is selected")
    expect(actions).not_to_be_visible()
    page.locator("input[name=neuron]").first.check()
    expect(actions).to_be_in_viewport()


def test_the_head_of_the_list_stays(open_page: Callable[..., Page]) -> None:
    page = open_page(**WIDE)
    page.goto(f"/{SLUG}")
    page.mouse.wheel(0, 1500)
    expect(page.locator(".neurons thead th").first).to_be_in_viewport()
    assert page.evaluate("scrollY") > 300
