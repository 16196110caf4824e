import json
from itertools import islice
from pathlib import Path

import pytest

from app.errors import CorpusError
from worker.subjects import corpus as corpora
from worker.subjects.corpus import Document, open_corpus


def read(spec: Path | str, text_field: str = "text") -> tuple[list[Document], list[tuple[str, str]]]:
    """Documents, and what was left out."""
    skipped: list[tuple[str, str]] = []
    source = open_corpus(str(spec), text_field=text_field)
    return list(source.read(lambda name, reason: skipped.append((name, reason)))), skipped


def test_a_text_file_is_cut_at_separators_with_offsets(tmp_path: Path) -> None:
    file = tmp_path / "stories.txt"
    file.write_bytes("Ä one\n<|endoftext|>\ntwo<|endoftext|>  \n<|endoftext|>three".encode())
    documents, skipped = read(file)
    assert [(d.text, d.byte_offset) for d in documents] == [("Ä one\n", 0), ("two", 21), ("three", 53)]
    assert all(file.read_bytes()[d.byte_offset or 0 :].startswith(d.text.encode()) for d in documents)
    assert skipped == []


def test_a_long_text_is_cut_at_ends_of_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpora, "LONGEST_DOCUMENT_BYTES", 10)
    (tmp_path / "long.txt").write_text("12345678\n" * 5)
    documents, _ = read(tmp_path / "long.txt")
    assert [d.text for d in documents] == ["12345678\n" * 2, "12345678\n" * 2, "12345678\n"]


def test_what_cannot_be_decoded_is_told_and_the_rest_goes_on(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("good")
    (tmp_path / "b.txt").write_bytes(b"caf\xe9")
    (tmp_path / "c.txt").write_text("also good")
    documents, skipped = read(tmp_path)
    assert [d.name for d in documents] == ["a.txt", "c.txt"]
    ((name, reason),) = skipped
    assert name.startswith("b.txt")
    assert "not UTF-8" in reason


def test_a_folder_is_read_in_the_order_of_names_without_hidden_files(tmp_path: Path) -> None:
    for name in ("z.txt", "a/b.txt", ".git/config"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    documents, _ = read(tmp_path)
    assert [d.name for d in documents] == ["a/b.txt", "z.txt"]


def test_json_lines_keep_offsets_and_tell_bad_lines(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    lines = [json.dumps({"body": "one"}), "not json", json.dumps({"body": 3}), r'{"body": "\ud800"}', '{"body": "é"}']
    file.write_text("\n".join(lines), encoding="utf-8")
    documents, skipped = read(file, "body")
    assert [(d.name, d.text) for d in documents] == [("rows.jsonl:1", "one"), ("rows.jsonl:5", "é")]
    assert [name for name, _ in skipped] == ["rows.jsonl:2", "rows.jsonl:3", "rows.jsonl:4"]
    assert json.loads(file.read_bytes()[documents[1].byte_offset or 0 :])["body"] == "é"


def test_the_standard_library_is_a_corpus_by_name() -> None:
    source = open_corpus("demo:stdlib")
    first, second = islice(source.read(lambda _name, _reason: None), 2)
    assert first.name < second.name
    assert first.text.strip()


def test_a_corpus_that_is_not_there_is_an_error() -> None:
    with pytest.raises(CorpusError, match="no file or folder 'nothing'"):
        open_corpus("nothing")
