import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.heat import heat_scale, heat_steps, simulated_steps
from app.domain.tokens import Vocabulary
from app.web.heat.glyphs import joined, visible
from app.web.heat.heatmap import excerpt_line, heat_rows, number_texts, stacked_line
from app.web.heat.vocabularies import ShownVocabulary, shown_vocabulary

WORDS = (b" the", b"cat", b"<script>", b"\xe2\x82", b"\xac", b"\xff", b"\n")


@pytest.fixture
def words() -> ShownVocabulary:
    return shown_vocabulary(Vocabulary("digest", WORDS))


def line(words: ShownVocabulary, token_ids: list[int], values: list[float], scale: float = 10.0) -> str:
    flat = np.array(values, dtype=np.float32)
    return str(excerpt_line(heat_rows([token_ids], flat, heat_steps(flat, scale), words)[0], words))


def test_steps_are_linear_and_keep_the_sign() -> None:
    values = np.array([0.0, 0.9, 1.0, 5.5, 10.0, 12.0, -0.9, -1.0, -10.0, -30.0], dtype=np.float32)
    assert heat_steps(values, 10.0).tolist() == [0, 0, 1, 5, 10, 10, 0, -1, -10, -10]


def test_expected_activations_are_drawn_on_the_scale_of_the_real_ones() -> None:
    expected = np.array([0.0, 2.0, 5.0, 10.0, -1.0], dtype=np.float32)
    assert simulated_steps(expected, 0.4, 4.0).tolist() == [0, 2, 5, 10, -1]  # level 10 is the scale itself
    assert simulated_steps(expected, 0.4, 8.0).tolist() == [0, 1, 2, 5, 0]  # a newer collection has doubled it


@given(st.floats(1e-3, 1e3))
def test_whole_levels_stay_whole_however_the_scale_was_rounded(unit: float) -> None:
    levels = np.arange(11, dtype=np.float32)
    stored = float(np.float16(10 * unit))
    assert simulated_steps(levels, unit, stored).tolist() == list(range(11))


@given(st.floats(2.0**-10, 60000, width=32))
def test_the_record_that_holds_the_maximum_reaches_full_strength(maximum: float) -> None:
    stored = np.array([maximum], dtype=np.float16).astype(np.float32)
    assert heat_steps(stored, heat_scale(maximum, 0.0)).tolist() == [10]


def test_a_neuron_that_is_never_positive_is_scaled_by_its_minimum() -> None:
    assert heat_scale(-0.5, -2.0) == 2.0
    assert heat_scale(None, None) == 0.0
    assert heat_steps(np.array([-1.0], dtype=np.float32), 0.0).tolist() == [0]


def test_a_row_is_centred_on_its_peak_and_every_cell_has_its_number(words: ShownVocabulary) -> None:
    assert line(words, [0, 1, 0], [-1.5, 10.0, 0.02]) == (
        "<span class=l><span><i class=n1 title=-1.5><s> </s>the</i></span></span>"
        "<i class=h10 title=10>cat</i>"
        "<span class=r><i title=0.02><s> </s>the</i></span>"
    )


def test_bytes_of_one_character_are_one_cell_with_both_numbers(words: ShownVocabulary) -> None:
    assert '<i class=h9 title="3 9">€</i>' in line(words, [3, 4], [3.0, 9.0])


def test_a_byte_that_never_becomes_a_character_is_shown_as_a_byte(words: ShownVocabulary) -> None:
    assert "<var>FF</var>" in line(words, [5], [1.0])
    assert "<var>E2</var><var>82</var>" in line(words, [3, 1], [1.0, 2.0])


def test_text_is_escaped(words: ShownVocabulary) -> None:
    assert "&lt;script&gt;" in line(words, [2], [1.0])


def test_an_empty_row_is_empty(words: ShownVocabulary) -> None:
    assert line(words, [], []) == "<span class=l><span></span></span><span class=r></span>"


def test_a_stacked_row_has_three_cells_per_character(words: ShownVocabulary) -> None:
    def row(values: list[float]) -> np.ndarray:
        return np.array(values, dtype=np.float32)

    tokens = [[1, 3, 4]]
    real, simulated = row([10.0, 1.0, 2.0]), row([4.0, 0.0, 0.0])
    values = (real, simulated, real - simulated)
    above, middle, below = (heat_rows(tokens, v, heat_steps(v, 10.0), words)[0] for v in values)
    html = str(stacked_line(above, middle, below, words))
    assert "<b><i class=h10 title=10>cat</i><i class=h4 title=4></i><i class=h6 title=6></i></b>" in html
    assert html.count("<b>") == 2


@pytest.mark.parametrize(
    ("text", "html"),
    [
        (" the", "<s> </s>the"),
        ("a\n\tb", "a<u>↵</u><u>⇥</u>b"),
        ("\x00\x1b\x7f", "<var>␀</var><var>␛</var><var>␡</var>"),
        ("\u202eevil", "<var>U+202E</var>evil"),
        ("\u2066\u200b\ufeff", "<var>U+2066</var><var>U+200B</var><var>U+FEFF</var>"),
        ("\u00a0\u2028", "<var>U+00A0</var><var>U+2028</var>"),
        ("\u0301x", "◌\u0301x"),
        ("<&\"'>", "&lt;&amp;&quot;&#x27;&gt;"),
        ("", ""),
    ],
)
def test_what_would_not_show_is_shown(text: str, html: str) -> None:
    assert visible(text) == html


@given(st.text())
def test_no_text_brings_its_own_markup_or_moves_its_neighbours(text: str) -> None:
    html = visible(text)
    assert re.fullmatch(r"(?:[^<>\"'\n\u202a-\u202e\u2066-\u2069]|</?(?:s|u|var)>)*", html)


@given(st.lists(st.binary(max_size=5), max_size=8))
def test_joined_tokens_cover_every_token_once(parts: list[bytes]) -> None:
    assert sum(size for size, _ in joined(parts)) == len(parts)


@given(st.text(alphabet=st.characters(categories=["L", "N"]), min_size=1), st.data())
def test_a_text_cut_anywhere_shows_all_its_characters(text: str, data: st.DataObject) -> None:
    whole = text.encode()
    bounds = [0, *sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6))), len(whole)]
    parts = [whole[a:b] for a, b in pairwise(bounds)]
    assert "".join(html for _, html in joined(parts)) == text


def test_numbers_are_short_and_keep_three_digits() -> None:
    values = np.array([0.0, -0.0, -0.1234, 3.14159, 12345.0], dtype=np.float32)
    assert number_texts(values) == ["0", "0", "-0.123", "3.14", "12344"]
