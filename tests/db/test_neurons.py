import itertools
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select, text
from sqlalchemy.orm import Session

from app.domain.neurons import NeuronState
from app.domain.searches import web_search
from app.errors import Invalid, NotFound
from app.models import Batch, Neuron, Run, Subject
from app.queries.common.paging import Page
from app.queries.neurons.filters import NeuronFilter
from app.queries.neurons.listing import NeuronsQuery, count_neurons, neurons_page
from app.queries.neurons.matches import Matches
from app.queries.neurons.order import OF_MATCHES, NeuronSort, SortKey
from app.queries.neurons.rows import NeuronRow
from app.queries.neurons.search_words import has_search_words
from app.queries.neurons.selection import NeuronSelection, count_selected, n_with_active_run
from app.work.enqueue import enqueue_selection
from tests.factories import Make
from tests.queries import kept_statements, plan_of

SORTS = [NeuronSort(key, descending) for key in SortKey if key not in OF_MATCHES for descending in (True, False)]
VALUES = st.sampled_from([None, 0.0, 0.1, 0.30000000000000004, 1.0, -0.5, float("inf"), float("nan")])


@pytest.fixture
def subject(make: Make) -> Subject:
    return make.subject(n_layers=3, neurons_per_layer=4)


def walk(session: Session, query: NeuronsQuery, size: int, matches: Matches | None) -> list[Page[NeuronRow]]:
    """All pages from the first to the last."""
    pages = [neurons_page(session, query=query, size=size, matches=matches)]
    while pages[-1].next is not None:
        pages.append(neurons_page(session, query=query, size=size, matches=matches, after=pages[-1].next))
    return pages


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.lists(VALUES, max_size=9), size=st.integers(1, 5), is_counted=st.booleans())
@pytest.mark.parametrize("sort", SORTS, ids=str)
def test_pages_cover_every_neuron_once_in_both_directions(
    session: Session,
    make: Make,
    subject: Subject,
    sort: NeuronSort,
    values: list[float | None],
    size: int,
    is_counted: bool,
) -> None:
    session.execute(delete(Neuron).where(Neuron.subject_id == subject.id))
    session.add_all(
        Neuron(
            subject_id=subject.id,
            layer=i % 3,
            index=i,
            **dict.fromkeys(("headline_score", "current_score", "headline_margin", "twin_percentile"), v),
            firing_rate=v,
            max=v,
        )
        for i, v in enumerate(values)
    )
    session.flush()
    query = NeuronsQuery(subject.id, sort=sort)

    matches = count_neurons(session, query=query) if is_counted else None
    pages = walk(session, query, size, matches)

    rows = [row for page in pages for row in page.rows]
    assert len(rows) == len(values) == len({row.id for row in rows})
    assert [row.id for row in rows] == [row.id for row in neurons_page(session, query=query, size=100).rows]
    assert pages[0].previous is None
    for earlier, later in itertools.pairwise(pages):
        back = neurons_page(session, query=query, size=size, matches=matches, before=later.previous)
        assert ([row.id for row in back.rows], back.next) == ([row.id for row in earlier.rows], earlier.next)
        assert (back.previous is None) == (earlier.previous is None)


@pytest.mark.parametrize("sort", SORTS, ids=str)
@pytest.mark.parametrize("cursor", [{}, {"after": "1@1"}, {"before": "1@1"}, {"after": "none@1"}], ids=str)
def test_every_sort_can_be_read_from_an_index_in_order(
    session: Session, sort: NeuronSort, cursor: dict[str, Any]
) -> None:
    if sort.key is SortKey.POSITION:
        cursor = dict.fromkeys(cursor, "1@1")
    session.execute(text("SET LOCAL enable_seqscan = off"))
    session.execute(text("SET LOCAL enable_sort = off"))
    connection = session.connection()
    with kept_statements(connection) as sent:
        neurons_page(session, query=NeuronsQuery(1, sort=sort), size=9, **cursor)
    plans = [plan_of(connection, *each) for each in sent]
    assert 1 <= len(plans) <= 2
    for plan in plans:
        assert "Index Scan" in plan
        assert "Sort" not in plan


