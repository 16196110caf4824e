"""Searches in explanations: phrases, beginnings, exclusions, the best match first, random matches."""

from collections.abc import Sequence
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from app.models import Neuron, Subject
from app.queries.neurons.filters import NeuronFilter
from app.queries.neurons.listing import NeuronsQuery, neurons_page
from app.queries.neurons.order import NeuronSort, SortKey
from app.queries.neurons.position import position_in_list
from app.queries.neurons.random_match import RandomMatch, random_match
from app.queries.neurons.rows import HIT, HIT_END
from app.queries.neurons.search_words import Unsearchable, has_search_words, why_unsearchable
from tests.factories import WORDS, Make

BY_POSITION = NeuronSort(SortKey.POSITION, descending=False)
BEST_MATCH = NeuronSort(SortKey.RELEVANCE)
TEXTS = ("raises exceptions", "exceptional errors", "an error, or an exception", "the cat sat", "a sitting cat")


@pytest.fixture
def subject(make: Make) -> Subject:
    subject = make.subject()
    for index, text in enumerate(TEXTS):
        make.explained(make.neuron(subject, index=index), text, value=0.1 * index)
    return subject


def found(session: Session, subject_id: int | None, words: str, sort: NeuronSort = BY_POSITION) -> list[int]:
    query = NeuronsQuery(subject_id, NeuronFilter(words=words), sort)
    return [row.index for row in neurons_page(session, query=query, size=20).rows]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("exception", [0, 1, 2]),
        ("excepti*", [0, 1, 2]),
        ("exceptiona*", [1]),
        ("excepti* -raise", [1, 2]),
        ("error -exceptiona*", [2]),
        ("exceptiona* or sat", [1, 3]),
        ('"sitting cat"', [4]),
        ('"cat sat"', [3]),
        ("th*", [3]),
        ("cat -sit*", [3]),
        ("zebra*", []),
        ("the", [3]),
        ("an or a", [2, 4]),
        ('"the cat"', [3, 4]),
        ("cat -the", [4]),
        ("cat -a", [3]),
        ("error -an", [1]),
        ("-the cat or -an errors", [1, 4]),
    ],
)
def test_words_phrases_beginnings_and_exclusions_are_found(
    session: Session, subject: Subject, words: str, expected: list[int]
) -> None:
    assert found(session, subject.id, words) == expected
    assert sorted(found(session, None, words, BEST_MATCH)) == expected


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=st.text(alphabet="abcé*-\"' or|&!:()\\<>~%", max_size=120))
def test_no_search_is_an_error(session: Session, subject: Subject, words: str) -> None:
    has_search_words(session, words=words)
    why_unsearchable(session, words=words)
    found(session, subject.id, words)


def test_thirty_three_exclusions_of_beginnings_are_no_error(session: Session, subject: Subject) -> None:
    assert found(session, subject.id, "cat " + "-xy* " * 33) == [3, 4]
    assert found(session, subject.id, "-ab* " * 33) is not None


def test_the_best_match_comes_first_and_pages_go_on_there(session: Session, make: Make) -> None:
    subject = make.subject()
    long = "an error that " + "is far from " * 30 + "any exception"
    for index, text in enumerate([long, "error exception", "error and some exception", "an error"]):
        make.explained(make.neuron(subject, index=index), text)
    query = NeuronsQuery(None, NeuronFilter(words="error exception"), BEST_MATCH)
    whole = [row.index for row in neurons_page(session, query=query, size=9).rows]
    assert whole == [1, 2, 0]
    first = neurons_page(session, query=query, size=2)
    second = neurons_page(session, query=query, size=2, after=first.next)
    assert [row.index for row in (*first.rows, *second.rows)] == whole
    back = neurons_page(session, query=query, size=2, before=second.previous)
    assert [row.index for row in back.rows] == whole[:2]


def test_a_neuron_knows_its_position_among_the_best_matches(session: Session, subject: Subject) -> None:
    query = NeuronsQuery(subject.id, NeuronFilter(words="error exception"), BEST_MATCH)
    rows = neurons_page(session, query=query, size=9).rows
    place = position_in_list(session, query=query, neuron_id=rows[1].id)
    assert (place.before.number, place.previous and place.previous.index) == (1, rows[0].index)
    assert place.is_listed
    unlisted = neurons_page(session, query=NeuronsQuery(subject.id, NeuronFilter(words="sat")), size=1).rows[0]
    assert not position_in_list(session, query=query, neuron_id=unlisted.id).is_listed


def test_common_words_are_marked_where_they_are_all_that_is_searched(session: Session, subject: Subject) -> None:
    query = NeuronsQuery(subject.id, NeuronFilter(words="an or the"), BY_POSITION)
    marked = [row.marked for row in neurons_page(session, query=query, size=9).rows]
    assert marked == [
        f"{HIT}an{HIT_END} error, or {HIT}an{HIT_END} exception",
        f"{HIT}the{HIT_END} cat sat",
    ]


def test_beginnings_are_marked_although_stems_differ(session: Session, subject: Subject) -> None:
    query = NeuronsQuery(subject.id, NeuronFilter(words="exceptiona* error"), BY_POSITION)
    (row,) = neurons_page(session, query=query, size=9).rows
    assert row.marked == f"{HIT}exceptional{HIT_END} {HIT}errors{HIT_END}"


def test_all_subjects_are_searched_but_null_twins(session: Session, make: Make, subject: Subject) -> None:
    other, twin = make.subject("other"), make.subject("twin")
    twin.null_twin_of_id = subject.id
    for each in (other, twin):
        make.explained(make.neuron(each, index=7), "one more exception")
    query = NeuronsQuery(None, NeuronFilter(words="exception"), BEST_MATCH)
    assert {row.subject_id for row in neurons_page(session, query=query, size=9).rows} == {subject.id, other.id}
    assert found(session, twin.id, "exception") == [7]


