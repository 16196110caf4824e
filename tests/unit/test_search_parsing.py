import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.searches import MOST_EXCLUDED, MOST_PREFIXES, Prefix, SearchGroup, mark_prefixes, parse_search


@pytest.mark.parametrize(
    ("words", "groups"),
    [
        ("", (SearchGroup(""),)),
        ("or", (SearchGroup(""),)),
        ("cats and dogs", (SearchGroup("cats and dogs"),)),
        ("Excepti* error", (SearchGroup("error", (Prefix("excepti"),)),)),
        ("-excepti* error", (SearchGroup("error", (Prefix("excepti", is_excluded=True),)),)),
        ("cat* or dog", (SearchGroup("", (Prefix("cat"),)), SearchGroup("dog"))),
        ("cats OR dogs or", (SearchGroup("cats"), SearchGroup("dogs"))),
        ('"one or two*" -"a b"', (SearchGroup('"one or two*" -"a b"'),)),
        ('never "closed or', (SearchGroup('never "closed or'),)),
        ("a* ** *x", (SearchGroup("a* ** *x"),)),
        ("it's* x:* (y*)", (SearchGroup("it's* x:* (y*)"),)),
        ("import -from", (SearchGroup("import", excluded=("from",)),)),
        ("-a or -b c -d", (SearchGroup("", excluded=("a",)), SearchGroup("c", excluded=("b", "d")))),
        ("-well-known -é", (SearchGroup("-well-known", excluded=("é",)),)),
        ("été*", (SearchGroup("", (Prefix("été"),)),)),
    ],
)
def test_a_search_is_read_as_groups_of_words_and_beginnings(words: str, groups: tuple[SearchGroup, ...]) -> None:
    assert parse_search(words) == groups


@given(st.text(alphabet='ab*-" or|&!:()\\', max_size=80))
def test_no_search_has_more_beginnings_than_are_read(words: str) -> None:
    assert sum(len(group.prefixes) for group in parse_search(words)) <= MOST_PREFIXES


def test_what_is_excluded_beyond_a_bound_stays_with_the_words() -> None:
    (group,) = parse_search("cat " + "-dog " * (MOST_EXCLUDED + 2))
    assert (group.words, group.excluded) == ("cat -dog -dog", ("dog",) * MOST_EXCLUDED)


@pytest.mark.parametrize(
    ("text", "words", "marked"),
    [
        ("on Exceptions and [exceptional] ones", "excep*", "on [Exceptions] and [exceptional] ones"),
        ("on exceptions", "-excep* ones", "on exceptions"),
        ("unexceptional", "excep*", "unexceptional"),
        ("on a.b", "or*", "on a.b"),
    ],
)
def test_words_that_begin_so_are_marked_once(text: str, words: str, marked: str) -> None:
    assert mark_prefixes(text, words, start="[", end="]") == marked
