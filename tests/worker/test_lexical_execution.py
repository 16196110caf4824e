"""Compiled programs find what ``Block`` finds, for whatever can be claimed of whatever tokens."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.tokens import Vocabulary
from tests.worker.test_lexical_matching import EXCERPTS, TOKENS, VOCABULARY
from worker.lexical.classes import CLASSES
from worker.lexical.execution import SILENCED, claim, forget, scratch_for, tile_of
from worker.lexical.grammar import Affixed, AffixKind, Clause, Named, Near, Quoted, Reach, Spot, Target
from worker.lexical.matching import Block
from worker.lexical.parser import parse
from worker.lexical.programs import compiled

Ids = list[list[int]]
# Mostly texts that occur: pieces of the tokens laid end to end, with and without the space in front.
WORDS = [b"import", b" import", b"os", b"im", b"port", b"t", b"imp", b"the", b"The", b" ", b"import os", b"(,", b'"']
TARGETS: st.SearchStrategy[Target] = st.one_of(
    st.builds(Quoted, st.sampled_from([*WORDS, *(t for t in TOKENS if t)]), st.booleans()),
    st.sampled_from([Named(c.name) for c in CLASSES]),
    st.builds(Affixed, st.sampled_from(AffixKind), st.sampled_from(["im", "t", "or", "o"])),
)
LISTS = st.lists(TARGETS, min_size=1, max_size=3).map(tuple)
CONDITIONS = st.lists(st.one_of(st.sampled_from(Spot), st.builds(Near, st.sampled_from(Reach), LISTS)), max_size=3)
CLAUSES = st.builds(Clause, st.integers(0, 10), LISTS, CONDITIONS.map(tuple))
PROGRAMS = st.lists(st.lists(CLAUSES, min_size=1, max_size=3), min_size=1, max_size=4)


def executed(explanations: list[list[Clause]], excerpts: list[np.ndarray], vocabulary: Vocabulary) -> list[list[int]]:
    """The expected activation of each token, explanation by explanation, one scratch for all."""
    program = compiled(explanations, vocabulary)
    tile = tile_of(excerpts, vocabulary, program)
    scratch = scratch_for(len(tile.ids))
    rows = []
    for explanation in range(len(explanations)):
        n = claim(program, explanation, tile, scratch)
        assert scratch.touched[:n].tolist() == np.flatnonzero(scratch.levels).tolist()
        rows.append(np.where(scratch.levels == SILENCED, 0, scratch.levels).tolist())
        forget(scratch, n)
    assert not scratch.levels.any()
    return rows


@settings(max_examples=400)
@given(PROGRAMS, EXCERPTS)
def test_a_program_claims_what_each_of_its_explanations_claims_alone(
    explanations: list[list[Clause]], excerpts: Ids
) -> None:
    rows = [np.array(e, dtype=np.int32) for e in excerpts]
    expected = [Block(rows, VOCABULARY).predict(clauses).tolist() for clauses in explanations]
    assert executed(explanations, rows, VOCABULARY) == expected


@pytest.mark.parametrize(
    ("text", "tokens", "found"),
    [
        ('"import"', (b" import", b"im", b"port", b"import"), [0, 2, 3]),
        ('"import os"', (b"(", b" im", b"port", b" os"), [3]),
        ('the word "IMPORT"', (b"im", b"port", b"(", b"Import", b"port"), [1, 3]),
        ('the token after "import"', (b"im", b"port", b"(", b"port"), [2]),
    ],
)
def test_a_text_in_several_tokens_is_found_at_its_last(text: str, tokens: tuple[bytes, ...], found: list[int]) -> None:
    vocabulary = Vocabulary("parts", tuple(dict.fromkeys((*TOKENS, *tokens))))
    ids = np.array([vocabulary.tokens.index(t) for t in tokens], dtype=np.int32)
    (levels,) = executed([list(parse(text))], [ids], vocabulary)
    assert np.flatnonzero(levels).tolist() == found


def test_no_explanation_and_no_excerpt_are_no_trouble() -> None:
    assert executed([], [np.array([1], dtype=np.int32)], VOCABULARY) == []
    assert executed([list(parse('"import"'))], [], VOCABULARY) == [[]]
