"""The demo's corpus and the arithmetic of its model's figures."""

import math
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo.baselines import ByteNgrams, bits_per_byte, xz_size
from demo.card import verdict
from demo.corpus import distinct_topics, is_held_out, library_tests, source_files, split, standard_library

Documents = list[tuple[str, str]]


@pytest.fixture(scope="module")
def library() -> Documents:
    return list(standard_library())


def write(root: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)


def test_the_library_reads_the_same_twice(library: Documents) -> None:
    assert list(standard_library()) == library


def test_names_are_unique_and_sources_come_before_topics(library: Documents) -> None:
    names = [name for name, _ in library]
    topics = [name.startswith("topics/") for name in names]
    assert len(set(names)) == len(names)
    assert topics == sorted(topics)
    assert {"json/decoder.py", "topics/lambda"} <= set(names)


def test_the_library_is_megabytes_of_text(library: Documents) -> None:
    assert sum(len(text) for _, text in library) > 6_000_000
    assert all(text.strip() for _, text in library)


def test_no_document_is_a_test_or_an_installed_package(library: Documents) -> None:
    folders = {folder for name, _ in library for folder in name.split("/")[:-1]}
    assert not folders & {"test", "tests", "idle_test", "site-packages", "dist-packages"}


def test_tests_and_library_share_no_document(library: Documents) -> None:
    skipped: list[str] = []
    tests = {name for name, _ in library_tests(on_skip=lambda name, _reason: skipped.append(name))}
    assert not tests & {name for name, _ in library}


def test_each_document_is_on_one_side_of_the_split(library: Documents) -> None:
    training, held_out = split(library)
    assert sorted(training + held_out) == sorted(library)
    assert not {name for name, _ in training} & {name for name, _ in held_out}
    assert 0.02 < len(held_out) / len(library) < 0.08


def test_the_split_looks_at_the_name_alone_and_stays_as_it_is() -> None:
    assert is_held_out("operator.py")
    assert is_held_out("topics/debugger")
    assert not is_held_out("json/decoder.py")


def test_a_file_that_cannot_be_decoded_is_reported_and_the_rest_goes_on(tmp_path: Path) -> None:
    skipped: list[tuple[str, str]] = []
    write(tmp_path, {"a.py": b"a = 1\n", "bad.py": b"# coding: utf-8\nx = '\xff'\n", "odd.py": b"# coding: nonsense\n"})
    found = source_files(tmp_path, on_skip=lambda name, reason: skipped.append((name, reason)))
    assert list(found) == [("a.py", "a = 1\n")]
    assert [name for name, _ in skipped] == ["bad.py", "odd.py"]
    assert "nonsense" in skipped[1][1]


def test_source_files_leave_out_tests_packages_tables_and_second_copies(tmp_path: Path) -> None:
    table = b"decoding_table = ()\n"
    write(
        tmp_path,
        {
            "b.py": b"one\n",
            "copy.py": b"one\n",
            "encodings/cp037.py": table,
            "encodings/utf_8.py": b"two\n",
            "json/tests/test_json.py": b"three\n",
            "site-packages/six.py": b"four\n",
            "_sysconfigdata__linux.py": b"five\n",
            "notes.txt": b"six\n",
            "empty.py": b"",
        },
    )
    assert [name for name, _ in source_files(tmp_path)] == ["b.py", "encodings/utf_8.py"]


def test_a_library_that_is_no_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NotADirectoryError, match="missing"):
        list(standard_library(tmp_path / "missing"))


def test_a_paragraph_stays_in_the_longest_topic_that_has_it() -> None:
    shared = "A paragraph that stands in two topics, word for word."
    topics = {"a": shared, "b": f"{shared}\n\nAnd a second one, which makes this topic the longer."}
    assert list(distinct_topics(topics)) == [("topics/b", topics["b"])]


def test_bits_per_byte_by_hand() -> None:
    # Three tokens of probability 1/2, 1/4 and 1/8 cost 1 + 2 + 3 bits; they spell four bytes.
    nats = -math.log(1 / 2) - math.log(1 / 4) - math.log(1 / 8)
    assert bits_per_byte(nats, 4) == pytest.approx(6 / 4)


