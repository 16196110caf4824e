"""The table of a neuron's tokens, and what is left of it without held-out excerpts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.activations import ActivationRecord
from app.domain.token_table import TokenTable


def record(excerpt_id: int, pairs: list[tuple[int, float]]) -> ActivationRecord:
    tokens, activations = zip(*pairs, strict=True)
    return ActivationRecord(excerpt_id, np.array(tokens, dtype=np.int32), np.array(activations, dtype=np.float32))


def corpus_table(records: list[ActivationRecord], listed: int) -> TokenTable:
    """The table of a corpus that is these records, with its ``listed`` strongest tokens."""
    tokens = np.concatenate([r.token_ids for r in records])
    values = np.concatenate([r.activations for r in records]).astype(np.float64)
    token_ids, inverse, counts = np.unique(tokens, return_inverse=True, return_counts=True)
    means = np.bincount(inverse, values) / counts
    order = np.lexsort((token_ids, -means))[:listed]
    return TokenTable.of_corpus(
        token_ids[order], means[order], counts[order], mean=float(values.mean()), n_tokens=len(values)
    )


CORPUS = [record(1, [(5, 4.0), (6, 0.0), (7, 1.0)]), record(2, [(5, 2.0), (7, -1.0), (8, 0.5)])]


def test_what_is_not_listed_is_expected_at_the_mean_of_the_others() -> None:
    table = corpus_table(CORPUS, 1)
    assert table.strongest(3) == ((5, 3.0, 2),)
    assert table.others == pytest.approx((0.0 + 1.0 - 1.0 + 0.5) / 4)
    assert table.expected(np.array([8, 5, 99], dtype=np.int32)).tolist() == [0.125, 3.0, 0.125]


def test_a_table_that_lists_every_token_has_no_others() -> None:
    table = corpus_table(CORPUS, 9)
    assert table.n_others == 0
    assert table.strongest(1) == ((5, 3.0, 2),)


def test_a_token_of_held_out_excerpts_alone_is_listed_no_more() -> None:
    left = corpus_table(CORPUS, 9).without(CORPUS[:1])
    assert left.strongest(9) == ((5, 2.0, 1), (8, 0.5, 1), (7, -1.0, 1))


def test_without_anything_it_is_itself_and_without_everything_empty() -> None:
    table = corpus_table(CORPUS, 2)
    assert table.without([]) is table
    empty = table.without(CORPUS)
    assert (len(empty.token_ids), empty.n_others) == (0, 0)
    assert empty.expected(np.array([5], dtype=np.int32)).shape == (1,)


def test_of_records_the_rest_is_the_median() -> None:
    assert TokenTable.of_records(CORPUS).others == pytest.approx(0.75)
    with pytest.raises(ValueError, match="need at least one array"):
        TokenTable.of_records([])


pairs = st.lists(st.tuples(st.integers(0, 6), st.integers(-8, 8).map(lambda n: n / 4)), min_size=1, max_size=8)


@given(st.lists(pairs, min_size=2, max_size=6), st.integers(1, 8), st.data())
def test_taking_excerpts_out_is_never_having_read_them(
    rows: list[list[tuple[int, float]]], listed: int, data: st.DataObject
) -> None:
    records = [record(i, row) for i, row in enumerate(rows)]
    table = corpus_table(records, listed)
    held = data.draw(st.integers(0, len(records) - 1))
    rest = records[:held] + records[held + 1 :]
    left, plain = table.without([records[held]]), corpus_table(rest, 99)
    expected = {t: (mean, count) for t, mean, count in plain.strongest(99)}
    for token, mean, count in left.strongest(99):
        assert expected[token][1] == count
        assert expected[token][0] == pytest.approx(mean)
    others = [
        a
        for r in rest
        for t, a in zip(r.token_ids.tolist(), r.activations.tolist(), strict=True)
        if t not in left.token_ids and t not in table.token_ids
    ]
    assert left.n_others == len(others)
    if others:
        assert left.others == pytest.approx(np.mean(others))


@given(st.lists(st.lists(st.tuples(st.integers(0, 5), st.floats(-2, 8, width=32)), min_size=1), min_size=2, max_size=6))
def test_its_correlation_is_that_of_what_it_expects_with_the_corpus(
    texts: list[list[tuple[int, float]]],
) -> None:
    records = [record(i, pairs) for i, pairs in enumerate(texts)]
    values = np.concatenate([r.activations for r in records]).astype(np.float64)
    for listed in (2, 6):
        table = corpus_table(records, listed)
        expected = np.concatenate([table.expected(r.token_ids) for r in records]).astype(np.float64)
        found = table.correlation(variance=float(values.var()))
        if values.var() < 1e-6:
            continue
        assert found is not None
        if expected.std() < 1e-3:
            assert found < 0.1
        else:
            assert found == pytest.approx(np.corrcoef(expected, values)[0, 1], abs=1e-3)


def test_a_table_of_a_neuron_that_never_moves_has_no_correlation() -> None:
    assert corpus_table([record(0, [(1, 2.0), (2, 2.0)])], 2).correlation(variance=0.0) is None