@pytest.mark.parametrize("descending", [True, False])
def test_neurons_without_a_value_come_last_either_way(
    session: Session, make: Make, subject: Subject, descending: bool
) -> None:
    for index, score in enumerate([None, 0.2, 0.9, None]):
        neuron = make.neuron(subject, index=index)
        if score is not None:
            make.explained(neuron, value=score)
    query = NeuronsQuery(subject.id, sort=NeuronSort(SortKey.SCORE, descending))
    scores = [row.score for row in neurons_page(session, query=query, size=9).rows]
    assert scores == ([0.9, 0.2, None, None] if descending else [0.2, 0.9, None, None])


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (NeuronFilter(), [0, 1, 2, 3]),
        (NeuronFilter(layer=1), [2, 3]),
        (NeuronFilter(score_min=0.2), [0, 1]),
        (NeuronFilter(score_max=0.2), [1]),
        (NeuronFilter(score_min=0.1, score_max=0.3, layer=1), []),
        (NeuronFilter(rate_min=0.05, rate_max=0.1), [1, 3]),
        (NeuronFilter(state=NeuronState.UNEXPLAINED), [2]),
        (NeuronFilter(state=NeuronState.EXPLAINED), [0, 1, 3]),
        (NeuronFilter(state=NeuronState.FLAGGED), [1]),
        (NeuronFilter(state=NeuronState.QUEUED), [3]),
        (NeuronFilter(words="cats"), [0, 3]),
        (NeuronFilter(words='"small cat" or import'), [1, 3]),
        (NeuronFilter(words="cat -small"), [0]),
        (NeuronFilter(words="the"), []),
    ],
)
def test_filters_find_what_they_say(
    session: Session, make: Make, subject: Subject, wanted: NeuronFilter, expected: list[int]
) -> None:
    cast = [
        make.neuron(subject, layer=0, index=0, current_score=0.9, firing_rate=0.01),
        make.neuron(subject, layer=0, index=1, current_score=0.2, firing_rate=0.05, n_open_flags=1),
        make.neuron(subject, layer=1, index=2, firing_rate=None),
        make.neuron(subject, layer=1, index=3, firing_rate=0.1),
    ]
    for neuron, words in ((cast[0], "fires on cats"), (cast[1], 'fires on " import"'), (cast[3], "a small cat")):
        neuron.current_explanation_id, neuron.current_text = make.explanation(neuron, words).id, words
    _run(session, make, cast[3])
    query = NeuronsQuery(subject.id, wanted, NeuronSort(SortKey.POSITION, descending=False))

    matches = count_neurons(session, query=query)
    assert matches == Matches(len(expected), exact=True)
    for known in (None, matches):
        rows = neurons_page(session, query=query, size=9, matches=known).rows
        assert [(row.index, row.n_active_runs) for row in rows] == [(i, int(i == 3)) for i in expected]
    selection = NeuronSelection(subject.id, wanted)
    assert count_selected(session, selection=selection) == len(expected)
    if expected:
        method = make.method("what is queued")
        enqueue_selection(session, selection=selection, method_id=method.id, account_id=None)
        queued = session.scalars(select(Run.neuron_id).where(Run.method_id == method.id).order_by(Run.id)).all()
        assert queued == [cast[i].id for i in expected]


def test_a_row_carries_the_interval_and_the_simulator_of_its_score(
    session: Session, make: Make, subject: Subject
) -> None:
    neuron = make.neuron(subject)
    make.explained(neuron, value=0.5, interval=(0.4, 0.6), method=make.method("one"))
    make.explained(neuron, value=0.7, interval=(0.6, 0.8), simulator="structured", method=make.method("two"))
    (row,) = neurons_page(session, query=NeuronsQuery(subject.id), size=9).rows
    assert (row.score, row.interval, row.simulator) == (0.7, (0.6, 0.8), "structured")


def test_neurons_are_found_by_the_simulator_of_their_score(session: Session, make: Make, subject: Subject) -> None:
    for index, simulator in enumerate(("lexical", "structured", "structured+linear")):
        make.explained(make.neuron(subject, index=index), simulator=simulator)
    make.neuron(subject, index=3)
    query = NeuronsQuery(subject.id, NeuronFilter(simulator="structured"))
    assert [row.index for row in neurons_page(session, query=query, size=9).rows] == [1]
    assert count_neurons(session, query=query) == Matches(1, exact=True)


def test_a_list_never_shows_another_subjects_neurons(session: Session, make: Make, subject: Subject) -> None:
    make.neuron(make.subject("other"))
    query = NeuronsQuery(subject.id)
    assert neurons_page(session, query=query, size=9) == Page(())
    assert count_neurons(session, query=query).number == 0


def test_matches_are_counted_up_to_a_bound(session: Session, make: Make, subject: Subject) -> None:
    for index in range(4):
        make.neuron(subject, index=index)
    query = NeuronsQuery(subject.id)
    counted = [count_neurons(session, query=query, bound=bound) for bound in (3, 4)]
    assert [(c.number, c.exact) for c in counted] == [(3, False), (4, True)]


def test_chosen_neurons_must_all_be_of_the_subject(session: Session, make: Make, subject: Subject) -> None:
    second, first = make.neuron(subject, index=1), make.neuron(subject, index=0)
    assert count_selected(session, selection=NeuronSelection.of(subject.id, [second.id, first.id, second.id])) == 2
    for stranger in (make.neuron(make.subject("other")).id, -1, 2**63):
        with pytest.raises(NotFound, match="1 of the 2"):
            count_selected(session, selection=NeuronSelection.of(subject.id, [first.id, stranger]))


