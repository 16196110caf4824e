"""Uploaded files and folders that pages may read."""

import os
from io import BytesIO
from pathlib import Path

import pytest

from app.errors import Invalid
from app.settings import Settings
from app.transfer.folders import confined, delete_old_uploads, subject_folders, uploads_folder
from app.transfer.uploads import LONGEST_FILE_NAME, add_upload, file_name, keep_upload


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("text.txt", "text.txt"),
        ("/etc/passwd", "passwd"),
        ("..\\..\\a b.jsonl.gz", "a-b.jsonl.gz"),
        ("..", "upload"),
        (".hidden", "hidden"),
        ("", "upload"),
        ("é\0\n.csv", "csv"),
        ("-rf", "rf"),
    ],
)
def test_a_file_is_kept_under_a_safe_name(sent: str, kept: str) -> None:
    assert file_name(sent) == kept


def test_a_long_name_keeps_its_ending() -> None:
    name = file_name("a" * 300 + ".jsonl.gz")
    assert (len(name), name[-9:]) == (LONGEST_FILE_NAME, ".jsonl.gz")


def test_two_uploads_of_one_name_are_two_files(tmp_path: Path) -> None:
    files = [keep_upload(BytesIO(text), "a.txt", tmp_path) for text in (b"one", b"two")]
    assert [file.read_bytes() for file in files] == [b"one", b"two"]


def test_a_name_that_is_taken_in_a_shared_folder_is_refused(tmp_path: Path) -> None:
    add_upload(BytesIO(b"one"), "a.txt", tmp_path / "imports")
    with pytest.raises(Invalid, match="already"):
        add_upload(BytesIO(b"two"), "a.txt", tmp_path / "imports")
    assert (tmp_path / "imports" / "a.txt").read_bytes() == b"one"


def test_an_empty_upload_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="empty"):
        keep_upload(BytesIO(b""), "a.txt", tmp_path)
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == []


def test_old_uploads_are_deleted_and_new_ones_stay(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    delete_old_uploads(settings)  # without a folder
    old, new = (keep_upload(BytesIO(b"x"), "a.txt", uploads_folder(settings)) for _ in range(2))
    os.utime(old.parent, (0, 0))
    delete_old_uploads(settings)
    assert (old.exists(), new.exists()) == (False, True)


def test_a_path_is_confined_with_its_links_followed(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    for folder in (inside / "model", outside / "model"):
        folder.mkdir(parents=True)
    (inside / "link").symlink_to(outside)
    (inside / "good link").symlink_to(inside / "model")
    assert confined(str(inside / "good link"), [inside]) == (inside / "model").resolve()
    for path in (outside / "model", inside / "link" / "model", inside / ".." / "out", inside / "missing"):
        with pytest.raises(Invalid):
            confined(str(path), [inside])


def test_folders_are_those_of_the_setting_or_one_in_the_data_folder(tmp_path: Path) -> None:
    assert subject_folders(Settings(data_dir=tmp_path)) == (tmp_path / "subjects",)
    named = Settings(data_dir=tmp_path, subject_dirs="/models, /texts,")
    assert subject_folders(named) == (Path("/models"), Path("/texts"))
