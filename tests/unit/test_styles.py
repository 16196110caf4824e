"""What the style sheets promise: few sizes, colours from tokens, contrast, themes."""

import re
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
CSS = ROOT / "static" / "css"
SHEETS = sorted(CSS.rglob("*.css"))
TEMPLATES = "\n".join(path.read_text() for path in (ROOT / "templates").rglob("*.html"))
REPORT = CSS / "report.css"
"""Of a document for paper, which stands alone and has sizes of its own."""
SIZES = ("--type-note", "--type-small", "--type-text", "--type-lead", "--type-title")
HEAT = {"0": "--heat-0"} | {f"{sign}{n}": f"--{sign}-{n}" for sign in ("above", "below") for n in range(1, 11)}


def relative(path: Path) -> str:
    return str(path.relative_to(CSS))


def rules(path: Path) -> str:
    """A style sheet without its comments."""
    return re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.DOTALL)


def test_type_has_five_sizes() -> None:
    assert tuple(re.findall(r"(--type-[a-z]+):", rules(CSS / "tokens.css"))) == SIZES


@pytest.mark.parametrize("path", [path for path in SHEETS if path != REPORT], ids=relative)
def test_every_size_of_type_is_a_token(path: Path) -> None:
    for value in re.findall(r"\bfont(?:-size)?: ([^;]+);", rules(path)):
        assert value == "inherit" or re.search(rf"var\(({'|'.join(SIZES)})\)", value), value


@pytest.mark.parametrize("path", SHEETS, ids=relative)
def test_colours_stand_among_the_tokens_with_both_themes(path: Path) -> None:
    in_both = re.findall(r"--[\w-]+: light-dark\(#\w{6}, #\w{6}\);", rules(path))
    assert len(re.findall(r"#[0-9a-f]{3,8}\b(?!\w)(?=[,;) ])", rules(path))) == 2 * len(in_both)


@pytest.mark.parametrize("path", SHEETS, ids=relative)
def test_every_style_sheet_is_used(path: Path) -> None:
    assert f"static('css/{relative(path)}')" in TEMPLATES


@pytest.mark.parametrize("path", SHEETS, ids=relative)
def test_every_variable_that_is_used_is_defined(path: Path) -> None:
    defined = set(re.findall(r"(--[\w-]+):", "\n".join(map(rules, SHEETS))))
    assert set(re.findall(r"var\((--[\w-]+)\)", rules(path))) <= defined


def test_labels_with_values_are_written_by_one_macro() -> None:
    """One for pages, one for the report, which is a document of its own."""
    found = [
        path.relative_to(ROOT / "templates")
        for path in (ROOT / "templates").rglob("*.html")
        if "<dt" in path.read_text()
    ]
    assert sorted(map(str, found)) == ["_macros.html", "report/_macros.html"]
    assert len(re.findall(r"<dt\b", TEMPLATES)) == 2


# Heatmaps.


def token(name: str, theme: str) -> str:
    found = re.search(rf"{name}: light-dark\((#\w{{6}}), (#\w{{6}})\);", "\n".join(map(rules, SHEETS)))
    assert found is not None, name
    return found[1 if theme == "light" else 2]


def colours(theme: str) -> dict[str, str]:
    return {step: token(name, theme) for step, name in HEAT.items()}


def linear(colour: str) -> np.ndarray:
    channels = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    dark, light = sorted(float(linear(c) @ [0.2126, 0.7152, 0.0722]) + 0.05 for c in (one, other))
    return light / dark


def test_every_step_has_a_class_in_its_colour() -> None:
    found = dict(re.findall(r"\.([hn]\d+) \{\s*background: var\((--[\w-]+)\);", rules(CSS / "heat.css")))
    wanted = {
        f"{letter}{n}": f"--{sign}-{n}" for letter, sign in (("h", "above"), ("n", "below")) for n in range(1, 11)
    }
    assert found == wanted | {"n0": "--heat-0"}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_is_readable_on_every_step(theme: str) -> None:
    text = token("--text", theme)
    assert {name: c for name, c in colours(theme).items() if contrast(text, c) < 4.5} == {}


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("sign", ["above", "below"])
def test_lines_and_signs_stand_out_on_every_step(theme: str, sign: str) -> None:
    """What shows strength without colour, and the signs for blanks and line breaks."""
    steps = {name: c for name, c in colours(theme).items() if name == "0" or name.startswith(sign)}
    for mark in (f"--{sign}-line", "--sign"):
        assert {name: c for name, c in steps.items() if contrast(token(mark, theme), c) < 3} == {}


def test_a_stronger_step_has_a_thicker_line_and_one_below_0_a_dashed_one() -> None:
    css = rules(CSS / "heat.css")
    assert re.search(r"i \{[^}]*background-size: 100% 1px;", css)
    thicker = dict(re.findall(r"\) i:is\(([^)]*)\) \{\s*background-size: 100% (\dpx);", css))
    assert set(thicker.values()) == {"2px", "3px"}
    named = " ".join(thicker)
    assert [n for n in range(1, 11) if f".h{n}," in f"{named}," or f".h{n} " in f"{named} "] == [5, 6, 7, 8, 9, 10]
    for letter, image in (("h", "linear-gradient"), ("n", "repeating-linear-gradient")):
        every = ", ".join(f".{letter}{n}" for n in range(1, 11))
        assert re.search(rf"^:is\({re.escape(every)}\) \{{\s*background-image: {image}\(", css, re.MULTILINE), letter


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("surface", ["--page", "--surface"])
@pytest.mark.parametrize("name", ["--text", "--faint", "--accent", "--good", "--bad"])
def test_text_is_readable_on_every_surface(theme: str, surface: str, name: str) -> None:
    assert contrast(token(name, theme), token(surface, theme)) >= 4.5


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("sign", ["above", "below"])
def test_each_step_is_farther_from_the_page_than_the_one_before(theme: str, sign: str) -> None:
    steps = colours(theme)
    distances = [contrast(steps["0"], steps[f"{sign}{step}"]) for step in range(1, 11)]
    assert distances == sorted(distances)
    assert len(set(distances)) == 10


# Machado, Oliveira and Fernandes, "A physiologically-based model for simulation of color vision deficiency"
# (2009), severity 1.0, for linear RGB.
BLINDNESS = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("kind", list(BLINDNESS))
def test_the_two_signs_stay_apart_for_colour_blind_eyes(theme: str, kind: str) -> None:
    steps, matrix = colours(theme), np.array(BLINDNESS[kind])
    seen = {name: matrix @ linear(colour) for name, colour in steps.items()}
    for step in range(3, 11):
        between = np.linalg.norm(seen[f"above{step}"] - seen[f"below{step}"])
        assert between > 0.5 * np.linalg.norm(linear(steps[f"above{step}"]) - linear(steps["0"])), step


def test_tokens_keep_their_white_space() -> None:
    """By it alone " a" differs from "a", and a line break with four spaces from one with eight."""
    css = "\n".join(map(rules, SHEETS))
    for holder in (r"\.tokens i", r"\.numbers th", r"\.claimed code"):
        assert re.search(holder + r" \{[^}]*white-space: (pre|break-spaces);", css), holder


def test_on_paper_terms_keep_their_names_and_controls_are_left_out() -> None:
    print_rules = (CSS / "elements.css").read_text().partition("@media print")[2]
    hidden = print_rules.partition("display: none")[0].rpartition("}")[2]
    selectors = {each.strip(" {\n") for each in hidden.split(",\n")}
    assert "button" not in selectors
    assert {"button:not(.term)", ".term.sign", "a.button"} <= selectors
