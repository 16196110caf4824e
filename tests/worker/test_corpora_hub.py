"""Data sets of the hub, with a library that is asked for rows but not for a network."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import datasets
import httpx2
import pytest

from app.errors import CorpusError
from worker.corpora.corpus import open_corpus


@dataclass
class FakeDataset:
    """Rows as the library streams them; an exception among them is raised."""

    rows: list[Any]
    column_names: list[str] | None = field(default_factory=lambda: ["id", "text"])
    asked: list[tuple[Any, ...]] = field(default_factory=list)

    def __iter__(self) -> Iterator[Any]:
        for row in self.rows:
            if isinstance(row, Exception):
                raise row
            yield row

    def load(self, name: str, configuration: str | None, *, split: str, streaming: bool) -> "FakeDataset":
        self.asked.append((name, configuration, split, streaming))
        return self


Serve = Callable[..., FakeDataset]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Serve:
    def with_rows(*rows: Any, **values: Any) -> FakeDataset:
        served = FakeDataset(list(rows), **values)
        monkeypatch.setattr(datasets, "load_dataset", served.load)
        return served

    return with_rows


def read(spec: str) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """(name, text) of the documents, and what was left out."""
    skipped: list[tuple[str, str]] = []
    documents = list(open_corpus(spec).read(lambda name, reason: skipped.append((name, reason))))
    return [(d.name, d.text) for d in documents], skipped


def test_rows_are_streamed_from_the_named_part(serve: Serve) -> None:
    served = serve({"id": 1, "text": "one"}, {"id": 2, "text": None}, {"id": 3, "text": " "}, {"id": 4, "text": "four"})
    documents, skipped = read("datasets:some/set:english@validation")
    assert documents == [("some/set:1", "one"), ("some/set:4", "four")]
    assert skipped == [("some/set:2", "no text under 'text'; it has id, text: name one with --text-field")]
    assert served.asked == [("some/set", "english", "validation", True)]
    read("datasets:some/set")
    assert served.asked[-1] == ("some/set", None, "train", True)


def test_a_data_set_without_the_column_is_refused_before_it_is_read(serve: Serve) -> None:
    serve({"body": "one"}, column_names=["body", "title"])
    with pytest.raises(CorpusError, match=r"has no column 'text'; it has body, title: name one with --text-field"):
        read("datasets:some/set")


def test_without_known_columns_a_data_set_does_not_run_on_without_end(serve: Serve) -> None:
    serve(*[{"body": "one"}] * 5000, column_names=None)
    documents, skipped = read("datasets:some/set")
    assert (documents, len(skipped)) == ([], 1001)


@pytest.mark.parametrize(
    "error",
    [
        ConnectionError("gone\nand more"),
        ValueError("gone"),
        httpx2.ReadError("gone"),
        datasets.exceptions.DatasetsError("gone"),
    ],
)
def test_what_fails_on_the_way_is_reported_in_a_sentence(serve: Serve, error: Exception) -> None:
    serve({"text": "one"}, error)
    with pytest.raises(CorpusError, match=r"^The data set 'some/set' cannot be read: gone$"):
        read("datasets:some/set")
