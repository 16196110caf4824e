"""The table of the verification standard: complete, and what it names exists."""

import ast
import hashlib
import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DIGEST = "3765ed9541ee1523694f731f53d3201978aa23cf9cac70481d40476d8a2d1e27"
"""Of the ids of the standard's levels 1 and 2, in their order, each with its level on a line."""
LEVELS = {"1": 70, "2": 183}
OPEN = set[str]()
"""Requirements that are not met; each says what is missing."""
ROW = re.compile(r"^\| (V[\d.]+) \| ([12]) \| ([^|]+) \| (test|document|not applicable|open) \| (.+) \|$", re.MULTILINE)
TABLE = ROW.findall((ROOT / "docs" / "asvs.md").read_text(encoding="utf-8"))
"""(id, level, what it asks for, how it is held, where or why)."""


def where(how: str) -> list[str]:
    return sorted({row[4].strip("`") for row in TABLE if row[3] == how})


def test_every_requirement_of_both_levels_stands_in_the_table_once() -> None:
    ids = "\n".join(f"{row[0]} {row[1]}" for row in TABLE)
    assert hashlib.sha256(ids.encode()).hexdigest() == DIGEST
    assert Counter(row[1] for row in TABLE) == LEVELS


@pytest.mark.parametrize("named", where("test"))
def test_every_named_test_exists(named: str) -> None:
    path, _, name = named.partition("::")
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("named", where("document"))
def test_every_named_document_has_its_heading(named: str) -> None:
    link = re.fullmatch(r"\[(\w+\.md)#(\w+)\]\(\1#\2\)", named)
    assert link is not None
    headings = re.findall(r"^## (.+)$", (ROOT / "docs" / link[1]).read_text(encoding="utf-8"), re.MULTILINE)
    assert link[2] in {heading.lower() for heading in headings}


def test_what_is_open_or_does_not_apply_says_why() -> None:
    assert [row[0] for row in TABLE if row[3] in ("open", "not applicable") and not row[4].endswith(".")] == []


def test_no_requirement_becomes_open_unnoticed() -> None:
    assert {row[0] for row in TABLE if row[3] == "open"} == OPEN
