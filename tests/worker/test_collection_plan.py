import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import CollectionError, CorpusError
from tests.worker.collecting import corpus_of, encode_bytes
from worker.collection import copies
from worker.collection.plan import Cut, Excerpts, Plan, prepare
from worker.corpora.documents import CorpusSource, Document, OnSkip


def cut(folder: Path, texts: list[str], length: int = 4, most: int | None = None) -> tuple[Plan, Excerpts]:
    corpus = corpus_of("texts", [(f"d{i}", text) for i, text in enumerate(texts)])
    plan = prepare(folder, corpus, encode_bytes, Cut(length, most, 2))
    return plan, Excerpts(folder, plan)


def test_excerpts_never_cross_documents_and_remainders_are_counted(tmp_path: Path) -> None:
    plan, excerpts = cut(tmp_path, ["abcdefghi", "xy", "jklm"])
    assert [bytes(row).decode() for row in excerpts.tokens(range(3)).astype(np.uint8)] == ["abcd", "efgh", "jklm"]
    assert excerpts.positions(np.arange(3)).tolist() == [[0, 0], [0, 4], [2, 0]]
    assert plan.notes == (
        "3 tokens (20.0%) at the ends of documents were left out, because they fill no excerpt of 4 tokens",
    )


def test_shards_cover_every_excerpt_once(tmp_path: Path) -> None:
    plan, _ = cut(tmp_path, ["abcdefghi" * 5])
    assert [e for shard in range(plan.n_shards) for e in plan.shard(shard)] == list(range(plan.n_excerpts))


def test_no_more_tokens_are_cut_than_asked_for(tmp_path: Path) -> None:
    plan, _ = cut(tmp_path, ["abcdefgh", "ijklmnop", "qrstuvwx"], most=14)
    assert plan.tokens == 12


def test_tokens_behind_the_last_one_asked_for_are_not_too_short_for_an_excerpt(tmp_path: Path) -> None:
    plan, _ = cut(tmp_path, ["abcdefghij" * 1000, "never looked at"], most=8)
    assert (plan.tokens, plan.notes) == (8, ("the corpus was read up to 8 tokens, as asked for",))
    plan, _ = cut(tmp_path / "two", ["abcdefghij", "klmnopqrst" * 1000], most=12)
    assert plan.notes[-1].startswith("2 tokens (14.3%) at the ends of documents were left out")


def test_exact_copies_are_left_out_and_counted(tmp_path: Path) -> None:
    plan, excerpts = cut(tmp_path, ["abcdefgh", "xabcdefgh", "efghabcdijkl"])
    assert [bytes(row).decode() for row in excerpts.tokens(range(5)).astype(np.uint8)] == [
        "abcd", "efgh", "xabc", "defg", "ijkl",
    ]  # fmt: skip
    assert excerpts.positions(np.arange(5)).tolist() == [[0, 0], [0, 4], [1, 0], [1, 4], [2, 8]]
    assert (plan.n_excerpts, plan.n_copies) == (5, 2)
    assert plan.notes[-1] == (
        "2 of 7 excerpts (28.6%) were left out, because they are exact copies of earlier ones: every text counts once"
    )
    assert (tmp_path / "excerpts.bin").stat().st_size == 5 * 4 * 4


def test_a_corpus_that_repeats_one_text_is_one_excerpt(tmp_path: Path) -> None:
    plan, excerpts = cut(tmp_path, ["abcd" * 500])
    assert (plan.n_excerpts, plan.n_copies) == (1, 499)
    assert bytes(excerpts.tokens(range(1))[0].astype(np.uint8)) == b"abcd"


@given(st.lists(st.sampled_from(["abcd", "abce", "xbcd", "dcba", "aaaa"]), min_size=1, max_size=40), st.integers(1, 7))
def test_the_first_of_equal_excerpts_stays_in_its_order(texts: list[str], at_once: int) -> None:
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(copies, "AT_ONCE", at_once)
        plan, excerpts = cut(Path(name), texts)
        kept = [bytes(row).decode() for row in excerpts.tokens(range(plan.n_excerpts)).astype(np.uint8)]
        first = list(dict.fromkeys(texts))
        assert kept == first
        assert excerpts.positions(np.arange(len(first)))[:, 0].tolist() == [texts.index(text) for text in first]


