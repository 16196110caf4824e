"""The rows that claims are judged on, and the loops that judge them, against NumPy."""

from dataclasses import replace

import numpy as np
import pytest

from app.domain.activations import ActivationRecord, NeuronRecords, SampleKind
from app.domain.token_table import TokenTable
from app.domain.tokens import Vocabulary
from tests.worker.test_lexical_explainer import TOKENS, VOCABULARY, neuron, told
from worker.explainers.lexical import evidence_groups
from worker.lexical.evidence import CORPUS, Evidence, Group, evidence_of
from worker.lexical.grammar import ANY, Affixed, AffixKind, Clause, Quoted, target_phrase
from worker.lexical.matching import Block
from worker.lexical.proposals import _affixes, _is_of_words, propose
from worker.lexical.search_loops import state_levels
from worker.lexical.selection import LEVELS, LONG_LIST, MOST_EXAGGERATED, PRICES, Item, Search
from worker.lexical.wording import in_order_of_strengths
from worker.method.contracts import NeuronTask
from worker.method.pipeline import without_held_out


def record(excerpt_id: int, tokens: list[int], values: list[float], stratum: SampleKind, p: float) -> ActivationRecord:
    ids, activations = np.array(tokens, dtype=np.int32), np.array(values, dtype=np.float32)
    return ActivationRecord(excerpt_id, ids, activations, stratum, p)


TOP = record(1, [1, 4], [9.0, 1.0], SampleKind.TOP, 1.0)
LOW = record(2, [4, 5], [0.5, 0.0], SampleKind.BAND_0, 0.1)
HIGH = record(3, [1, 5], [4.0, 1.0], SampleKind.BAND_4, 0.5)
POPULATIONS = {SampleKind.TOP: 1, SampleKind.BAND_0: 90, SampleKind.BAND_4: 9, SampleKind.RANDOM: 100}
GROUPS = (Group("train", (TOP,), 1.0, 0), Group("bands", (LOW, HIGH), 1.0))


def evidence(tokens: TokenTable | None = None, populations: dict[SampleKind, int] | None = None) -> Evidence:
    samples = {SampleKind.TOP: (TOP,), SampleKind.BAND_0: (LOW,), SampleKind.BAND_4: (HIGH,)}
    records = NeuronRecords(samples, 9.0, populations=POPULATIONS if populations is None else populations)
    return evidence_of(GROUPS, replace(records, tokens=tokens), VOCABULARY, unit=0.9)


def test_records_stand_for_the_excerpts_of_their_stratum() -> None:
    found = evidence()
    assert found.weights[CORPUS] == pytest.approx(np.array([1, 1, 90, 90, 9, 9]) / 200)
    assert found.activations == pytest.approx(np.array([9, 1, 0.5, 0, 4, 1]) / 0.9)
    assert found.weights.sum(axis=1) == pytest.approx([1, 1, 1])


def test_a_token_of_the_table_has_its_true_share_and_its_true_mean() -> None:
    table = TokenTable.of_corpus(np.array([1], np.int32), np.array([3.0]), np.array([20]), mean=0.7, n_tokens=200)
    found = evidence(table)
    is_import = np.concatenate([found.block.ids == 1, [True]])
    weights = found.weights[CORPUS] * is_import
    assert weights.sum() == pytest.approx(0.1)
    assert (weights @ found.activations) / weights.sum() == pytest.approx(3.0 / 0.9)
    assert found.weights[CORPUS].sum() == pytest.approx(1)
    assert found.table.token(found.table.ids[0]) == b" import"


def test_without_probabilities_random_excerpts_are_the_corpus() -> None:
    task = without_held_out(neuron(told('strongly on " import"')))
    found = evidence_of(evidence_groups(task), task.records, VOCABULARY, unit=0.9)
    random = [len(r.token_ids) for r in task.records.of(SampleKind.RANDOM)]
    assert (found.weights[CORPUS] > 0).sum() == sum(random)


def test_without_any_drawn_record_the_corpus_does_not_count() -> None:
    alone = (Group("train", (replace(TOP, probability=None),), 1.0),)
    records = NeuronRecords({SampleKind.TOP: (TOP,)}, 9.0)
    found = evidence_of(alone, records, VOCABULARY, unit=0.9)
    assert found.importance[CORPUS] == 0
    assert found.importance.sum() == 1


def prepared(task: NeuronTask) -> tuple[Evidence, Search]:
    own = without_held_out(task)
    found = evidence_of(evidence_groups(own), own.records, VOCABULARY, unit=own.records.level_10 / 10)
    return found, Search(found, propose(found))


def test_the_value_of_a_sentence_is_the_weighted_mean_of_its_correlations() -> None:
    found, search = prepared(neuron(told('strongly on " import", weakly on digits'), noise=0.5))
    items = [Item(1, 0, 3), Item(2, 1, 1)]
    levels = np.array(LEVELS)[search._predict(items)]
    expected = []
    for weights in found.weights:
        x, y = found.activations - weights @ found.activations, levels - weights @ levels
        expected.append((weights @ (x * y)) / np.sqrt((weights @ x**2) * (weights @ y**2)))
    assert search.correlations(items) == pytest.approx(expected)
    assert search.value(items) == pytest.approx(float(found.importance @ expected))


