"""Wrong explanations of known kind, made of right ones."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.tokens import Vocabulary
from tests.worker.test_lexical_execution import CLAUSES
from worker.lexical.grammar import Clause, sentence
from worker.lexical.matching import Block
from worker.lexical.parser import executable, parse
from worker.lexical.planted import BROADER, Peer, PlantedKind, Planter, shifted

TOKENS = (
    *(b" " + word for word in b"the a of in cat sat mat dog ran fast red green import from".split()),
    b"ing", b"ed", b"(", b")", b",", b".", b"1", b"23", b"\n", b"=",
)  # fmt: skip
VOCABULARY = Vocabulary("planted", TOKENS)
GENERATOR = np.random.default_rng(0)
EXCERPTS = [GENERATOR.integers(0, len(TOKENS), 64).astype(np.int32) for _ in range(60)]
PLANTER = Planter(EXCERPTS, VOCABULARY)
PEERS = (
    Peer('fires on " dog"', frozenset({7, 8})),
    Peer('fires on digits', frozenset({1, 2, 3})),
    Peer("about joy", frozenset({1, 2})),
    Peer('fires on " sat" after " cat"', frozenset({1, 9, 10})),
)  # fmt: skip


def n_claimed(text: str) -> int:
    return int(np.count_nonzero(Block(EXCERPTS, VOCABULARY).predict(parse(text))))


def planted(text: str, seed: int = 0, tokens: frozenset[int] = frozenset({1, 2})) -> dict[PlantedKind, str]:
    return dict(PLANTER.planted(text, tokens=tokens, peers=PEERS, seed=seed))


RIGHT = 'fires strongly on " cat" and " mat", weakly on "," after " red" or " green"'


def test_every_kind_is_made_of_an_ordinary_sentence() -> None:
    wrong = planted(RIGHT)
    assert set(wrong) == set(PlantedKind)
    assert len({RIGHT, *wrong.values()}) == 1 + len(PlantedKind)
    assert all(executable(text) for text in wrong.values())


@pytest.mark.parametrize("text", [RIGHT, 'fires on " import" after "\\n"', 'fires on " of" and " in"'])
def test_a_text_that_is_too_broad_claims_so_many_times_as_much_and_all_that_is_right(text: str) -> None:
    for seed in range(5):
        wrong = planted(text, seed)
        for kind, factor in BROADER.items():
            if kind in wrong:
                ratio = n_claimed(wrong[kind]) / n_claimed(text)
                assert factor / 1.5 <= ratio <= factor * 1.5
                block = Block(EXCERPTS, VOCABULARY)
                right, broad = block.predict(parse(text)) > 0, block.predict(parse(wrong[kind])) > 0
                assert not (right & ~broad).any()
    assert PlantedKind.TWICE_TOO_BROAD in planted(text)


def test_a_text_that_is_too_narrow_has_half_of_the_items() -> None:
    narrow = parse(planted(RIGHT)[PlantedKind.TOO_NARROW])
    assert sum(len(c.targets) for c in narrow) == 1
    assert PlantedKind.TOO_NARROW not in planted('fires on " cat"')


def test_a_shifted_text_claims_the_tokens_behind() -> None:
    text = planted('fires on " cat"')[PlantedKind.SHIFTED]
    assert text == 'fires on the token after " cat"'
    assert (
        planted('fires on the token after " cat"')[PlantedKind.SHIFTED] == 'fires on the token two tokens after " cat"'
    )
    assert PlantedKind.SHIFTED not in planted('fires on the rest of a line after "("')


def test_a_swapped_text_is_a_readable_one_of_the_layer() -> None:
    texts = {planted(RIGHT, seed)[PlantedKind.SWAPPED] for seed in range(30)}
    assert texts <= {peer.text for peer in PEERS}
    assert "about joy" not in texts
    assert len(texts) > 1


def test_the_nearest_shares_the_largest_part_of_the_tokens_and_can_be_read() -> None:
    assert planted(RIGHT)[PlantedKind.NEAREST] == "fires on digits"  # "about joy" is nearer and says nothing
    assert planted(RIGHT, tokens=frozenset({9, 10}))[PlantedKind.NEAREST] == PEERS[3].text
    assert PlantedKind.NEAREST not in planted(RIGHT, tokens=frozenset({99}))


def test_what_cannot_be_executed_cannot_be_planted() -> None:
    assert planted("words about joy") == {}
    assert planted('fires not on " cat"') == {}


def test_equal_seeds_plant_equal_texts() -> None:
    assert planted(RIGHT, 7) == planted(RIGHT, 7)


@given(st.lists(CLAUSES, min_size=1, max_size=3), st.integers(0, 5))
def test_whatever_is_planted_is_another_text_that_is_read_as_it_was_meant(clauses: list[Clause], seed: int) -> None:
    text = sentence(clauses)
    for wrong in planted(text, seed).values():
        assert wrong != text
        assert executable(wrong)
        assert sentence(parse(wrong)) == wrong


@given(st.lists(CLAUSES, min_size=1, max_size=3))
def test_a_shift_moves_every_target(clauses: list[Clause]) -> None:
    moved = shifted(clauses)
    if moved:
        before = {(c.targets, c.conditions) for c in clauses}
        assert not before & {(c.targets, c.conditions) for c in moved} or len(moved) < len(clauses)
