"""The planner's settings of ADR 0064: what their statements read where the planner guesses wrong without them."""

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.queries.neurons.filters import NeuronFilter, planned_by_value
from app.queries.neurons.listing import NeuronsQuery, counted_page
from app.work.begin import begin_run
from tests.db.test_turns import LARGE, House, taker
from tests.factories import Make
from tests.queries import kept_statements, rows_read

N = 20_000


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


def test_words_that_seldom_meet_are_found_without_reading_all_that_have_one(session: Session, make: Make) -> None:
    subject = make.subject(n_layers=1, neurons_per_layer=N)
    session.execute(
        text(
            "INSERT INTO neuron (subject_id, layer, index, max, current_text)"
            " SELECT :subject, 0, n, 1.0, CASE WHEN n % 2 = 0 THEN 'ships' WHEN n = 77 THEN 'rare' ELSE 'harbours' END"
            " FROM generate_series(0, :last) AS n"
        ),
        {"subject": subject.id, "last": N - 1},
    )
    session.execute(text("ANALYZE neuron"))
    wanted, connection = NeuronFilter(words="rare ships"), session.connection()
    with kept_statements(connection) as sent:
        matches, _ = counted_page(session, query=NeuronsQuery(subject.id, filter=wanted), size=9)
    assert matches.number == 0
    with planned_by_value(session, wanted):
        read = [rows_read(connection, *each) for each in sent if each[0].startswith(("SELECT", "WITH"))]
    assert len(read) == 2
    assert sum(read) <= 50