def test_xz_needs_few_bytes_for_a_repeated_text() -> None:
    assert xz_size(b"spam " * 1000) < 200


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=4).filter(any), st.binary(max_size=8))
def test_the_ngram_model_spreads_one_over_all_bytes(documents: list[bytes], context: bytes) -> None:
    chances = ByteNgrams(documents).distribution(context)
    assert chances.shape == (256,)
    assert chances.min() > 0
    assert chances.sum() == pytest.approx(1)


def test_the_ngram_model_by_hand() -> None:
    # "aab": N = 3, two kinds. P(a) = (2 + 2/256) / 5. After "a" came a and b once each: P(b|a) = (1 + 2 P(b)) / 4.
    # The context of one byte is the last step only where no longer context was seen, as after "xa".
    ngrams = ByteNgrams([b"aab"])
    p_b = (1 + 2 / 256) / 5
    assert ngrams.distribution(b"xa")[ord("b")] == pytest.approx((1 + 2 * p_b) / 4)


def test_the_cost_of_a_text_is_the_sum_over_its_bytes() -> None:
    ngrams = ByteNgrams([b"def f(x):", b"def g(y):"])
    text = b"def h(x):"
    chances = [ngrams.distribution(text[:place])[byte] for place, byte in enumerate(text)]
    assert ngrams.nats([text]) == pytest.approx(-np.log(chances).sum())


def test_the_verdict_names_a_baseline_that_is_not_beaten() -> None:
    better = {"order_5_ngram_bits_per_byte": 2.0, "xz_bits_per_byte": 2.0}
    assert "by 50%" in verdict(1.0, better)
    assert "not beaten" not in verdict(1.0, better)
    assert "not beaten" in verdict(1.0, better | {"xz_bits_per_byte": 0.9})


def test_evaluation_windows_score_every_token_once() -> None:
    windows = pytest.importorskip("demo.evaluate").windows
    for tokens in (0, 1, 255, 256, 257, 384, 1000):
        cut = list(windows(tokens, 256))
        assert [place for window in cut for place in range(window.scored, window.last)] == list(range(tokens))
        assert all(window.last - window.first <= 256 for window in cut)
        assert all(later.scored - later.first == 128 for _, later in pairwise(cut))


def test_the_rate_warms_up_holds_and_falls_to_zero() -> None:
    train = pytest.importorskip("demo.train")
    recipe = train.Recipe(warm_up_steps=10, decay_share=0.5)
    assert train.rate_factor(0, 0.0, recipe) == pytest.approx(0.1)
    assert train.rate_factor(10, 0.5, recipe) == 1.0
    assert train.rate_factor(10, 0.75, recipe) == pytest.approx(0.5)
    assert train.rate_factor(10, 1.2, recipe) == 0.0


def test_training_windows_go_on_where_a_run_stopped() -> None:
    train = pytest.importorskip("demo.train")
    stream, recipe = train.Stream(np.arange(1, 2001), 1000), train.Recipe(context=8, batch=4)
    whole = list(islice(train.windows(stream, recipe, 0), 90))
    resumed = list(islice(train.windows(stream, recipe, 70), 20))
    assert all(bool((one == other).all()) for one, other in zip(whole[70:], resumed, strict=True))


def test_training_windows_are_pieces_of_the_text_some_with_the_special_token_in_front() -> None:
    train = pytest.importorskip("demo.train")
    stream, recipe = train.Stream(np.arange(1, 2001), 1000), train.Recipe(context=8, batch=4)
    rows = np.concatenate([batch.numpy() for batch in islice(train.windows(stream, recipe, 0), 60)])
    assert rows.shape == (240, 9)
    assert (np.diff(rows[:, 1:]) == 1).all()
    assert 0 < (rows[:, 0] == 0).mean() < 1


def test_a_short_document_costs_what_the_model_itself_says() -> None:
    torch = pytest.importorskip("torch")
    train, evaluate = pytest.importorskip("demo.train"), pytest.importorskip("demo.evaluate")
    recipe = train.Recipe(context=8, layers=1, width=12, heads=2, neurons_per_layer=16)
    model = train.build_model(recipe, 50)
    ids = [7, 3, 9, 4, 1]
    rows = torch.tensor([[0, *ids]])
    expected = model(input_ids=rows, labels=rows).loss.item() * len(ids)
    assert evaluate.document_nats(model, ids) == pytest.approx(expected, rel=1e-5)
    assert evaluate.document_nats(model, ids * 5) > 4 * expected
