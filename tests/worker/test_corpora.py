"""Corpora from files of every kind, alone and in a folder: what is read, and what is left out by name."""

import bz2
import csv
import gzip
import io
import json
import lzma
import tracemalloc
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from app.errors import CorpusError
from worker.corpora.corpus import open_corpus
from worker.corpora.documents import LONGEST_DOCUMENT_BYTES, LONGEST_ROW_BYTES, Document, pieces
from worker.corpora.text import text_documents

TEXTS = ["one", "two\nlines, \"quoted\"; 'and more'", "drei: äöü 世界 👩‍💻", "x" * 200]
MIB = 1 << 20


def read(spec: Path | str, text_field: str = "text") -> tuple[list[Document], list[tuple[str, str]]]:
    """Documents, and what was left out."""
    skipped: list[tuple[str, str]] = []
    source = open_corpus(str(spec), text_field=text_field)
    return list(source.read(lambda name, reason: skipped.append((name, reason)))), skipped


def texts(spec: Path | str, text_field: str = "text") -> list[str]:
    """The texts of a corpus of which nothing is left out."""
    documents, skipped = read(spec, text_field)
    assert skipped == []
    return [d.text for d in documents]


def as_csv(delimiter: str) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter)
    writer.writerow(["id", "text", "n"])
    writer.writerows([i, text, 7] for i, text in enumerate(TEXTS))
    return out.getvalue().encode()


def as_parquet(**options: object) -> bytes:
    out = io.BytesIO()
    parquet.write_table(pa.table({"id": range(len(TEXTS)), "text": TEXTS}), out, **options)
    return out.getvalue()


def as_arrow(opener: Callable[..., pa.ipc.RecordBatchStreamWriter]) -> bytes:
    out, table = io.BytesIO(), pa.table({"text": TEXTS})
    with opener(out, table.schema) as writer:
        writer.write_table(table)
    return out.getvalue()


ROWS = [{"id": i, "text": text, "tags": ["a", {"b": None}], "n": float("nan")} for i, text in enumerate(TEXTS)]
LINES = "\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS).encode()
ESCAPED = "\r\n".join(json.dumps(row) for row in ROWS).encode() + b"\r\n\r\n"
KINDS: dict[str, bytes] = {
    "rows.jsonl": LINES,
    "rows.ndjson": ESCAPED,
    "lines called.json": LINES,
    "begins with a mark.jsonl": b"\xef\xbb\xbf" + LINES,
    "array.json": json.dumps(ROWS).encode(),
    "array of texts.json": json.dumps(TEXTS, ensure_ascii=False).encode(),
    "indented array.json": b"\xef\xbb\xbf\n " + json.dumps(ROWS, indent=2).encode() + b"\n",
    "array called.jsonl": json.dumps(ROWS).encode(),
    "objects of several lines.json": b"\n".join(json.dumps(row, indent=1).encode() for row in ROWS),
    "texts.jsonl": b"\n".join(json.dumps(text).encode() for text in TEXTS),
    "table.csv": as_csv(","),
    "from a spreadsheet.csv": b"\xef\xbb\xbf" + as_csv(";"),
    "table.tsv": as_csv("\t"),
    "table.parquet": as_parquet(row_group_size=2, compression="zstd"),
    "dictionary.parquet": as_parquet(use_dictionary=["text"]),
    "called something else.dat": as_parquet(),
    "stream.arrow": as_arrow(pa.ipc.new_stream),
    "file.arrow": as_arrow(pa.ipc.new_file),
    "separated.txt": b"<|endoftext|>".join(text.encode() for text in TEXTS),
}
PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": lambda data: bytes(pa.compress(data, "zstd", asbytes=True)),
}