def test_texts_are_tokenized_few_at_a_time(tmp_path: Path) -> None:
    sizes: list[tuple[int, int]] = []

    def encode(texts: list[str]) -> list[list[int]]:
        sizes.append((len(texts), sum(map(len, texts))))
        return encode_bytes(texts)

    short, long = [("s", "a" * 8)] * 100, [("l", "b" * (1 << 20))] * 5
    prepare(tmp_path, corpus_of("texts", [*short, *long]), encode, Cut(4, None, 2))
    assert sizes == [(64, 512), (38, 36 * 8 + (2 << 20)), (2, 2 << 20), (1, 1 << 20)]


def test_a_corpus_shorter_than_one_context_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"no text of 4 tokens. Documents: 2; tokens: 5"):
        cut(tmp_path, ["abc", "de"])


def test_a_corpus_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    def read(on_skip: OnSkip) -> list[Document]:
        on_skip("rows.jsonl:1", "no JSON object with a text under 'text'")
        return []

    with pytest.raises(CorpusError, match=r"left out rows.jsonl:1: no JSON object with a text under 'text'"):
        prepare(tmp_path, CorpusSource("rows", "rows", read), encode_bytes, Cut(4, None, 2))


def test_a_file_that_cannot_be_written_is_a_clear_error_and_can_be_repeated(tmp_path: Path) -> None:
    in_the_way = tmp_path / "places.bin"
    in_the_way.mkdir()
    with pytest.raises(CollectionError, match=r"cannot be written: Is a directory. Make room"):
        cut(tmp_path, ["abcdefgh"])
    in_the_way.rmdir()
    assert cut(tmp_path, ["abcdefgh"])[0].n_excerpts == 2


def test_a_plan_that_is_there_is_taken_as_it_is(tmp_path: Path) -> None:
    plan, _ = cut(tmp_path, ["abcdefgh"])
    again, excerpts = cut(tmp_path, ["something else"])
    assert again == plan
    assert bytes(excerpts.tokens(range(1))[0].astype(np.uint8)) == b"abcd"


def test_names_and_offsets_of_documents_are_kept(tmp_path: Path) -> None:
    rows = [Document("a.txt", "abcd", 0), Document("a.txt", "efgh", 99)]
    plan = prepare(tmp_path, CorpusSource("a", "a", lambda on_skip: rows), encode_bytes, Cut(4, None, 2))
    assert list(Excerpts(tmp_path, plan).documents({1})) == [(1, "a.txt", 99)]


def notes_of(tmp_path: Path, *left_out: tuple[str, str]) -> tuple[str, ...]:
    def read(on_skip: OnSkip) -> list[Document]:
        for name, reason in left_out:
            on_skip(name, reason)
        return [Document("good", "abcd")]

    return prepare(tmp_path, CorpusSource("x", "x", read), encode_bytes, Cut(4, None, 2)).notes


def test_documents_left_out_are_noted(tmp_path: Path) -> None:
    notes = notes_of(tmp_path, *[(f"bad {i}", "broken") for i in range(25)])
    assert (notes[0], notes[-1]) == ("left out bad 0: broken", "left out 5 more documents that could not be read")


def test_rows_left_out_are_told_by_file_so_that_no_file_hides_another(tmp_path: Path) -> None:
    rows = [(f"a:b.jsonl:{n}", f"not JSON: column {n}") for n in range(3, 5000)]
    notes = notes_of(tmp_path, *rows, ("a:b.jsonl", "the rest was not read"), ("c.csv:9", "short"), ("d.pdf", "a PDF"))
    assert notes == (
        "left out 4997 rows of a:b.jsonl, the first is row 3: not JSON: column 3",
        "left out a:b.jsonl: the rest was not read",
        "left out c.csv:9: short",
        "left out d.pdf: a PDF",
    )


def test_what_the_database_cannot_hold_is_replaced_in_notes(tmp_path: Path) -> None:
    assert notes_of(tmp_path, ("a\udce9.txt", "it has a\0b")) == ("left out a?.txt: it has a\ufffdb",)


@given(st.lists(st.text("abc", max_size=30), min_size=1, max_size=8), st.integers(1, 5))
def test_nothing_is_lost_but_remainders(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], length: int
) -> None:
    pieces = [text[i : i + length] for text in texts for i in range(0, len(text) - length + 1, length)]
    whole = list(dict.fromkeys(pieces))
    folder = tmp_path_factory.mktemp("cut")
    if not whole:
        with pytest.raises(CorpusError):
            cut(folder, texts, length)
        return
    plan, excerpts = cut(folder, texts, length)
    assert [bytes(row).decode() for row in excerpts.tokens(range(plan.n_excerpts)).astype(np.uint8)] == whole
