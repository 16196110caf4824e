"""docs/lexical.md describes what the code does."""

import re
from pathlib import Path

import pytest

from worker.lexical.classes import CLASSES
from worker.lexical.grammar import STRENGTHS, Near, Reach, Spot, sentence
from worker.lexical.parser import parse

GUIDE = (Path(__file__).resolve().parents[2] / "docs" / "lexical.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^fires .*$", GUIDE, re.MULTILINE)


def table(heading: str) -> dict[str, str]:
    """The first table under a heading, by its first column."""
    rows = re.findall(r"^\| (.+?) \| (.+) \|$", GUIDE.split(f"# {heading}\n")[1].split("\n#")[0], re.MULTILINE)
    return dict(rows[1:])


@pytest.mark.parametrize("text", EXAMPLES)
def test_every_example_is_a_sentence_as_the_explainer_writes_it(text: str) -> None:
    assert sentence(parse(text)) == text


def test_every_class_is_described() -> None:
    assert list(table("Classes")) == [c.name for c in CLASSES]


def test_every_strength_is_described() -> None:
    assert table("Strengths") == {word or "no word": str(value) for value, word in STRENGTHS.items()}


def test_every_condition_is_described() -> None:
    described = set(table("Conditions"))
    assert described == {f"`{r} X`" for r in Reach} | {f"`{spot}`" for spot in Spot}


def test_every_condition_is_read_as_itself() -> None:
    for reach in Reach:
        (clause,) = parse(f'"a" {reach} "b"')
        (condition,) = clause.conditions
        assert isinstance(condition, Near)
        assert condition.reach is reach
    assert [parse(f'"a" {spot}')[0].conditions for spot in Spot] == [(spot,) for spot in Spot]
