"""Files made to do harm, and files that are damaged: each is refused with its reason, and the good records stay."""

import gzip
import io
import json
import os
import socket
import struct
import tarfile
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from app.errors import Invalid
from app.formats.bounds import MEBIBYTE, MOST_RECORD_BYTES, MOST_RECORDS, MOST_TOKENS
from app.formats.openai.reader import OpenAIReader
from app.formats.own import parquet as parquet_format
from app.formats.own.parquet import ParquetReader
from tests.openai_files import neuron_record, simulation_results
from tests.unit.formats.reading import Reading, read_path

GOOD = json.dumps(neuron_record(0, 0)).encode()
LINE = json.dumps(simulation_results(0, 0)).encode() + b"\n"


def read(path: Path) -> Reading:
    return read_path(OpenAIReader(), path)


def in_folder(folder: Path, name: str, content: bytes) -> Path:
    """A folder with one good file and one other."""
    (folder / "good.json").write_bytes(GOOD)
    (folder / name).write_bytes(content)
    return folder


def deep(levels: int) -> bytes:
    return b'{"neuron_id": ' + b'{"a":' * levels + b"1" + b"}" * levels + b"}"


CONTENTS: dict[str, tuple[str, bytes, str]] = {
    "XML in place of JSON": ("bad.json", b"<?xml version='1.0'?><neuron/>", "JSON is malformed"),
    "an empty file": ("bad.json", b"", "it is empty"),
    "blanks alone": ("bad.json", b" \n\n ", "it is empty"),
    "UTF-16": ("bad.json", json.dumps({}).encode("utf-16"), "JSON is malformed"),
    "a byte that is no UTF-8": ("bad.json", b"\xff\xfe\xfd", "JSON is malformed"),
    "NaN": ("bad.json", GOOD.replace(b"0.125", b"NaN"), "JSON is malformed"),
    "infinity": ("bad.json", GOOD.replace(b"0.125", b"1e999"), "Number out of range"),
    "half a surrogate pair": ("bad.json", GOOD.replace(b" cat", b"\\ud800"), "bad.json"),
    "nested arrays": ("bad.json", b'{"unknown": ' + b"[" * 200_000, "it is nested too deeply"),
    "nested objects": ("bad.json", deep(200_000), "it is nested too deeply"),
    "nested lines": ("bad.jsonl", deep(100_000) + b"\n", "it is nested too deeply"),
    "a number of a thousand digits": ("bad.json", GOOD.replace(b'"layer_index": 0', b'"layer_index": ' + b"9" * 1000),
                                      "bad.json"),
    "a layer that no model has": ("bad.json", GOOD.replace(b'"layer_index": 0', b'"layer_index": 40000'),
                                  "layer: a layer is a number from 0 to 32767"),
    "a negative index": ("bad.json", GOOD.replace(b'"neuron_index": 0', b'"neuron_index": -1'), "index: an index"),
    "a truncated document": ("bad.json", GOOD[:-10], "Input data was truncated"),
    "two documents": ("bad.json", GOOD + GOOD, "JSON is malformed: trailing characters"),
    "a list in place of a record": ("bad.json", b"[1, 2]", "Expected `object`, got `array`"),
    "a gzip file that is cut": ("bad.json.gz", gzip.compress(os.urandom(99_000).hex().encode())[:-2_000],
                                "the packed data end before their end"),
    "no gzip file": ("bad.json.gz", b"no gzip at all, only a name", "the packed data"),
    "a gzip bomb": ("bad.json.gz", gzip.compress(bytes(30 * MOST_RECORD_BYTES // 10)), "it has more than 32 MiB"),
}  # fmt: skip


@pytest.mark.parametrize("name", CONTENTS)
def test_a_hostile_file_is_refused_and_the_others_are_read(tmp_path: Path, name: str) -> None:
    file, content, reason = CONTENTS[name]
    found = read(in_folder(tmp_path, file, content))
    assert len(found.records) == 1
    assert len(found.problems) == 1
    assert found.problems[0].file == file.removesuffix(".gz")
    assert reason in str(found.problems[0])


def test_nul_is_text_like_any_other(tmp_path: Path) -> None:
    found = read(in_folder(tmp_path, "nul.json", GOOD.replace(b" cat", b"\\u0000")))
    assert not found.problems
    assert "\x00" in found.records[1].samples[0].records[1].tokens


def test_a_line_of_a_gigabyte_is_refused_and_never_held(tmp_path: Path) -> None:
    path = tmp_path / "long.jsonl"
    with path.open("wb") as file:
        file.write(LINE)
        file.truncate(len(LINE) + 1024 * MEBIBYTE)  # a hole: it reads as NUL and takes no room
    with path.open("ab") as file:
        file.write(b"\n" + LINE)
    found = read(path)
    assert [record.origin.line for record in found.records] == [1, 3]
    assert found.reasons == ["long.jsonl:2: the line has more than 32 MiB"]


def test_good_lines_before_the_cut_of_a_gzip_file_stay(tmp_path: Path) -> None:
    packed = gzip.compress(LINE * 500, compresslevel=1)
    (tmp_path / "cut.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    found = read(tmp_path)
    assert 100 <= len(found.records) < 500
    assert [problem.reason for problem in found.problems] == ["the packed data end before their end"]


def test_a_bomb_of_lines_ends_where_its_ratio_is_seen(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "bomb.jsonl.gz", "wb", compresslevel=9) as file:
        for _ in range(300):
            file.write(b"\n" * MEBIBYTE)
    found = read(tmp_path)
    assert [problem.reason for problem in found.problems] == ["It unpacks to more than 200 times its size."]


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "outside.json").write_bytes(GOOD)
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "link.json").symlink_to(tmp_path / "outside.json")
    (folder / "up").symlink_to(tmp_path)
    (folder / "loop").symlink_to(folder / "loop2")
    (folder / "loop2").symlink_to(folder / "loop")
    (folder / "good.json").write_bytes(GOOD)
    found = read(folder)
    assert len(found.records) == 1
    assert sorted(problem.file for problem in found.problems) == ["link.json", "loop", "loop2", "up"]


def test_folders_that_are_nested_without_end_are_left(tmp_path: Path) -> None:
    (tmp_path / "good.json").write_bytes(GOOD)
    innermost = tmp_path.joinpath(*["d"] * 400)
    innermost.mkdir(parents=True)
    (innermost / "deep.json").write_bytes(GOOD)
    found = read(tmp_path)
    assert (len(found.records), found.reasons) == (1, [f"{'/'.join('d' * 51)}: it lies in more than 50 folders"])


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "good.json").write_bytes(GOOD)
    found = read(tmp_path)
    assert (len(found.records), found.reasons) == (1, ["pipe.json: it is no file"])


def _tar(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w:gz" if path.name.endswith("gz") else "w") as archive:
        for info, content in members:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def _member(name: str, **values: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    for key, value in values.items():
        setattr(info, key, value)
    return info


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz", "a.tgz"])
def test_links_devices_and_paths_that_lead_elsewhere_are_refused_in_a_tar_archive(tmp_path: Path, name: str) -> None:
    path = _tar(
        tmp_path / name,
        (_member("good.json"), GOOD),
        (_member("/etc/absolute.json"), GOOD),
        (_member("../../up.json"), GOOD),
        (_member("C:\\windows.json"), GOOD),
        (_member("link.json", type=tarfile.SYMTYPE, linkname="/etc/passwd"), b""),
        (_member("hard.json", type=tarfile.LNKTYPE, linkname="good.json"), b""),
        (_member("device.json", type=tarfile.CHRTYPE), b""),
        (_member("last.json"), GOOD),
    )
    found = read(path)
    assert [record.origin.file for record in found.records] == ["good.json", "last.json"]
    assert [problem.reason for problem in found.problems] == [
        "its path is absolute", "its path leads out of the archive", "its path is absolute", "it is a link",
        "it is a link", "it is neither a file nor a folder",
    ]  # fmt: skip


def _zip(path: Path, *members: tuple[str | zipfile.ZipInfo, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content, zipfile.ZIP_DEFLATED)
    return path


def test_links_and_paths_that_lead_elsewhere_are_refused_in_a_zip_archive(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link.json")
    link.external_attr = 0o120777 << 16
    path = _zip(
        tmp_path / "a.zip",
        ("good.json", GOOD),
        ("/absolute.json", GOOD),
        ("a/../../up.json", GOOD),
        (link, b"/etc/passwd"),
        ("last.json", GOOD),
    )
    found = read(path)
    assert [record.origin.file for record in found.records] == ["good.json", "last.json"]
    assert [problem.reason for problem in found.problems] == [
        "its path is absolute", "its path leads out of the archive", "it is a link",
    ]  # fmt: skip


def test_a_zip_bomb_ends_where_its_ratio_is_seen(tmp_path: Path) -> None:
    path = _zip(tmp_path / "bomb.zip", ("good.json", GOOD), ("bomb.json", bytes(100 * MEBIBYTE)))
    found = read(path)
    assert (len(found.records), len(found.problems)) == (1, 1)
    assert "unpacks to more than 200 times its size" in found.reasons[0]


def test_a_zip_archive_that_lies_about_a_size_yields_what_it_says(tmp_path: Path) -> None:
    path = _zip(tmp_path / "lie.zip", ("good.json", GOOD), ("bomb.json", GOOD))
    content = path.read_bytes()
    second = content.rindex(b"PK\x01\x02")
    lied = content[: second + 24] + struct.pack("<I", 100) + content[second + 28 :]
    path.write_bytes(lied)
    found = read(path)
    assert (len(found.records), len(found.problems)) == (1, 1)


def test_an_encrypted_member_is_refused(tmp_path: Path) -> None:
    path = _zip(tmp_path / "a.zip", ("good.json", GOOD))
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x03\x04") + 6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    assert read(path).reasons == ["good.json: it is encrypted"]


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("a.zip", lambda: b"no archive"),
        ("a.tar", lambda: b"no archive" * 100),
        ("a.tar.gz", lambda: b"no archive" * 100),
        ("a.tar.gz", lambda: gzip.compress(b"no archive" * 100)),
    ],
)
def test_what_is_no_archive_is_refused_as_a_whole(tmp_path: Path, name: str, make: Callable[[], bytes]) -> None:
    (tmp_path / name).write_bytes(make())
    with pytest.raises(Invalid, match=r"a\.(zip|tar)"):
        read(tmp_path / name)


def test_a_tar_archive_that_is_cut_keeps_what_comes_before(tmp_path: Path) -> None:
    path = _tar(tmp_path / "a.tar.gz", (_member("one.json"), GOOD), (_member("two.json"), os.urandom(90_000)))
    path.write_bytes(path.read_bytes()[:-40_000])
    found = read(path)
    assert [record.origin.file for record in found.records] == ["one.json"]
    assert found.problems


def test_there_must_be_something(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="There is no folder or file"):
        read(tmp_path / "nothing")


def test_pickles_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "evil.pkl").write_bytes(b"cos\nsystem\n(S'touch /tmp/evil'\ntR.")
    (tmp_path / "good.json").write_bytes(GOOD)
    assert len(read(tmp_path).records) == 1


def _parquet(path: Path, values: list[str], indices: list[int], *, is_plain: bool = True) -> Path:
    """A file that keeps each value once, however many rows have it. Not ``is_plain``: so does who reads it."""
    column = pyarrow.DictionaryArray.from_arrays(pyarrow.array(indices, pyarrow.int32()), pyarrow.array(values))
    parquet.write_table(pyarrow.table({"model": column}), path, compression="zstd", store_schema=not is_plain)
    return path


def test_a_parquet_bomb_of_one_value_ends_where_its_ratio_is_seen(tmp_path: Path) -> None:
    path = _parquet(tmp_path / "bomb.parquet", ["z" * 100_000], [0] * 20_000)
    assert path.stat().st_size < 20_000
    found = read_path(ParquetReader(), path)
    assert found.problems[-1].reason == "It unpacks to more than 200 times its size."
    assert len(found.problems) < 2_000  # of 20,000 rows


def test_a_parquet_bomb_of_one_row_is_never_unpacked(tmp_path: Path) -> None:
    path = _parquet(tmp_path / "bomb.parquet", ["z" * 100 * MEBIBYTE], [0])
    found = read_path(ParquetReader(), path)
    assert found.reasons == ["bomb.parquet: It unpacks to more than 200 times its size."]


def test_a_parquet_file_whose_size_in_memory_says_nothing_is_refused(tmp_path: Path) -> None:
    path = _parquet(tmp_path / "bomb.parquet", ["z" * 100_000], [0] * 20_000, is_plain=False)
    assert read_path(ParquetReader(), path).reasons == ["bomb.parquet: a column is a dictionary: write plain values"]


def test_as_many_rows_are_read_as_have_room_with_the_longest_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    letters = "".join(chr(97 + number % 26) for number in range(1000))
    path = _parquet(tmp_path / "wide.parquet", [letters, "m"], [0, 1] * 50)
    sizes: list[int] = []
    monkeypatch.setattr(parquet_format, "MOST_BATCH_BYTES", 5_000)
    monkeypatch.setattr(parquet_format, "check_ratio", lambda n, size: sizes.append(n))
    found = read_path(ParquetReader(), path)
    assert len(found.problems) == 100
    assert len(sizes) > 1 + 100 // 5  # a check for the group, and one for each batch of at most four rows


def test_members_of_a_zip_archive_that_share_their_bytes_are_bounded_together(tmp_path: Path) -> None:
    path = _zip(tmp_path / "one.zip", ("good.json", GOOD.replace(b" cat", b"x" * 2 * MEBIBYTE)))
    raw = path.read_bytes()
    start, end = raw.index(b"PK\x01\x02"), raw.rindex(b"PK\x05\x06")
    entry, n = raw[start:end], 60
    closing = bytearray(raw[end:])
    struct.pack_into("<HHI", closing, 8, n, n, len(entry) * n)
    (tmp_path / "many.zip").write_bytes(raw[:start] + entry * n + bytes(closing))
    found = read(tmp_path / "many.zip")
    assert "unpacks to more than 200 times its size" in found.reasons[-1]
    assert len(found.records) < 35  # of 60


def test_a_sparse_member_of_a_tar_archive_is_not_blown_up(tmp_path: Path) -> None:
    path, size = tmp_path / "sparse.tar", 2**44
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        member = _member("bomb.json", size=512)
        member.pax_headers = {
            "GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "bomb.json",
            "GNU.sparse.realsize": str(size),
        }  # fmt: skip
        archive.addfile(member, io.BytesIO(b"1\n0\n0\n".ljust(512, b"\0")))
        last = _member("last.json", size=len(GOOD))
        archive.addfile(last, io.BytesIO(GOOD))
    found = read(path)
    assert ([record.origin.file for record in found.records], found.reasons) == (
        ["last.json"],
        ["bomb.json: it has more than 32 MiB"],
    )


def test_a_size_below_zero_in_a_tar_archive_is_no_size(tmp_path: Path) -> None:
    path = _tar(tmp_path / "a.tar", (_member("bad.json"), GOOD))
    content = bytearray(path.read_bytes())
    content[124:136] = b"\xff" * 12  # the size, as a binary number
    content[148:156] = b" " * 8
    content[148:156] = b"%06o\0 " % sum(content[:512])
    path.write_bytes(content)
    with suppress(Invalid):  # some versions of Python refuse the whole archive
        found = read(path)
        assert not found.records
        assert found.problems


def test_a_device_behind_a_link_a_socket_and_gzip_in_gzip_are_refused(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(tmp_path / "socket.json"))
        (tmp_path / "zero.json").symlink_to("/dev/zero")
        (tmp_path / "twice.json.gz").write_bytes(gzip.compress(gzip.compress(bytes(10 * MEBIBYTE))))
        (tmp_path / "good.json").write_bytes(GOOD)
        found = read(tmp_path)
    assert len(found.records) == 1
    assert sorted(problem.file for problem in found.problems) == ["socket.json", "twice.json", "zero.json"]


def test_too_many_tokens_and_too_many_records_are_refused(tmp_path: Path) -> None:
    sample = b'"most_positive_activation_records": '
    long = {"tokens": ["a"] * (MOST_TOKENS + 1), "activations": [0.5] * (MOST_TOKENS + 1)}
    many = [{"tokens": ["a"], "activations": [0.5]}] * (MOST_RECORDS + 1)
    start = b'{"neuron_id": {"layer_index": 0, "neuron_index": 1}, ' + sample
    (tmp_path / "long.json").write_bytes(start + json.dumps([long]).encode() + b"}")
    (tmp_path / "many.json").write_bytes(start + json.dumps(many).encode() + b"}")
    found = read(tmp_path)
    assert [problem.file for problem in found.problems] == ["long.json", "many.json"]
    assert not any(sample.records for record in found.records for sample in record.samples)
