"""Where clauses match, on a small vocabulary."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.tokens import Vocabulary
from worker.lexical.matching import Block
from worker.lexical.parser import parse

TOKENS = (
    b"import", b" import", b" os", b"\n", b"\n   ", b" def", b"(", b")", b",", b" quot", b"ation", b"#", b'"',
    b"\xe2\x82", b"\xac", b" The", b" the", b"the", b"12", b"", b"Import", b"im", b"port",
)  # fmt: skip
VOCABULARY = Vocabulary("words", TOKENS)


def ids(*tokens: bytes) -> np.ndarray:
    return np.array([TOKENS.index(token) for token in tokens], dtype=np.int32)


def found(text: str, *excerpts: tuple[bytes, ...]) -> list[int]:
    """Positions of the tokens that the text names, counted through all excerpts."""
    block = Block([ids(*e) for e in excerpts], VOCABULARY)
    return np.flatnonzero(block.predict(parse(text))).tolist()


CODE = (b"import", b" os", b"\n", b" def", b"(", b" os", b",", b" import", b")", b"\n   ", b"import", b"#", b" the")


@pytest.mark.parametrize(
    ("text", "positions"),
    [
        ('"import"', [0, 7, 10]),
        ('" import"', [7]),
        ('"import os"', [1]),
        ('the word "IMPORT"', [0, 7, 10]),
        ("any token at the start of a line", [3, 10]),
        ('the token after "("', [5]),
        ('the token two tokens after "("', [6]),
        ('any token shortly after " def"', [4, 5, 6, 7, 8, 9, 10, 11]),
        ('any token later in a line after " def"', [4, 5, 6, 7, 8, 9]),
        ('any token anywhere after ")"', [9, 10, 11, 12]),
        ('any token before "os,"', [4]),
        ("any token inside brackets", [5, 6, 7, 8]),
        ("any token in a comment", [12]),
        ("any token in an indented line", [10, 11, 12]),
        ("words that occurred before", [5, 10]),
        ("the first token of the excerpt", [0]),
        ('words ending in "rt"', [0, 7, 10]),
        ('"import", but not after "," or at the start of a line', [0]),
        ('" os" after "(" or later in a line after "import"', [1, 5]),
        ("line breaks", [2, 9]),
    ],
)
def test_conditions(text: str, positions: list[int]) -> None:
    assert found(text, CODE) == positions


def test_early_and_late_are_counted_from_the_start_of_each_excerpt() -> None:
    excerpts = [(b" the",) * 30, (b" os",) * 26]
    assert found("any token late in the excerpt", *excerpts) == [*range(24, 30), 54, 55]
    assert found("any token early in the text", *excerpts) == [*range(24), *range(30, 54)]


def test_a_word_in_parts_is_found_at_its_last_token() -> None:
    assert found('"quotation"', (b" quot", b"ation")) == [1]
    assert found('the word "import"', (b"im", b"port", b"(", b" import", b"(", b"Import")) == [1, 3, 5]


def test_a_word_is_not_found_inside_another_one() -> None:
    assert found('the word "port"', (b"im", b"port", b"(", b"port")) == [3]


def test_a_quote_that_ends_inside_a_token_is_not_found() -> None:
    assert found('"impor"', (b" import",)) == []


def test_bytes_of_one_character_are_found_apart_and_together() -> None:
    euro = (b"\xe2\x82", b"\xac", b" os")
    assert found(r'"\xe2\x82"', euro) == [0]
    assert found('"€"', euro) == [1]


@pytest.mark.parametrize(
    "text",
    [
        'the token after "("',
        'any token anywhere after "("',
        'any token shortly after "("',
        'any token later in a line after "("',
        'any token before ")"',
        '"()"',
        "any token inside brackets",
        "words that occurred before",
        "any token inside a word",
    ],
)
def test_no_position_reaches_over_the_edge_of_an_excerpt(text: str) -> None:
    assert found(text, (b" os", b"("), (b")", b" os")) == []


def test_the_strongest_claim_counts_and_a_not_silences() -> None:
    block = Block([ids(b" os", b",", b" the")], VOCABULARY)
    clauses = parse('any token (2), weakly on " os", strongly on the word "os", but not on commas')
    assert block.predict(clauses).tolist() == [9, 0, 2]


def test_empty_tokens_and_empty_excerpts_do_no_harm() -> None:
    assert found('"import os"', (), (b"", b"import", b"", b" os", b""), ()) == [3]


EXCERPTS = st.lists(st.lists(st.integers(0, len(TOKENS) - 1), max_size=12), min_size=1, max_size=4)
TEXTS = st.sampled_from(
    [
        '"import"',
        "any token inside brackets",
        'digits or " os" anywhere after "#"',
        "any token at the start of a line",
        'any token later in a line after the word "the"',
        "any token in an indented line",
        "any token inside quotation marks",
        '" os" that occurred before',
        'the token before ")"',
        'any token shortly after ","',
        'the word "import" in a comment',
    ]
)


@given(EXCERPTS, TEXTS)
def test_excerpts_together_are_read_as_each_alone(excerpts: list[list[int]], text: str) -> None:
    rows = [np.array(e, dtype=np.int32) for e in excerpts]
    together = Block(rows, VOCABULARY).predict(parse(text))
    alone = [Block([row], VOCABULARY).predict(parse(text)) for row in rows]
    assert together.tolist() == np.concatenate(alone).tolist()
