import pytest
from sqlalchemy.orm import Session

from app.errors import NotFound
from app.queries.neurons.location import neuron_address, neuron_peer
from app.queries.neurons.records import MeasuredNeuron, neuron_records, records_of_neurons
from tests.factories import Make


def test_an_address_has_what_a_worker_needs(session: Session, make: Make) -> None:
    subject = make.subject(neurons_per_layer=7)
    found = neuron_address(session, neuron_id=make.neuron(subject, layer=1, index=3).id)
    assert (found.subject, found.layer, found.index, found.neurons_per_layer) == ("tiny", 1, 3, 7)
    assert found.collection_id == subject.collection_id


def test_an_unknown_neuron_has_no_address(session: Session) -> None:
    with pytest.raises(NotFound):
        neuron_address(session, neuron_id=0)


@pytest.mark.parametrize(("start", "peer"), [(0, 0), (1, 3), (3, 3), (4, 0)])
def test_the_peer_is_the_next_neuron_that_fires_round_the_layers_end(
    session: Session, make: Make, start: int, peer: int
) -> None:
    subject = make.subject(neurons_per_layer=5)
    neurons = [make.neuron(subject, index=i, max=0.0 if i in (2, 4) else 1.0) for i in range(5)]
    make.neuron(subject, layer=1, index=1)
    found = neuron_peer(session, of=neuron_address(session, neuron_id=neurons[1].id), start=start)
    assert found is not None
    assert found.neuron_id == neurons[peer].id


def test_a_neuron_has_no_peer_where_no_other_fires(session: Session, make: Make) -> None:
    subject = make.subject()
    alone = make.neuron(subject)
    make.neuron(subject, index=1, max=-0.1)
    assert neuron_peer(session, of=neuron_address(session, neuron_id=alone.id), start=0) is None


def test_several_neurons_records_are_those_of_each(session: Session, make: Make) -> None:
    subject = make.subject()
    neurons = [make.neuron(subject, index=i) for i in range(3)]
    for i, neuron in enumerate(neurons[:2]):
        make.sample(neuron, subject, rows=[(0.0, float(i)), (2.0, 1.0, 0.0)])
    measured = [MeasuredNeuron(n.id, n.max, n.mean) for n in neurons]
    together = records_of_neurons(session, neurons=measured, collection_id=subject.collection_id)
    for neuron in neurons:
        alone = neuron_records(session, neuron_id=neuron.id)
        assert (together[neuron.id].maximum, together[neuron.id].mean) == (4.0, 0.1)
        assert (alone.maximum, alone.mean) == (4.0, 0.1)
        assert _plain(together[neuron.id].samples) == _plain(alone.samples)
    assert together[neurons[2].id].samples == {}


def _plain(samples: object) -> str:
    return repr(samples)