@pytest.mark.parametrize("name", KINDS)
def test_rows_of_every_kind_are_read_as_texts(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(KINDS[name])
    assert texts(tmp_path / name) == TEXTS


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("name", ["rows.jsonl", "array.json", "table.csv", "separated.txt"])
def test_packed_files_are_what_is_in_them(tmp_path: Path, name: str, packing: str) -> None:
    file = tmp_path / f"{name}{packing}"
    file.write_bytes(PACKINGS[packing](KINDS[name]))
    assert texts(file) == TEXTS
    # The name may have been lost, and members may follow each other.
    file.rename(tmp_path / "separated.txt")
    (tmp_path / "separated.txt").write_bytes(PACKINGS[packing](b"first ") + PACKINGS[packing](b"second"))
    assert texts(tmp_path / "separated.txt") == ["first second"]


def test_a_folder_may_hold_files_of_every_kind(tmp_path: Path) -> None:
    for name, data in KINDS.items():
        (tmp_path / name).write_bytes(data)
    assert texts(tmp_path) == TEXTS * len(KINDS)


@pytest.mark.parametrize("name", sorted(KINDS.keys() - {"separated.txt", "texts.jsonl", "array of texts.json"}))
def test_a_file_without_the_field_names_those_there_are(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(KINDS[name])
    documents, skipped = read(tmp_path / name, "body")
    assert documents == []
    assert all("'body'" in reason and "text" in reason.partition("it has")[2] for _, reason in skipped)


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("paper.pdf", b"%PDF-1.7 ...", "a PDF"),
        ("corpus.zip", b"PK\x03\x04....", "a ZIP archive or an office document"),
        ("letter.docx", b"PK\x03\x04....", "a ZIP archive or an office document"),
        ("db.sqlite", b"SQLite format 3\0", "an SQLite database"),
        ("model.safetensors", b"\x08\0\0\0\0\0\0\0{}", "a binary file; read are text, JSON lines"),
        ("corpus.tar", b"a.txt".ljust(257, b"\0") + b"ustar\0", "a tar archive: unpack it"),
        ("corpus.tar.gz", gzip.compress(b"a.txt".ljust(257, b"\0") + b"ustar\0", mtime=0), "a tar archive: unpack it"),
        ("table.parquet.gz", gzip.compress(as_parquet(), mtime=0), "a packed Parquet file: unpack it"),
        ("rows.jsonl.lz4", b"\x04\x22\x4d\x18" + LINES, "packed by LZ4: unpack it"),
        ("rows.jsonl.br", LINES, "packed by Brotli: unpack it"),
        ("notes.ipynb", b'{"cells": [{"source": ["text"]}]}', "a notebook, whose text is in cells: convert it"),
        ("notes.ipynb.gz", gzip.compress(b'{"cells": []}', mtime=0), "a notebook, whose text is in cells: convert it"),
        ("lists.jsonl", b'{"text": ["a"]}', "its 'text' is a list, not text"),
        ("lists.json", b'[{"text": {"a": 1}}]', "its 'text' is an object, not text"),
        ("counts.jsonl", b'{"text": 0}', "its 'text' is a number, not text"),
        ("half.parquet", as_parquet()[:60], "damaged: "),
        ("half.arrow", as_arrow(pa.ipc.new_stream)[:40], "damaged: "),
        ("half.txt.gz", gzip.compress(bytes(range(32, 120)) * 99, mtime=0)[:-20], "damaged: "),
        ("half.txt.xz", lzma.compress(bytes(range(32, 120)) * 99)[:-20], "damaged: "),
        ("windows.txt", "text".encode("utf-16"), "UTF-16, not UTF-8: convert it"),
        ("windows.csv", "text\nß\n".encode("utf-16"), "UTF-16, not UTF-8: convert it"),
        ("numbers.parquet", b"", ""),
        ("one object.json", b'{"data": [{"text": "a"}], "version": 1}', "no text under 'text'; it has data, version"),
        ("numbers.json", b"[1, 2.5, null]", "neither an object nor a text"),
        ("open.json", b'[{"text": ', "not JSON after row 0"),
    ],
)
@pytest.mark.parametrize("is_in_folder", [False, True])
def test_what_is_not_read_is_left_out_by_name(
    tmp_path: Path, name: str, data: bytes, reason: str, is_in_folder: bool
) -> None:
    file = tmp_path / name
    file.write_bytes(data)
    if name == "numbers.parquet":
        parquet.write_table(pa.table({"text": [1, 2]}), file)
        reason = "its column 'text' holds int64, not text"
    if is_in_folder:
        (tmp_path / "zz.txt").write_text("and the rest goes on")
    documents, skipped = read(tmp_path if is_in_folder else file)
    assert [d.text for d in documents if d.name == "zz.txt"] == ["and the rest goes on"] * is_in_folder
    assert skipped
    assert skipped[0][0].startswith(name)
    assert reason in skipped[0][1]


