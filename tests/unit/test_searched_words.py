import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.searches import MOST_WORDS, searched_words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ()),
        ("it fires on the first token of every word", ()),
        ("words about ships and harbours", ("ships", "harbours")),
        ('fires on " import" and "from" after a line break', ("import", "from", "break")),
        ("mentions of `self.x` in “Python” classes", ("self.x", "python", "classes")),
        ('the bracket "(" and "(" again', ("(", "bracket", "again")),
        ("Ships, SHIPS and ships", ("ships",)),
        ("l'été à Zürich", ("été", "zürich")),
    ],
)
def test_what_a_text_quotes_or_names_is_searched(text: str, words: tuple[str, ...]) -> None:
    assert searched_words(text) == words


@given(st.text(max_size=500))
def test_no_text_searches_for_too_much_or_for_nothing(text: str) -> None:
    found = searched_words(text)
    assert len(found) <= MOST_WORDS
    assert len(set(found)) == len(found)
    assert all(word and word == word.strip() for word in found)
