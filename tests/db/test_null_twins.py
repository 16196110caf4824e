import pytest
from sqlalchemy.orm import Session

from app.models import Neuron, Subject
from app.queries.subjects.null_twins import TwinLayer, TwinStanding, null_twin_layers, null_twin_standing
from tests.factories import Make


@pytest.fixture
def subject(make: Make) -> Subject:
    """A subject whose twin has scores by the lexical simulator of 0.1, 0.2 and 0.6 in layer 0, none in layer 1.

    Another simulator has scored a fourth neuron.
    """
    subject, twin = make.subject("tiny"), make.subject("tiny-null-twin")
    twin.null_twin_of_id, twin.permutation_seed = subject.id, 0
    for index, value in enumerate((0.1, 0.2, 0.6)):
        make.explained(make.neuron(twin, index=index), value=value)
    make.explained(make.neuron(twin, index=3), value=0.99, simulator="structured")
    make.neuron(twin, layer=1)
    return subject


def explained(make: Make, subject: Subject, value: float | None, layer: int = 0) -> Neuron:
    neuron = make.neuron(subject, layer=layer)
    make.explained(neuron, value=value)
    return neuron


def test_each_layer_of_the_twin_has_its_distribution(session: Session, subject: Subject) -> None:
    first, second = null_twin_layers(session, subject_id=subject.id, simulator="lexical")
    assert (first.layer, first.n_scored) == (0, 3)
    assert first.median == pytest.approx(0.2)
    assert first.high == pytest.approx(0.56)  # nine tenths of the way from 0.2 to 0.6
    assert second == TwinLayer(1, 0, None, None)


@pytest.mark.parametrize(("value", "n_at_least"), [(0.7, 0), (0.6, 1), (0.15, 2), (0.0, 3)])
def test_a_score_stands_among_those_of_its_layer(
    session: Session, make: Make, subject: Subject, value: float, n_at_least: int
) -> None:
    standing = null_twin_standing(session, neuron_id=explained(make, subject, value).id)
    assert standing == TwinStanding("tiny-null-twin", 3, n_at_least)
    assert standing.share_at_least == (n_at_least + 1) / 4


def test_without_a_score_or_a_scored_peer_nothing_is_said(session: Session, make: Make, subject: Subject) -> None:
    assert null_twin_standing(session, neuron_id=explained(make, subject, None).id) is None
    assert null_twin_standing(session, neuron_id=explained(make, subject, 0.5, layer=1).id) is None


def test_a_subject_without_a_twin_has_no_control(session: Session, make: Make) -> None:
    alone = make.subject("alone")
    assert null_twin_layers(session, subject_id=alone.id, simulator="lexical") == ()
    assert null_twin_standing(session, neuron_id=explained(make, alone, 0.5).id) is None
