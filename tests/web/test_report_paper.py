"""Heatmaps of a report on paper: WeasyPrint lays them out as a browser does."""

import re
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from app.web.report.pdf import for_paper
from tests.db.auditing import audited
from tests.factories import Make

HEAT = Path(__file__).parents[2] / "static" / "css" / "heat.css"


def boxes(html: str, element: str) -> list[Any]:
    """Boxes of excerpts' elements, as they are laid out."""
    pages = for_paper(html).render().pages
    found = [box for page in pages for box in page._page_box.descendants()]
    return [box for box in found if box.element_tag == element and type(box).__name__ == "InlineBox"]


@pytest.fixture
def html(client: TestClient, make: Make) -> str:
    audit = audited(make, ended=True)
    make.session.flush()
    return client.get(f"/campaigns/{audit.campaign_id}/report").text


def test_a_cell_has_the_colour_of_its_step_and_nothing_over_it(html: str) -> None:
    """Once a cell was as dark as the line under it: its text could not be read."""
    light = dict(re.findall(r"--above-(\d+): light-dark\(#(\w{6})", HEAT.read_text()))
    cells = [box for box in boxes(html, "i") if re.fullmatch(r"h[1-9]\d?", box.element.get("class") or "")]
    assert {box.element.get("class") for box in cells} >= {"h10", "h5"}
    for box in cells:
        step = box.element.get("class")[1:]
        parts = [round(255 * each) for each in box.style["background_color"].coordinates]
        assert bytes(parts).hex() == light[step]
        assert [layer.image for layer in box.background.layers if layer.image] == []
        assert 0 < box.style["border_bottom_width"] < 2


def test_rules_for_browsers_are_no_warnings_on_the_console(html: str, caplog: pytest.LogCaptureFixture) -> None:
    """Once a PDF began with four lines about media queries and properties that WeasyPrint ignores."""
    for_paper(html).write_pdf()
    assert [record.getMessage() for record in caplog.records if record.name.startswith("weasyprint")] == []


def test_blanks_are_dots_and_not_struck_out(html: str) -> None:
    blanks = boxes(html, "s")
    assert blanks
    for box in blanks:
        assert box.style["text_decoration_line"] in ("none", set(), frozenset())
        (dots,) = box.background.layers
        assert dots.repeat == ("repeat", "no-repeat")