def test_a_text_file_is_cut_at_separators_with_offsets(tmp_path: Path) -> None:
    file = tmp_path / "stories.txt"
    file.write_bytes("Ä one\n<|endoftext|>\ntwo<|endoftext|>  \n<|endoftext|>three".encode())
    documents, skipped = read(file)
    assert [(d.text, d.byte_offset) for d in documents] == [("Ä one\n", 0), ("two", 21), ("three", 53)]
    assert all(file.read_bytes()[d.byte_offset or 0 :].startswith(d.text.encode()) for d in documents)
    assert skipped == []


def split(data: bytes) -> list[Document]:
    return list(text_documents(io.BytesIO(data), "a", lambda name, reason: pytest.fail(f"{name}: {reason}")))


def test_a_long_text_is_cut_at_ends_of_lines() -> None:
    line = b"12345678\n"
    documents = split(line * (LONGEST_DOCUMENT_BYTES // 3))
    assert len(documents) == 3
    assert all(d.text.endswith("8\n") and LONGEST_DOCUMENT_BYTES <= len(d.text) < MIB + 9 for d in documents[:-1])
    assert "".join(d.text for d in documents).encode() == line * (LONGEST_DOCUMENT_BYTES // 3)


@pytest.mark.parametrize("unit", ["word ", "x", "é", "世", "👩‍💻", "世 "])
def test_a_line_without_end_is_cut_at_spaces_or_before_a_character(unit: str) -> None:
    text = unit * (3 * MIB // len(unit.encode()))
    documents = split(text.encode())
    assert "".join(d.text for d in documents) == text
    assert all(len(d.text.encode()) <= LONGEST_DOCUMENT_BYTES for d in documents)
    assert len(documents) <= 4
    if " " in unit:
        assert all(d.text.endswith(" ") for d in documents[:-1])
    assert [d.byte_offset for d in documents][1] == len(documents[0].text.encode())


@pytest.mark.parametrize("shift", [*range(-14, 2), 60_000])
def test_a_separator_is_found_wherever_blocks_end(shift: int) -> None:
    before = b"a" * ((1 << 16) + shift)
    assert [len(d.text) for d in split(before + b"<|endoftext|>" + b"b")] == [len(before), 1]
    long = b"a\n" * (LONGEST_DOCUMENT_BYTES + shift // 2)
    found = split(long + b"<|endoftext|>b")
    assert ("".join(d.text for d in found).encode(), found[-1].text) == (long + b"b", "b")


@given(st.lists(st.text(st.characters(blacklist_categories=["Cs"])), min_size=1))
def test_no_text_between_separators_is_lost(parts: list[str]) -> None:
    kept = [part.lstrip("\r\n") for part in parts if part.strip()]
    found = split(b"<|endoftext|>".join(part.encode() for part in ["-", *parts]))
    assert [d.text for d in found[1:]] == kept


def test_what_cannot_be_decoded_is_reported_and_the_rest_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("good")
    (tmp_path / "b.txt").write_bytes(b"caf\xe9")
    (tmp_path / "c.csv").write_bytes(b"text\nna\xefve\nplain\n")
    (tmp_path / "d.jsonl").write_bytes(b'{"text": "na\xefve"}\n{"text": "plain"}\n')
    (tmp_path / "e.json").write_bytes(b'[{"text": "na\xefve"},\n{"text": "plain"}]\n')
    documents, skipped = read(tmp_path)
    assert [d.name for d in documents] == ["a.txt", "c.csv:2", "d.jsonl:2", "e.json:2"]
    assert [name for name, _ in skipped] == ["b.txt at byte 0", "c.csv:1", "d.jsonl:1", "e.json:1"]
    assert all("not UTF-8" in reason for _, reason in skipped)


@pytest.mark.parametrize("form", ["{row}\n{other}\n", "[{row}, {other}]"])
def test_a_row_does_not_depend_on_the_numbers_beside_its_text(tmp_path: Path, form: str) -> None:
    """Python refuses integers of more than 4,300 digits."""
    row, other = f'{{"text": "one", "n": {"9" * 5_000}}}', '{"text": "two"}'
    (tmp_path / "rows.json").write_text(form.format(row=row, other=other))
    documents, skipped = read(tmp_path)
    assert ([d.text for d in documents], skipped) == (["one", "two"], [])


def test_a_folder_is_read_in_the_order_of_names_without_hidden_files(tmp_path: Path) -> None:
    for name in ("z.txt", "a/b.txt", ".git/config"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    documents, _ = read(tmp_path)
    assert [d.name for d in documents] == ["a/b.txt", "z.txt"]


def test_links_to_files_are_followed_and_no_file_is_read_twice(tmp_path: Path) -> None:
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshot"
    for folder in (blobs, snapshot / "data"):
        folder.mkdir(parents=True)
    (blobs / "0f3a").write_text("as the hub's cache has it")
    (snapshot / "data" / "train.txt").symlink_to(blobs / "0f3a")
    (snapshot / "again.txt").symlink_to("data/train.txt")
    (snapshot / "around").symlink_to(snapshot)
    (snapshot / "broken.txt").symlink_to("nowhere")
    documents, skipped = read(snapshot)
    assert ([d.name for d in documents], skipped) == (["again.txt"], [])


def test_json_lines_keep_offsets_and_tell_bad_lines(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    lines = [json.dumps({"body": "one"}), "not json", json.dumps({"body": 3}), r'{"body": "\ud800"}', '{"body": "é"}']
    file.write_text("\n".join(lines), encoding="utf-8")
    documents, skipped = read(file, "body")
    assert [(d.name, d.text) for d in documents] == [("rows.jsonl:1", "one"), ("rows.jsonl:5", "é")]
    assert [name for name, _ in skipped] == ["rows.jsonl:2", "rows.jsonl:3", "rows.jsonl:4"]
    assert json.loads(file.read_bytes()[documents[1].byte_offset or 0 :])["body"] == "é"


@pytest.mark.parametrize("name", ["array.json", "indented array.json", "table.csv", "rows.jsonl"])
def test_offsets_of_rows_lead_to_them(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(KINDS[name])
    documents, _ = read(tmp_path / name)
    data = KINDS[name]
    ends = [d.byte_offset or 0 for d in documents[1:]] + [len(data)]
    for document, end in zip(documents, ends, strict=True):
        row = data[document.byte_offset : end].decode()
        first = json.dumps(document.text)[1:9] if name.startswith(("array", "indented")) else document.text[:2]
        assert first in row


def test_lines_that_would_fill_the_memory_are_left_out(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    good = b'{"text": "good"}\n'
    deep = b'{"text": ' + b"[" * MIB + b"\n"
    long = b'{"text": "' + b"x" * (LONGEST_ROW_BYTES + MIB) + b'"}\n'
    file.write_bytes(good + deep + long + good)
    documents, skipped = read(file)
    assert [d.name for d in documents] == ["rows.jsonl:1", "rows.jsonl:4"]
    assert skipped == [("rows.jsonl:2", "nested too deeply"), ("rows.jsonl:3", "longer than 16 MiB")]
    assert file.read_bytes()[documents[1].byte_offset or 0 :] == good


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("deep.json", b'[{"text": "good"},' + b"[" * MIB),
        ("deep objects.json", b'[{"text": "good"},' + b'{"a":' * MIB),
        ("long.json", b'[{"text": "good"},{"text": "' + b"x" * (LONGEST_ROW_BYTES + MIB) + b'"}]'),
        ("long.csv", b'text\ngood\n"' + b"x," * (LONGEST_ROW_BYTES // 2 + MIB)),
        ("many lines.csv", b'text\ngood\n"' + (b"x," * 500 + b"\n") * (LONGEST_ROW_BYTES // 1000)),
    ],
)
def test_rows_that_would_fill_the_memory_end_a_file_not_the_corpus(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    (tmp_path / "zz.txt").write_text("the next file")
    tracemalloc.start()
    documents, skipped = read(tmp_path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (documents[0].text, documents[-1].text) == ("good", "the next file")
    assert skipped
    assert all(reason for _, reason in skipped)
    assert peak < 16 * LONGEST_ROW_BYTES


def test_a_long_text_of_a_row_is_several_documents() -> None:
    text = "some words " * (3 * MIB // 11)
    documents = list(pieces("rows.jsonl:3", text, 99))
    assert "".join(d.text for d in documents) == text
    assert [d.name for d in documents] == ["rows.jsonl:3", "rows.jsonl:3 part 2", "rows.jsonl:3 part 3"]
    assert {d.byte_offset for d in documents} == {99}


def test_many_rows_without_a_text_end_a_file(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text((json.dumps({"body": "a"}) + "\n") * 5000)
    _, skipped = read(tmp_path / "rows.jsonl")
    assert len(skipped) == 1001
    assert skipped[-1] == ("rows.jsonl", "none of its first 1000 rows has a text; the rest was not read")


def test_a_column_may_be_anywhere_and_rows_may_be_short(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('n,"te\nxt",body\n1,no,yes\n2,no\n\n3,no,"also\r\nyes"\n')
    documents, skipped = read(tmp_path / "a.csv", "body")
    assert [(d.name, d.text) for d in documents] == [("a.csv:1", "yes"), ("a.csv:4", "also\r\nyes")]
    assert skipped == [("a.csv:2", "2 columns, none of them 'body'")]


def test_a_carriage_return_within_a_line_spoils_its_row_alone(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"text\none\ntw\ro\nthree\n")
    documents, skipped = read(tmp_path / "a.csv")
    assert [d.text for d in documents] == ["one", "three"]
    assert [name for name, _ in skipped] == ["a.csv:2"]
    (tmp_path / "a.csv").write_bytes(b"text\rone\rtwo\r")
    assert "its header is not CSV" in read(tmp_path / "a.csv")[1][0][1]


def test_the_source_says_what_decides_which_texts_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,body\nx,y\n")
    first = open_corpus(str(tmp_path)).source
    assert first == f"{tmp_path} (1 files, 14 bytes, text field 'text')"
    assert open_corpus(str(tmp_path), text_field="body").source != first
    (tmp_path / "b.txt").write_text("more")
    assert open_corpus(str(tmp_path)).source != first


def test_the_standard_library_is_a_corpus_by_name() -> None:
    source = open_corpus("demo:stdlib")
    first, second = islice(source.read(lambda _name, _reason: None), 2)
    assert first.name < second.name
    assert first.text.strip()


def test_a_corpus_that_is_not_there_is_an_error() -> None:
    with pytest.raises(CorpusError, match="no file or folder 'nothing'"):
        open_corpus("nothing")
    with pytest.raises(CorpusError, match=r"neither a file nor a folder.*read twice"):
        open_corpus("/dev/null")


@pytest.mark.parametrize("name", ["parquet", "json", "csv", "text", "imagefolder", "parquet@train", "json:x"])
def test_formats_of_the_datasets_library_are_refused_at_once(name: str) -> None:
    with pytest.raises(CorpusError, match=r"is a format of the datasets library, not a data set.*give its path alone"):
        open_corpus(f"datasets:{name}")


def test_local_folders_are_not_read_as_data_sets(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="is a local folder or file: give its path alone"):
        open_corpus(f"datasets:{tmp_path}")
    with pytest.raises(CorpusError, match="does not name a data set"):
        open_corpus("datasets:")
