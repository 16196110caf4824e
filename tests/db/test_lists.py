"""Lists of neurons: made, ordered, noted, and used as a selection."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.errors import Conflict, Invalid, NotFound
from app.models import Account, ListedNeuron, NeuronList, Subject
from app.queries.lists.entries import entries_of
from app.queries.lists.kept import (
    add_to_list,
    create_list,
    delete_list,
    list_head,
    lists_of,
    move_in_list,
    note_in_list,
    remove_from_list,
    rename_list,
)
from app.queries.lists.searches import delete_search, save_search, saved_search, searches_of
from app.queries.neurons.filters import ListReference, NeuronFilter
from app.queries.neurons.listing import NeuronsQuery, count_neurons, every_neuron, neurons_page
from app.queries.neurons.order import NeuronSort, SortKey
from app.queries.neurons.position import position_in_list
from app.queries.neurons.selection import NeuronSelection, count_selected
from tests.factories import Make
from tests.queries import kept_statements, rows_read

N = 6
IN_ORDER = NeuronSort(SortKey.LISTED, descending=False)


@pytest.fixture
def alice(make: Make) -> Account:
    return make.account("alice")


@pytest.fixture
def subject(make: Make) -> Subject:
    subject = make.subject(neurons_per_layer=N)
    for index in range(N):
        make.neuron(subject, index=index)
    make.explained(make.neuron(subject, layer=1), "cats", value=0.5)
    return subject


@pytest.fixture
def list_id(session: Session, subject: Subject, alice: Account) -> int:
    """All neurons of layer 0."""
    list_id = create_list(session, slug=subject.slug, name="Worst of layer 0", account_id=alice.id)
    chosen = NeuronSelection(subject.id, NeuronFilter(layer=0))
    assert add_to_list(session, list_id=list_id, selection=chosen, account_id=alice.id) == N
    return list_id


def order(session: Session, list_id: int) -> list[int]:
    rows = session.execute(
        select(ListedNeuron.neuron_id, ListedNeuron.position)
        .where(ListedNeuron.list_id == list_id)
        .order_by(ListedNeuron.position)
    ).all()
    assert [row.position for row in rows] == list(range(1, len(rows) + 1))
    return [row.neuron_id for row in rows]


def query(session: Session, list_id: int, **filters: Any) -> NeuronsQuery:
    own = session.get_one(NeuronList, list_id)
    return NeuronsQuery(own.subject_id, NeuronFilter(in_list=ListReference(list_id, ""), **filters), IN_ORDER)


def test_what_a_list_has_already_is_not_added_again(
    session: Session, subject: Subject, list_id: int, alice: Account
) -> None:
    every = NeuronSelection(subject.id)
    assert add_to_list(session, list_id=list_id, selection=every, account_id=alice.id) == 1
    assert add_to_list(session, list_id=list_id, selection=every, account_id=alice.id) == 0
    assert len(order(session, list_id)) == N + 1
    assert list_head(session, list_id=list_id).n_neurons == N + 1


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(acts=st.lists(st.tuples(st.integers(0, N - 1), st.integers(-2, N + 3) | st.none()), max_size=8))
def test_positions_have_no_gaps_whatever_is_moved_and_removed(
    session: Session, list_id: int, alice: Account, acts: list[tuple[int, int | None]]
) -> None:
    undone = session.begin_nested()
    expected = order(session, list_id)
    for number, to in acts:
        if number >= len(expected):
            continue
        own = {"list_id": list_id, "neuron_id": expected[number], "account_id": alice.id}
        neuron_id = expected.pop(number)
        if to is None:
            remove_from_list(session, **own)
        else:
            move_in_list(session, to=to, **own)
            expected.insert(min(max(to, 1), len(expected) + 1) - 1, neuron_id)
        assert order(session, list_id) == expected
    undone.rollback()


def test_a_list_is_read_in_its_own_order_page_by_page(session: Session, list_id: int, alice: Account) -> None:
    ids = order(session, list_id)
    move_in_list(session, list_id=list_id, neuron_id=ids[4], to=1, account_id=alice.id)
    wanted = order(session, list_id)
    own = query(session, list_id)
    first = neurons_page(session, query=own, size=4, matches=count_neurons(session, query=own))
    second = neurons_page(session, query=own, size=4, after=first.next)
    assert [row.id for row in (*first.rows, *second.rows)] == wanted
    assert [row.id for row in neurons_page(session, query=own, size=4, before=second.previous).rows] == wanted[:4]
    assert [row.id for row in every_neuron(session, query=own, after=None, size=9).rows] == wanted
    place = position_in_list(session, query=own, neuron_id=wanted[1])
    assert (place.before.number, place.matches.number, place.is_listed) == (1, N, True)


@pytest.mark.parametrize("descending", [False, True])
def test_a_neuron_knows_its_neighbours_in_a_list_as_its_pages_have_them(
    session: Session, list_id: int, alice: Account, descending: bool
) -> None:
    ids = order(session, list_id)
    move_in_list(session, list_id=list_id, neuron_id=ids[4], to=1, account_id=alice.id)
    own = replace(query(session, list_id), sort=NeuronSort(SortKey.LISTED, descending))
    wanted = neurons_page(session, query=own, size=9).rows
    for number, row in enumerate(wanted):
        found = position_in_list(session, query=own, neuron_id=row.id)
        assert (found.before.number, found.matches.number, found.is_listed) == (number, N, True)
        before, after = wanted[:number][-1:], wanted[number + 1 :][:1]
        assert [each.index for each in (found.previous, found.next) if each is not None] == [
            each.index for each in (*before, *after)
        ]


@pytest.mark.parametrize("cursor", ["inf@1", "nan@1", "1e300@1", "-1@1", "2.5@1", "²@1", "99999999999@1", "3@-1", "3"])
def test_a_damaged_cursor_of_a_list_is_refused(session: Session, list_id: int, cursor: str) -> None:
    with pytest.raises(Invalid):
        neurons_page(session, query=query(session, list_id), size=4, after=cursor)


def test_a_neuron_that_has_left_a_list_comes_after_its_end(session: Session, list_id: int, alice: Account) -> None:
    ids = order(session, list_id)
    remove_from_list(session, list_id=list_id, neuron_id=ids[2], account_id=alice.id)
    found = position_in_list(session, query=query(session, list_id), neuron_id=ids[2])
    assert (found.before.number, found.matches.number, found.is_listed) == (N - 1, N - 1, False)
    assert (found.previous is None or found.previous.index, found.next) == (N - 1, None)


def test_the_neighbours_are_read_by_an_index_wherever_in_a_list(
    session: Session, subject: Subject, alice: Account
) -> None:
    long = create_list(session, slug=subject.slug, name="Long", account_id=alice.id)
    session.execute(
        text(
            "INSERT INTO neuron (subject_id, layer, index) SELECT :subject, 0, n FROM generate_series(:first, 4500) n"
        ),
        {"subject": subject.id, "first": N},
    )
    assert add_to_list(session, list_id=long, selection=NeuronSelection(subject.id), account_id=alice.id) > 4400
    session.execute(text("ANALYZE neuron, listed_neuron"))
    ids, own, connection = order(session, long), query(session, long), session.connection()
    for position in (1, 2200, 4400):
        with kept_statements(connection) as sent:
            found = position_in_list(session, query=own, neuron_id=ids[position - 1])
        assert found.before.number == position - 1
        assert sum(rows_read(connection, *each) for each in sent) <= 20, position


def test_a_list_is_a_filter_among_others(session: Session, list_id: int, subject: Subject) -> None:
    assert count_neurons(session, query=query(session, list_id, layer=1)).number == 0
    chosen = NeuronSelection(subject.id, query(session, list_id).filter)
    assert count_selected(session, selection=chosen) == N


def test_notes_are_kept_with_their_neuron(session: Session, list_id: int, alice: Account) -> None:
    ids = order(session, list_id)
    note_in_list(session, list_id=list_id, neuron_id=ids[2], note=" odd one ", account_id=alice.id)
    move_in_list(session, list_id=list_id, neuron_id=ids[2], to=6, account_id=alice.id)
    entries = entries_of(session, list_id=list_id, neuron_ids=ids)
    assert (entries[ids[2]].position, entries[ids[2]].note) == (6, "odd one")
    with pytest.raises(Invalid):
        note_in_list(session, list_id=list_id, neuron_id=ids[2], note="x" * 501, account_id=alice.id)


def test_only_who_made_a_list_changes_it(session: Session, make: Make, list_id: int, subject: Subject) -> None:
    bob = make.account("bob").id
    neuron_id = order(session, list_id)[0]
    own: dict[str, Any] = {"list_id": list_id, "account_id": bob}
    acts: list[Callable[[], object]] = [
        lambda: add_to_list(session, selection=NeuronSelection(subject.id), **own),
        lambda: note_in_list(session, neuron_id=neuron_id, note="n", **own),
        lambda: move_in_list(session, neuron_id=neuron_id, to=2, **own),
        lambda: remove_from_list(session, neuron_id=neuron_id, **own),
        lambda: rename_list(session, name="n", **own),
        lambda: delete_list(session, **own),
    ]
    for act in acts:
        with pytest.raises(Conflict, match="made"):
            act()
    assert order(session, list_id)[0] == neuron_id


def test_what_cannot_be_a_list_is_refused(
    session: Session, make: Make, list_id: int, subject: Subject, alice: Account
) -> None:
    with pytest.raises(Conflict, match="already"):
        create_list(session, slug=subject.slug, name="Worst of layer 0", account_id=alice.id)
    with pytest.raises(Invalid):
        create_list(session, slug=subject.slug, name="  ", account_id=alice.id)
    with pytest.raises(NotFound):
        create_list(session, slug="nothing", name="n", account_id=alice.id)
    other = NeuronSelection(make.subject("other").id)
    with pytest.raises(Invalid, match="another subject"):
        add_to_list(session, list_id=list_id, selection=other, account_id=alice.id)
    with pytest.raises(NotFound):
        list_head(session, list_id=2**63)


def test_a_list_that_would_be_too_long_is_refused(
    session: Session, subject: Subject, list_id: int, alice: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.queries.lists.kept.MOST_LISTED", N)
    with pytest.raises(Invalid, match=f"at most {N}"):
        add_to_list(session, list_id=list_id, selection=NeuronSelection(subject.id), account_id=alice.id)


def test_a_deleted_list_takes_its_notes_along(session: Session, list_id: int, alice: Account) -> None:
    delete_list(session, list_id=list_id, account_id=alice.id)
    session.flush()
    assert lists_of(session) == ()
    assert session.scalars(select(ListedNeuron.neuron_id)).all() == []


def test_lists_are_found_by_subject_and_by_neuron(
    session: Session, make: Make, list_id: int, subject: Subject, alice: Account
) -> None:
    make.subject("other")
    create_list(session, slug="other", name="Worst of layer 0", account_id=alice.id)
    assert [found.id for found in lists_of(session, slug=subject.slug)] == [list_id]
    assert [found.id for found in lists_of(session, neuron_id=order(session, list_id)[0])] == [list_id]
    assert len(lists_of(session)) == 2


def test_a_saved_search_has_its_name_in_its_address(session: Session, make: Make, alice: Account) -> None:
    search_id = save_search(session, account_id=alice.id, name="Layer 3, worst!", address="/tiny?layer=3")
    found = saved_search(session, search_id=search_id)
    assert (found.address, found.leads_to) == (f"/searches/{search_id}-layer-3-worst", "/tiny?layer=3")
    with pytest.raises(Conflict, match="already"):
        save_search(session, account_id=alice.id, name="Layer 3, worst!", address="/")
    bob = make.account("bob")
    with pytest.raises(Conflict, match="saved"):
        delete_search(session, search_id=search_id, account_id=bob.id)
    assert searches_of(session, account_id=bob.id) == ()
    delete_search(session, search_id=search_id, account_id=alice.id)
    assert searches_of(session, account_id=None) == ()
