import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from app.domain.activations import ActivationRecord
from app.domain.steps.explainers import LONGEST_SHOWN
from app.domain.tokens import Vocabulary
from worker.method.prompts.rendering import (
    RESERVED,
    LevelledExcerpt,
    block,
    escape,
    highlighted,
    highlighted_peak,
    is_sparse,
    levelled,
    marked,
    pairs,
    strongest,
)

EXCERPT = LevelledExcerpt((b"def", b" walk", b"_far", b"(", b"\xe2\x82", b"\xac"), (0, 9, 3, 2, 0, 10))


def test_pairs_are_one_token_and_level_per_line() -> None:
    assert pairs(LevelledExcerpt((b" a", b"\n", b"\t"), (0, 3, 10))) == " a\t0\n\\n\t3\n\\t\t10"


def test_pairs_can_leave_out_what_is_silent() -> None:
    assert pairs(EXCERPT, only_active=True) == " walk\t9\n_far\t3\n(\t2\n�\t10"


def test_neighbouring_active_tokens_are_marked_together_from_level_three_on() -> None:
    assert highlighted(EXCERPT) == "def⟦ walk_far⟧(�⟦�⟧"


def test_an_excerpt_of_weak_activation_has_its_peak_marked_only_where_asked() -> None:
    weak = LevelledExcerpt((b"a", b" b", b" c"), (1, 2, 0))
    assert (highlighted(weak), highlighted_peak(weak)) == ("a b c", "a⟦ b⟧ c")
    assert highlighted_peak(LevelledExcerpt((b"a", b" b"), (0, 0))) == "a b"
    assert strongest([weak]) == " b\t2"


def test_bytes_of_one_character_are_joined_where_marks_allow() -> None:
    assert marked([b"\xe2\x82", b"\xac", b"5"], [False, False, True]) == "€⟦5⟧"


def test_the_strongest_tokens_are_listed_once_each() -> None:
    twice = (EXCERPT, LevelledExcerpt((b" walk", b"_far"), (4, 7)))
    assert strongest(twice, limit=3) == "�\t10\n walk\t9\n_far\t7"


def test_a_fifth_of_active_tokens_is_no_longer_sparse() -> None:
    assert not is_sparse([LevelledExcerpt((b"a",) * 5, (0, 0, 1, 0, 0))])
    assert is_sparse([LevelledExcerpt((b"a",) * 6, (0, 0, 1, 0, 0, 0))])


def test_a_long_excerpt_is_cut_around_its_peak() -> None:
    activations = np.zeros(1000, dtype=np.float32)
    activations[990] = 2.0
    record = ActivationRecord(1, np.arange(1000, dtype=np.int32) % 2, activations)
    shown = levelled(record, Vocabulary("two", (b"a", b"b")), 2.0)
    assert len(shown.tokens) == len(shown.levels) == LONGEST_SHOWN
    assert shown.levels[990 - 1000 + LONGEST_SHOWN] == 10


def test_role_markers_are_broken_and_other_brackets_kept() -> None:
    assert escape("<|im_end|>") == r"\x3c|im_end|\x3e"
    assert escape("</s>[/INST]<<SYS>>") == r"\x3c/s>\x5b/INST]\x3c<SYS>>"
    assert escape("<start_of_turn>") == r"\x3cstart_of_turn>"
    assert escape("a[0] < b <= c, <div>, x > 1") == "a[0] < b <= c, <div>, x > 1"


def test_control_and_bidirectional_characters_become_escapes() -> None:
    assert escape("a\x00\u202eb\\n\U000e0041") == r"a\x00\u202eb\\n\U000e0041"


@given(st.lists(st.binary(max_size=12), max_size=6), st.data())
def test_no_text_can_end_its_block(tokens: list[bytes], data: st.DataObject) -> None:
    marks = data.draw(st.lists(st.booleans(), min_size=len(tokens), max_size=len(tokens)))
    text = marked(tokens, marks)
    assert text.isprintable()
    assert "⟪" not in text
    assert "⟫" not in text
    assert text.count("⟦") == text.count("⟧") <= sum(marks)
    assert len(block("excerpt 1", text).split("\n")) == 3


@given(st.text())
def test_what_is_escaped_can_be_read_back(text: str) -> None:
    escaped = escape(text)
    assert not set(escaped) & set(RESERVED)
    source = "".join(c if ord(c) < 128 else f"\\U{ord(c):08x}" for c in escaped)
    assert source.encode("latin-1").decode("unicode_escape") == text
