"""What a person names is the same source however they write it."""

from pathlib import Path

import pytest

from app.transfer.sources import Location


@pytest.mark.parametrize("written", ["data", "./data", "data/", "other/../data", "~/data"])
def test_a_folder_has_one_name_from_any_folder(written: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Location(written).opened().name == Location(str(tmp_path / "data")).opened().name
    assert Location(written).absolute().source == str(tmp_path / "data")


def test_a_link_keeps_the_ending_by_which_a_file_is_known(tmp_path: Path) -> None:
    (tmp_path / "4f53cda1").write_bytes(b"")
    link = tmp_path / "data.jsonl.gz"
    link.symlink_to("4f53cda1")
    assert Location(str(link)).absolute().source == str(link)