def test_what_is_only_excluded_cannot_be_found_by_an_index(session: Session, subject: Subject) -> None:
    assert why_unsearchable(session, words="cat -dog") is None
    assert why_unsearchable(session, words="-dog") is Unsearchable.ONLY_EXCLUDES
    assert why_unsearchable(session, words="-do*") is Unsearchable.ONLY_EXCLUDES
    assert why_unsearchable(session, words="! ()") is Unsearchable.EMPTY
    assert has_search_words(session, words="-dog")


@pytest.mark.parametrize(
    ("token", "part", "expected"),
    [("import", False, [0]), (" cat", False, [1]), ("mpor", False, []), ("mpor", True, [0]), ("at", True, [1, 2])],
)
def test_a_part_of_a_token_finds_what_it_drives(
    session: Session, make: Make, token: str, part: bool, expected: list[int]
) -> None:
    subject = make.subject()
    for index, words in enumerate([[b" import"], [b" cat"], [b" sat"], []]):
        make.collected(make.neuron(subject, index=index), subject, token_ids=[WORDS.index(word) for word in words])
    for subject_id in (subject.id, None):
        query = NeuronsQuery(subject_id, NeuronFilter(token=token, token_part=part), BY_POSITION)
        assert [row.index for row in neurons_page(session, query=query, size=9).rows] == expected


def at_most(number: int, n: int) -> int:
    return min(number, n - 1)


def share(part: float, n: int) -> int:
    return int(n * part)


def drawn(session: Session, query: NeuronsQuery, part: float) -> RandomMatch | None:
    return random_match(session, query=query, draw=partial(share, part))


def last_then(number: int, n: int) -> int:
    """The last of the subject's eight addresses, then this one of its matches."""
    return 7 if n == 8 else number


@pytest.mark.parametrize(
    ("wanted", "possible"),
    [
        (NeuronFilter(), range(5)),
        (NeuronFilter(words="cat"), (3, 4)),
        (NeuronFilter(words="zebra"), ()),
        (NeuronFilter(layer=1), ()),
    ],
)
def test_a_random_match_is_a_match(
    session: Session, subject: Subject, wanted: NeuronFilter, possible: Sequence[int]
) -> None:
    query = NeuronsQuery(subject.id, wanted)
    found = {random_match(session, query=query, draw=partial(at_most, i)) for i in range(6)}
    assert found - {None} == {RandomMatch(subject.id, 0, index) for index in possible}
    assert (None in found) == (not possible)


def test_over_all_subjects_every_match_is_drawn(session: Session, subject: Subject, make: Make) -> None:
    other = make.subject("other")
    make.explained(make.neuron(other, layer=1, index=2), "a cat, too")
    query = NeuronsQuery(None, NeuronFilter(words="cat"))
    found = {random_match(session, query=query, draw=partial(at_most, i)) for i in range(6)}
    assert found == {RandomMatch(subject.id, 0, 3), RandomMatch(subject.id, 0, 4), RandomMatch(other.id, 1, 2)}


@pytest.fixture
def two(session: Session, make: Make, monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    """Two subjects of eight addresses each, whose matches are more than are counted, and a null twin."""
    monkeypatch.setattr("app.queries.neurons.matches.COUNT_BOUND", 2)
    subjects = [make.subject(slug, n_layers=2, neurons_per_layer=4) for slug in ("one", "two", "twin")]
    subjects[2].null_twin_of_id = subjects[0].id
    places = [(subject.id, layer, index) for subject in subjects for layer in range(2) for index in range(1, 4)]
    session.add_all(Neuron(subject_id=i, layer=j, index=k, firing_rate=j) for i, j, k in places)
    session.flush()
    return subjects[0].id, subjects[1].id


def test_among_many_a_random_match_is_the_first_from_a_random_neuron_on(session: Session, two: tuple[int, int]) -> None:
    one, _ = two
    found = [drawn(session, NeuronsQuery(one, NeuronFilter()), part) for part in (0.0, 0.75, 0.9999)]
    assert found == [RandomMatch(one, 0, 1), RandomMatch(one, 1, 2), RandomMatch(one, 1, 3)]
    of_layer = NeuronsQuery(one, NeuronFilter(layer=0))
    assert drawn(session, of_layer, 0.9999) == RandomMatch(one, 0, 3)


def test_among_many_of_all_subjects_each_is_drawn_and_no_null_twin(session: Session, two: tuple[int, int]) -> None:
    one, other = two
    everywhere = NeuronsQuery(None, NeuronFilter())
    found = [drawn(session, everywhere, part) for part in (0.0, 0.49, 0.5, 0.9999)]
    assert found == [
        RandomMatch(one, 0, 1), RandomMatch(one, 1, 3), RandomMatch(other, 0, 1), RandomMatch(other, 1, 3),
    ]  # fmt: skip
    of_layer = NeuronsQuery(None, NeuronFilter(layer=1))
    assert [drawn(session, of_layer, part) for part in (0.49, 0.5)] == [
        RandomMatch(one, 1, 3), RandomMatch(other, 1, 1),
    ]  # fmt: skip


def test_after_a_long_gap_a_random_match_is_one_of_those_counted(session: Session, two: tuple[int, int]) -> None:
    one, _ = two
    in_first_layer = NeuronsQuery(one, NeuronFilter(rate_max=0.5))
    found = [random_match(session, query=in_first_layer, draw=partial(last_then, i)) for i in (0, 1)]
    assert len(set(found)) == 2
    assert all(match is not None and (match.subject_id, match.layer) == (one, 0) for match in found)
