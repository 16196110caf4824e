"""Rows in files whose names do not say so, and texts that only look like rows."""

import gzip
import json
from pathlib import Path

import pytest

from tests.worker.test_corpora import KINDS, TEXTS, texts


@pytest.mark.parametrize("renamed", ["rows", "rows.txt", "rows.log", "part-00000", "rows.JSONL.bak"])
@pytest.mark.parametrize("name", ["rows.jsonl", "rows.ndjson", "array.json", "indented array.json"])
def test_rows_are_rows_whatever_their_file_is_called(tmp_path: Path, name: str, renamed: str) -> None:
    (tmp_path / renamed).write_bytes(KINDS[name])
    (tmp_path / f"{renamed}.gz").write_bytes(gzip.compress(KINDS[name]))
    assert texts(tmp_path) == TEXTS * 2


@pytest.mark.parametrize("form", ["{line}\n{line}\n", "[{line}, {line}]"])
def test_rows_longer_than_what_is_looked_at_are_rows(tmp_path: Path, form: str) -> None:
    long = "some words " * 2000
    line = json.dumps({"id": 1, "text": long})
    (tmp_path / "rows.txt").write_text(form.format(line=line))
    assert texts(tmp_path / "rows.txt") == [long, long]


@pytest.mark.parametrize(
    "text",
    [
        '{"text": "an object"}\nand prose below it',
        '{"body": "another field"}\n{"body": "of every line"}\n',
        '{"text": 3}\n{"text": 4}\n',
        '["text", "a list"]\n',
        "[1] A footnote, whose text: is long.\n",
        '{\n  "text": "a file of settings in a repository"\n}\n',
        '{"text": "not closed\n',
        "[" * 9000,
        '{"text": ' + "[" * 5000,
        "{% raw %}",
    ],
)
def test_text_that_only_looks_like_rows_is_text(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.txt").write_text(text)
    assert texts(tmp_path / "a.txt") == [text]
