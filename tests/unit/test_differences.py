from hypothesis import given
from hypothesis import strategies as st

from app.domain.differences import WordChange, WordRun, word_difference

TEXTS = st.lists(st.sampled_from(["fires", "on", '"', " import", '"os"', "strongly", "\n", "  "]), max_size=12).map(
    " ".join
)


def kept(runs: tuple[WordRun, ...], *changes: WordChange) -> str:
    return "".join(run.text for run in runs if run.change in changes)


def test_a_changed_word_is_removed_and_added() -> None:
    assert word_difference("fires on cats today", "fires on dogs today") == (
        WordRun(WordChange.SAME, "fires on"),
        WordRun(WordChange.REMOVED, " cats"),
        WordRun(WordChange.ADDED, " dogs"),
        WordRun(WordChange.SAME, " today"),
    )


def test_a_space_inside_quotation_marks_is_a_difference() -> None:
    assert len(word_difference('on " import"', 'on "import"')) == 3


@given(TEXTS, TEXTS)
def test_both_texts_can_be_read_out_of_their_difference(old: str, new: str) -> None:
    runs = word_difference(old, new)
    assert kept(runs, WordChange.SAME, WordChange.REMOVED) == old.rstrip()
    assert kept(runs, WordChange.SAME, WordChange.ADDED) == new.rstrip()


@given(TEXTS)
def test_a_text_does_not_differ_from_itself(text: str) -> None:
    assert all(run.change is WordChange.SAME for run in word_difference(text, text))
