import pytest
from sqlalchemy.orm import Session

from app.domain.activations import SampleKind
from app.errors import NotFound
from app.queries.neurons.records import neuron_records, vocabulary
from tests.factories import WORDS, Make


def test_a_neurons_records_come_back_with_their_tokens(session: Session, make: Make) -> None:
    subject = make.subject()
    neuron = make.neuron(subject)
    make.sample(neuron, subject, rows=[(0.0, 4.0), (1.0, 0.5, -0.25)], token_ids=[(1, 2), (3, 4, 5)])

    records = neuron_records(session, neuron_id=neuron.id).of(SampleKind.TOP)

    assert [r.token_ids.tolist() for r in records] == [[1, 2], [3, 4, 5]]
    assert [r.activations.tolist() for r in records] == [[0.0, 4.0], [1.0, 0.5, -0.25]]


def test_a_vocabulary_keeps_bytes_of_split_characters(session: Session, make: Make) -> None:
    words = vocabulary(session, tokenizer_id=make.tokenizer().id)
    assert words.tokens == WORDS
    assert words.text([10, 11]) == "€"
    assert words.strings([10]) == ["\ufffd"]


def test_an_unknown_neuron_is_not_found(session: Session) -> None:
    with pytest.raises(NotFound):
        neuron_records(session, neuron_id=1)