def test_each_step_knows_the_value_of_every_claim_that_may_be_added() -> None:
    _, search = prepared(neuron(told('strongly on " import", weakly on digits after " ="'), noise=0.5))
    items = [Item(1, 0, 3)]
    item, worth = search._best_step(items)
    assert worth <= search.value([*items, item])
    for target, condition, level in list(zip(*np.nonzero(search._stated), strict=True))[::97]:
        added = [*items, Item(int(target), int(condition), int(level))]
        assert search._found[target, condition, level] == pytest.approx(search.value(added), abs=1e-9)


def test_a_level_is_stated_where_the_neurons_mean_on_the_claim_is_near_it() -> None:
    means_of_corpus = np.array([0.0, 0.4, 1.9, 2.1, 4.9, 5.1, 9.0, np.nan])
    of_others = np.array([5.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0, 6.0])
    sums = np.zeros((8, 1, len(LEVELS), 3, 2))
    sums[:, 0, 1, CORPUS, 0] = weight = np.where(np.isnan(means_of_corpus), 0.0, 0.25)
    sums[:, 0, 1, CORPUS, 1] = weight * np.nan_to_num(means_of_corpus)
    sums[:, 0, 2, 0, 0], sums[:, 0, 2, 0, 1] = 0.5, 0.5 * of_others
    stated = np.zeros((8, 1, len(LEVELS)), dtype=np.bool_)
    state_levels(sums, CORPUS, np.array(LEVELS, dtype=np.float64), MOST_EXAGGERATED, stated)
    assert LEVELS == (0, 1, 3, 7)
    found = [tuple(level for level, is_stated in zip(LEVELS, row[0], strict=True) if is_stated) for row in stated]
    # The nearest and the next higher one, at most three times the mean; without rows in the corpus, the others' mean.
    assert found == [(), (1,), (1, 3), (3,), (3, 7), (7,), (7,), (7,)]


def test_there_are_no_rows_of_the_table_without_one() -> None:
    assert evidence().n_rows == evidence().block.n == 6
    assert len(TOKENS) > 6


def test_any_token_alone_is_no_claim() -> None:
    """A neuron that fires a little everywhere would get this claim, which says nothing about it."""
    _, search = prepared(neuron(told('any token (3), " import" (9)'), noise=0.3))
    assert search._proposals.targets[0] == ANY
    assert search._proposals.conditions[0] is None
    items = search.run()
    assert items
    assert all((item.target, item.condition) != (0, 0) for item in items)
    search._best_step([])
    assert (search._price([])[0, 0] > 1).all()


@pytest.mark.parametrize(
    ("longer", "shorter", "price"), [(b" x", b" cat", PRICES.letter), (b"\n   ", b"\n", PRICES.blank)]
)
def test_a_letter_and_white_space_cost_more_than_what_helps_a_reader(
    longer: bytes, shorter: bytes, price: float
) -> None:
    _, search = prepared(neuron(told('on " cat", " x", "\\n" and "\\n···"'), noise=0.1))
    targets = search._proposals.targets
    costs = {t.text: c for t, c in zip(targets, search._words.target, strict=True) if isinstance(t, Quoted)}
    assert costs[longer] - PRICES.character * len(target_phrase(Quoted(longer))) == pytest.approx(
        costs[shorter] - PRICES.character * len(target_phrase(Quoted(shorter))) + price
    )


def test_a_long_list_costs_more_with_every_further_item() -> None:
    _, search = prepared(neuron(told("on words"), noise=0.5))
    distinct = {key: target for target, key in enumerate(search._words.keys)}
    *listed, further = [Item(target, 0, 3) for target in list(distinct.values())[1 : LONG_LIST + 2]]
    price = [search._price(listed[:k])[further.target, 0, 3] for k in (1, LONG_LIST)]
    assert price[1] - price[0] == pytest.approx(PRICES.long_list)


def test_claims_of_one_strength_stand_together() -> None:
    first, second, third = (Clause(strength, (Quoted(b"x"),)) for strength in (3, 7, 3))
    assert in_order_of_strengths([first, second, third]) == [first, third, second]
    assert in_order_of_strengths([]) == []


@pytest.mark.parametrize(
    ("target", "is_of_words"),
    [
        (Quoted(b"con", any_case=True), False),
        (Affixed(AffixKind.PREFIX, "con"), True),
        (Affixed(AffixKind.SUFFIX, "on"), False),
        (Affixed(AffixKind.SUFFIX, "ert"), True),
        (Quoted(b"del", any_case=True), True),
    ],
)
def test_a_piece_of_a_word_is_not_called_a_word(target: Quoted | Affixed, is_of_words: bool) -> None:
    vocabulary = Vocabulary("pieces", (b" con", b"vert", b" del", b"."))
    block = Block([np.array([0, 1, 2, 3, 0, 1, 2], dtype=np.int32)], vocabulary)
    assert _is_of_words(block, target) is is_of_words


def test_an_ending_is_shared_by_three_words_and_case_makes_no_other_word() -> None:
    shared = _affixes([b" Error", b"error", b" mirror", b" running", b" sitting", b" string"])
    assert Affixed(AffixKind.SUFFIX, "ing") in shared
    assert not any(affix.text in ("ror", "rror") for affix in shared)
