import pytest
from sqlalchemy.orm import Session

from app.domain.activations import SampleKind
from app.domain.samples import BANDS
from app.errors import NotFound
from app.queries.neurons.location import nearest_neurons, neuron_address
from app.queries.neurons.records import neuron_records, vocabulary
from app.queries.neurons.tokens import table_correlations
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


def test_a_record_has_its_stratum_and_its_probability(session: Session, make: Make) -> None:
    subject = make.subject()
    neuron = make.neuron(subject)
    make.collected(neuron, subject)
    top = make.sample(neuron, subject, SampleKind.TOP, rows=[(0.0, 4.0)])
    band = make.sample(neuron, subject, SampleKind.BAND_2, rows=[(0.0, 1.5)])
    random = make.sample(neuron, subject, SampleKind.RANDOM, rows=[(0.0, 0.25), (0.0, 1.0), (0.0, 4.0)])
    random.excerpt_ids = [*random.excerpt_ids[:2], top.excerpt_ids[0]]
    make.sample(neuron, subject, SampleKind.HARD_NEGATIVE, rows=[(0.0, 0.1)])
    for sample, probabilities in ((top, [1.0]), (band, [0.5]), (random, [0.25, 0.5, 1.0])):
        sample.probabilities = probabilities
    session.flush()
    records = neuron_records(session, neuron_id=neuron.id)
    assert [(r.stratum, r.probability) for r in records.of(SampleKind.RANDOM)] == [
        (SampleKind.BAND_0, 0.25),
        (SampleKind.BAND_2, 0.5),  # a peak at an edge belongs to the higher band
        (SampleKind.TOP, 1.0),
    ]
    assert [(r.stratum, r.probability) for r in records.of(SampleKind.BAND_2)] == [(SampleKind.BAND_2, 0.5)]
    assert records.of(SampleKind.HARD_NEGATIVE)[0].probability is None
    assert records.populations == {
        SampleKind.TOP: 1,
        **dict(zip(BANDS, [60, 30, 8, 1, 0], strict=True)),
        SampleKind.RANDOM: 100,
    }
    assert (records.maximum, records.mean) == (4.0, 0.1)


def test_a_neurons_tokens_are_read_with_their_means(session: Session, make: Make) -> None:
    subject = make.subject()
    neuron = make.neuron(subject)
    assert neuron_records(session, neuron_id=neuron.id).tokens is None
    make.collected(neuron, subject)
    table = neuron_records(session, neuron_id=neuron.id).tokens
    assert table is not None
    assert table.strongest(2) == ((4, 3.0, 10), (1, 0.5, 40))
    assert table.n_others == 720
    assert table.others == pytest.approx((80 - 30 - 20 - 7.5) / 720)


def test_what_a_token_table_reaches_is_known_where_there_is_one(session: Session, make: Make) -> None:
    subject = make.subject()
    neuron, bare, still = (make.neuron(subject, index=i) for i in range(3))
    make.collected(neuron, subject)
    make.collected(still, subject, variance=0.0)
    ids, collection_id = [neuron.id, bare.id, still.id], subject.collection_id or 0
    ((found, reached),) = table_correlations(session, collection_id=collection_id, neuron_ids=ids)
    # 800 tokens with the mean .1 and the variance .2: 10 at 3, 40 at .5, 30 at .25, all others at what is left.
    others = (80 - 30 - 20 - 7.5) / 720
    between = (10 * 2.9**2 + 40 * 0.4**2 + 30 * 0.15**2 + 720 * (others - 0.1) ** 2) / 800
    assert found == neuron.id
    assert reached == pytest.approx((between / 0.2) ** 0.5)


def test_the_nearest_neurons_are_those_that_the_collection_has_found(session: Session, make: Make) -> None:
    subject = make.subject(neurons_per_layer=8)
    neurons = [make.neuron(subject, index=i) for i in range(6)]
    make.neuron(subject, layer=1, index=3)
    for neuron in neurons:
        make.collected(neuron, subject, nearest=[5, 3, 2, 1] if neuron is neurons[0] else [])
        if neuron is not neurons[5]:  # one that has no records
            make.sample(neuron, subject)
    near = nearest_neurons(session, of=neuron_address(session, neuron_id=neurons[0].id), n=2)
    assert [m.neuron_id for m in near] == [neurons[3].id, neurons[2].id]
    # They share tokens, but nothing is like it.
    assert nearest_neurons(session, of=neuron_address(session, neuron_id=neurons[1].id), n=2) == []


def test_where_that_is_not_known_the_nearest_share_most_of_the_strongest_tokens(session: Session, make: Make) -> None:
    subject = make.subject(neurons_per_layer=8)
    tokens = ([1, 2, 3], [3, 4, 5], [1, 2, 9], [7, 8, 9], [2, 3, 1], [1, 2, 3])
    neurons = [make.neuron(subject, index=i) for i in range(len(tokens))]
    elsewhere = make.neuron(subject, layer=1)
    for neuron, ids in zip((*neurons, elsewhere), (*tokens, [1, 2, 3]), strict=True):
        make.collected(neuron, subject, token_ids=ids)
        if neuron is not neurons[5]:  # one that has no records
            make.sample(neuron, subject)
    address = neuron_address(session, neuron_id=neurons[0].id)
    near = nearest_neurons(session, of=address, n=3)
    assert [m.neuron_id for m in near] == [neurons[4].id, neurons[2].id, neurons[1].id]
    assert near[0].maximum == 4.0
    assert [m.neuron_id for m in nearest_neurons(session, of=address, n=1)] == [neurons[4].id]
