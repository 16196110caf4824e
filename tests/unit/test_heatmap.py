import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.heat import heat_scale, heat_steps, simulated_steps
from app.domain.tokens import Vocabulary
from app.web.heat.glyphs import joined, visible
from app.web.heat.heatmap import NumberColumn, heat_rows, number_table, number_texts, strip, under_strip
from app.web.heat.vocabularies import ShownVocabulary, shown_vocabulary

WORDS = (b" the", b"cat", b"<script>", b"\xe2\x82", b"\xac", b"\xff", b"\n")


@pytest.fixture
def words() -> ShownVocabulary:
    return shown_vocabulary(Vocabulary("digest", WORDS))


def line(words: ShownVocabulary, token_ids: list[int], values: list[float], scale: float = 10.0) -> str:
    flat = np.array(values, dtype=np.float32)
    return str(strip(heat_rows([token_ids], flat, heat_steps(flat, scale))[0], words))


def table(words: ShownVocabulary, token_ids: list[int], *columns: list[float]) -> str:
    rows = [np.array(values, dtype=np.float32) for values in columns]
    own = [NumberColumn(f"<{i}>", row, heat_steps(row, 10.0)) for i, row in enumerate(rows)]
    return str(number_table(token_ids, own, words))


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


def test_a_row_is_centred_on_its_peak_and_neighbours_of_one_step_are_one_element(words: ShownVocabulary) -> None:
    assert line(words, [0, 0, 1, 0, 0, 1], [-1.5, -1.2, 10.0, 0.02, 3.0, 3.9]) == (
        "<span class=l><span><i class=n1><s> </s>the<s> </s>the</i></span></span>"
        "<i class=h10>cat</i>"
        "<span class=r><s> </s>the<i class=h3><s> </s>thecat</i></span>"
    )


def test_a_peak_too_weak_for_a_colour_is_an_element_too(words: ShownVocabulary) -> None:
    assert line(words, [1, 1], [0.0, 0.1]) == "<span class=l><span>cat</span></span><i>cat</i><span class=r></span>"


def test_a_row_can_be_centred_elsewhere(words: ShownVocabulary) -> None:
    values = np.array([10.0, 0.0], dtype=np.float32)
    (heat,) = heat_rows([[1, 0]], values, heat_steps(values, 10.0))
    assert str(strip(replace(heat, centre=1), words)).endswith("</span></span><i><s> </s>the</i><span class=r></span>")


def test_blanks_side_by_side_are_one_element() -> None:
    words = shown_vocabulary(Vocabulary("digest", (b"   ", b" x")))
    assert line(words, [0, 1], [0.0, 0.0]).endswith("<i><s>   </s></i><span class=r><s> </s>x</span>")


def test_a_strip_under_the_text_is_as_wide_and_has_no_letter(words: ShownVocabulary) -> None:
    values = np.array([2.0, 10.0, 0.0], dtype=np.float32)
    (heat,) = heat_rows([[0, 2, 1]], values, heat_steps(values, 10.0))
    above, under = str(strip(heat, words)), str(under_strip(heat, words))
    assert under == (
        "<span class=l><span><i class=h2><s> </s>   </i></span></span><i class=h10>        </i><span class=r>   </span>"
    )
    assert len(re.sub("<[^>]*>", "", under)) == len(
        re.sub("<[^>]*>", "", above).replace("&lt;", "<").replace("&gt;", ">")
    )


def test_bytes_of_one_character_are_one_cell(words: ShownVocabulary) -> None:
    assert "<i class=h9>€</i>" in line(words, [3, 4], [3.0, 9.0])
    assert line(words, [1, 3, 4, 1], [0.0, 0.0, 0.0, 9.0]).startswith(
        "<span class=l><span>cat€</span></span><i class=h9>"
    )


def test_a_byte_that_never_becomes_a_character_is_shown_as_a_byte(words: ShownVocabulary) -> None:
    assert "<var>FF</var>" in line(words, [5], [1.0])
    assert "<var>E2</var><var>82</var>" in line(words, [3, 1], [1.0, 2.0])


def test_text_is_escaped(words: ShownVocabulary) -> None:
    assert "&lt;script&gt;" in line(words, [2], [1.0])


def test_an_empty_row_is_empty(words: ShownVocabulary) -> None:
    assert line(words, [], []) == "<span class=l><span></span></span><span class=r></span>"


def test_numbers_are_a_table_with_a_row_per_token(words: ShownVocabulary) -> None:
    assert table(words, [0, 1], [10.0, -1.5], [4.0, 0.0]) == (
        "<table class=numbers role=table><thead role=rowgroup><tr role=row><th scope=col role=columnheader>Token"
        "<th scope=col role=columnheader>&lt;0&gt;<th scope=col role=columnheader>&lt;1&gt;<tbody role=rowgroup>"
        "<tr role=row><th scope=row role=rowheader><i class=h10><s> </s>the</i><td role=cell>10<td role=cell class=h4>4"
        "<tr role=row><th scope=row role=rowheader><i class=n1>cat</i><td role=cell>-1.5<td role=cell>0</table>"
    )


def test_a_token_of_blanks_is_a_row_with_a_name() -> None:
    words = shown_vocabulary(Vocabulary("digest", (b"    ", b" ", b"\n", b"x")))
    html = table(words, [0, 1, 2, 3], [0.0, 0.0, 0.0, 0.0])
    assert re.findall("<span class=visually-hidden>([^<]*)<", html) == ["4 blanks", "1 blank"]


def test_tokens_that_share_a_character_are_one_row_with_all_numbers(words: ShownVocabulary) -> None:
    html = table(words, [1, 3, 4], [0.0, 3.0, 9.0])
    assert "<th scope=row role=rowheader><i class=h9>€</i><td role=cell>3 9" in html
    assert html.count("role=rowheader") == 2


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
