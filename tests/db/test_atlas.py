import re

import numpy as np
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from app.db import Sessions, transaction
from app.models import Neuron
from app.queries.common.versions import content_version
from app.queries.neurons.atlas import EVERY_NEURON, neuron_facts
from tests.factories import Make, WholeCorpus


def test_every_neuron_of_the_subject_is_read_with_its_values(make: Make, session: Session) -> None:
    subject, other = make.subject("tiny"), make.subject("other")
    neuron = make.neuron(subject, layer=1, index=3, firing_rate=0.25, n_doubts=2, n_open_flags=1)
    make.explained(neuron, "fires on cats", whole=WholeCorpus(0.5))
    make.neuron(subject, layer=0, index=1, firing_rate=None, n_explanations=1)
    make.neuron(other, layer=0, index=0)
    session.flush()
    session.refresh(neuron)
    facts = neuron_facts(session, subject_id=subject.id)
    order = np.argsort(facts.layers)
    assert facts.layers[order].tolist() == [0, 1]
    assert facts.indices[order].tolist() == [1, 3]
    assert facts.is_explained[order].tolist() == [False, True]
    assert facts.is_rejected[order].tolist() == [True, False]
    assert facts.is_flagged[order].tolist() == [False, True]
    assert facts.doubts[order].tolist() == [0, neuron.n_doubts]
    np.testing.assert_array_equal(facts.rates[order], np.array([np.nan, 0.25], dtype=np.float64))
    np.testing.assert_array_equal(facts.headlines[order], np.array([np.nan, 0.5], dtype=np.float64))


def test_a_subject_without_neurons_has_none(make: Make, session: Session) -> None:
    assert len(neuron_facts(session, subject_id=make.subject().id).layers) == 0


def test_the_index_of_addresses_holds_all_that_is_read(session: Session) -> None:
    """So that an index-only scan can serve it: the planner's choice depends on the table's size."""
    statement = EVERY_NEURON.as_string(None)
    columns = {column.name for column in Neuron.__table__.columns}
    read = {name for name in re.findall(r"\w+", statement) if name in columns}
    index = session.scalars(select(func.pg_get_indexdef(text("'uq_neuron_subject_id_layer_index'::regclass")))).one()
    assert {"layer", "headline_score", "n_open_flags"} < read
    assert read <= set(re.findall(r"\w+", index))


def test_the_version_changes_with_what_is_stored_alone(fresh_sessions: Sessions) -> None:
    names = []
    for name in ("zoe", None, "yan"):
        with fresh_sessions() as session:
            names.append(content_version(session))
        if name is not None:
            with transaction(fresh_sessions) as session:
                Make(session).account(name)
    first, second, third = names
    assert first != second
    assert second == third
