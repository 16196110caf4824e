"""What statements read where the planner guesses wrong (ADR 0064), and where words are frequent (ADR 0067)."""

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.models import Subject
from app.queries.neurons.filters import NeuronFilter, planned_by_value
from app.queries.neurons.listing import NeuronsQuery, counted_page
from app.queries.neurons.matches import Matches
from app.queries.neurons.order import NeuronSort, SortKey
from app.queries.neurons.position import position_in_list
from app.work.begin import begin_run
from tests.db.test_turns import LARGE, House, taker
from tests.factories import Make
from tests.queries import kept_statements, rows_read

N = 20_000
BEST_MATCH = NeuronSort(SortKey.RELEVANCE)


def test_a_run_begins_without_reading_a_large_batch_that_the_planner_has_no_statistics_of(
    session: Session, make: Make
) -> None:
    house = House(session, make)
    alice = house.person("alice")
    house.batch(alice, LARGE)
    session.execute(text("DELETE FROM run"))
    session.execute(text("ANALYZE run"))  # its pages are there, and no runs in them
    house.batch(alice, LARGE)
    with kept_statements(session.connection()) as sent:
        assert begin_run(session, taker=taker()) is not None
    assert sum(rows_read(session.connection(), *each) for each in sent) <= 50


def written(session: Session, make: Make, text_of: str) -> Subject:
    """A subject of N neurons in one layer, each with the text that an expression of SQL makes of its index ``n``."""
    subject = make.subject(n_layers=1, neurons_per_layer=N)
    session.execute(
        text(
            "INSERT INTO neuron (subject_id, layer, index, max, current_text)"
            f" SELECT :subject, 0, n, 1.0, {text_of} FROM generate_series(0, :last) AS n"
        ),
        {"subject": subject.id, "last": N - 1},
    )
    session.execute(text("ANALYZE neuron"))
    return subject


def page_and_rows_read(session: Session, query: NeuronsQuery) -> tuple[Matches, list[int]]:
    """A list's matches, and how many rows each statement of its first page read."""
    connection = session.connection()
    with kept_statements(connection) as sent:
        matches, _ = counted_page(session, query=query, size=9)
    with planned_by_value(session, query.filter):
        read = [rows_read(connection, *each) for each in sent if each[0].startswith(("SELECT", "WITH"))]
    return matches, read


def test_words_that_seldom_meet_are_found_without_reading_all_that_have_one(session: Session, make: Make) -> None:
    text_of = "CASE WHEN n % 2 = 0 THEN 'ships' WHEN n = 77 THEN 'rare' ELSE 'harbours' END"
    subject = written(session, make, text_of)
    query = NeuronsQuery(subject.id, filter=NeuronFilter(words="rare ships"))
    matches, read = page_and_rows_read(session, query)
    assert matches.number == 0
    assert len(read) == 2
    assert sum(read) <= 50


NEAR, FAR = "ships in harbours", "ships, and after many words that are of no interest here, harbours"
TEXTS = f"CASE WHEN n % 20 = 0 THEN 'rare' WHEN n % 50 = 1 THEN '{NEAR}' ELSE '{FAR}' END"


@pytest.mark.parametrize("words", ["ships", "ships harbours", "harbou* ship*", "harbours or rare", "ships -rare"])
def test_words_with_thousands_of_matches_are_answered_from_a_sample(session: Session, make: Make, words: str) -> None:
    subject = written(session, make, TEXTS)
    matches, read = page_and_rows_read(session, NeuronsQuery(subject.id, NeuronFilter(words=words), BEST_MATCH))
    assert matches == Matches(1_000, exact=False)
    assert sum(read) < N, "an index was read for all of its matches"


def test_the_best_matches_of_the_sample_come_first_and_are_neighbours(session: Session, make: Make) -> None:
    subject = written(session, make, TEXTS)
    query = NeuronsQuery(subject.id, NeuronFilter(words="ships harbours"), BEST_MATCH)
    _, first = counted_page(session, query=query, size=9)
    assert {row.explanation for row in first.rows} == {NEAR}
    _, second = counted_page(session, query=query, size=9, after=first.next)
    rows = (*first.rows, *second.rows)
    assert len({row.id for row in rows}) == 18
    place = position_in_list(session, query=query, neuron_id=rows[9].id)
    assert (place.before.number, place.matches) == (9, Matches(1_000, exact=False))
    assert place.previous is not None
    assert place.next is not None
    assert (place.previous.index, place.next.index) == (rows[8].index, rows[10].index)


def test_words_with_few_matches_in_the_sample_are_all_found(session: Session, make: Make) -> None:
    subject = written(session, make, TEXTS)
    query = NeuronsQuery(subject.id, NeuronFilter(words="rare"), BEST_MATCH)
    assert page_and_rows_read(session, query)[0] == Matches(1_000, exact=True)
    narrow = NeuronsQuery(subject.id, NeuronFilter(words="ships", index_max=60), BEST_MATCH)
    matches, page = counted_page(session, query=narrow, size=99)
    assert matches == Matches(57, exact=True)
    assert sorted(row.index for row in page.rows) == [n for n in range(61) if n % 20]