def test_active_runs_are_counted_by_method(session: Session, make: Make, subject: Subject) -> None:
    waiting, idle = make.neuron(subject, index=0), make.neuron(subject, index=1)
    run = _run(session, make, waiting)
    selection = NeuronSelection.of(subject.id, [waiting.id, idle.id])
    assert n_with_active_run(session, selection=selection, method_id=run.method_id) == 1
    assert n_with_active_run(session, selection=selection, method_id=make.method("other").id) == 0
    run.status = "succeeded"
    session.flush()
    assert n_with_active_run(session, selection=selection, method_id=run.method_id) == 0


@pytest.mark.parametrize("words", ["( ) !", '"', "-", "! &"])
def test_a_search_for_punctuation_alone_is_told_apart(session: Session, words: str) -> None:
    assert not has_search_words(session, words=words)
    assert has_search_words(session, words=f"{words} import")
    assert has_search_words(session, words=f"{words} the")


OPERATORS = st.lists(
    st.sampled_from([*"-\"'()!|&:*<>\\.@# \t\u00a0\u2010\u202e", "or ", "a", "é", "世", "the "]), max_size=100
).map("".join)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(st.one_of(OPERATORS, st.text(st.characters(exclude_characters="\x00", codec="utf-8"), max_size=200)))
@example("-" * 33)
@example("- " * 100)
@example("-(" * 100)
@example("-:" * 100)
@example('-"' * 100)
@example('"' * 200)
@example("-a or " * 33)
@example("x" * 200)
@example("\u202e-" * 100)
def test_no_search_is_too_much_for_the_database(session: Session, words: str) -> None:
    query = NeuronsQuery(1, NeuronFilter(words=words))
    assert count_neurons(session, query=query).number == 0
    assert neurons_page(session, query=query, size=9).rows == ()
    assert has_search_words(session, words=words) in (True, False)


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        ("--cats", " -cats"),
        ("- cats", "  cats"),
        ("small -(cat)", "small  (cat)"),
        ("well-known -cat-", "well-known -cat "),
        ('-"a cat" -', '-"a cat"  '),
    ],
)
def test_a_minus_sign_stays_before_what_it_excludes(words: str, kept: str) -> None:
    assert web_search(words) == kept


@pytest.mark.parametrize("sort", SORTS, ids=str)
@pytest.mark.parametrize(
    "cursor", ["", "@", "1", "x@1", "1@x", "1@-1", "1@9223372036854775808", "\x00@1", "1@" + "9" * 5000]
)
def test_a_damaged_cursor_is_refused(session: Session, sort: NeuronSort, cursor: str) -> None:
    with pytest.raises(Invalid, match="first page"):
        neurons_page(session, query=NeuronsQuery(1, sort=sort), size=9, after=cursor)


@pytest.mark.parametrize("cursor", ["-1@1", "1.5@1", "none@1", "99999999999@1", "1@4294967296"])
def test_a_damaged_position_is_refused(session: Session, cursor: str) -> None:
    sort = NeuronSort(SortKey.POSITION)
    with pytest.raises(Invalid, match="first page"):
        neurons_page(session, query=NeuronsQuery(1, sort=sort), size=9, before=cursor)


def _run(session: Session, make: Make, neuron: Neuron) -> Run:
    method = make.method()
    batch = Batch(subject_id=neuron.subject_id, method_id=method.id, n_runs=1)
    session.add(batch)
    session.flush()
    run = Run(batch_id=batch.id, neuron_id=neuron.id, method_id=method.id, status="queued")
    session.add(run)
    session.flush()
    return run


@pytest.mark.parametrize(
    ("token", "expected"), [("import", [0, 2]), (" import", [0, 2]), ("cat", [1, 2]), ("imp", []), ("Import", [])]
)
def test_neurons_are_found_by_a_token_among_their_strongest(
    session: Session, make: Make, subject: Subject, token: str, expected: list[int]
) -> None:
    lists = ([4, 0], [1, 0], [0, 1, 2, 3, 5, 6, 7, 8, 9, 4], [*range(5, 12), 0, 2, 3, 4])
    for index, token_ids in enumerate(lists):
        numbers = {"token_means": [1.0] * len(token_ids), "token_counts": [5] * len(token_ids)}
        make.collected(make.neuron(subject, index=index), subject, token_ids=token_ids, **numbers)
    make.neuron(subject, index=4)
    query = NeuronsQuery(subject.id, NeuronFilter(token=token), NeuronSort(SortKey.POSITION, descending=False))
    found = [row.index for row in neurons_page(session, query=query, size=9).rows]
    assert found == expected
