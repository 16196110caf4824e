"""A neuron's rank in its layer, and in that of its null twin, is what comparing with every neuron finds."""

import random

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.domain.standing import SCORE_2023
from app.models import Neuron, Subject
from app.queries.common.counting import compact_counts
from app.queries.neurons.head import NeuronHead, neuron_head
from tests.factories import Make

N_NEURONS = 60
BORDERS = (-1.0, -0.3, -0.01, 0.0, 0.28, 0.29, 0.3, 0.57, 0.58, 0.99, 1.0)
"""Scores at borders of bins, some of whose products with 100 are rounded across them."""


def drawn_scores(subject: Subject, make: Make, chance: random.Random) -> list[Neuron]:
    """Neurons of two layers, some with a headline, some with a 2023 score, some with both, by two simulators."""
    neurons = [make.neuron(subject, layer, index) for layer in range(2) for index in range(N_NEURONS)]
    for neuron in neurons:
        if chance.random() < 0.7:
            neuron.current_score = drawn(chance)
            neuron.current_simulator = chance.choice(("one", "two"))
        if chance.random() < 0.5:
            neuron.headline_score = drawn(chance)
            neuron.headline_scorer = chance.choice(("executed", "whole_corpus"))
            neuron.headline_simulator = chance.choice(("one", "two"))
    return neurons


def drawn(chance: random.Random) -> float:
    """A score, often one that others have as well."""
    return chance.choice(BORDERS) if chance.random() < 0.4 else round(chance.uniform(-1, 1), chance.choice((2, 9)))


def kind_of(neuron: Neuron) -> tuple[str, str | None, float | None]:
    if neuron.headline_score is not None:
        return str(neuron.headline_scorer), neuron.headline_simulator, neuron.headline_score
    return SCORE_2023.scorer, neuron.current_simulator, neuron.current_score


def compared(neuron: Neuron, others: list[Neuron]) -> list[float]:
    """The scores of the layer that are of the neuron's kind and by its simulator."""
    scorer, simulator, _ = kind_of(neuron)
    old = scorer == SCORE_2023.scorer
    found = [
        (other.current_score, other.current_simulator, scorer)
        if old
        else (other.headline_score, other.headline_simulator, other.headline_scorer)
        for other in others
        if other.layer == neuron.layer
    ]
    return [score for score, by, kind in found if score is not None and (by, kind) == (simulator, scorer)]


def assert_ranked(head: NeuronHead, neuron: Neuron, peers: list[Neuron], twins: list[Neuron]) -> None:
    own = kind_of(neuron)[2]
    if own is None:
        assert (head.n_scored_in_layer, head.n_below_in_layer, head.twin) == (0, 0, None)
        return
    scores, of_twin = compared(neuron, peers), compared(neuron, twins)
    assert head.n_scored_in_layer == len(scores)
    assert head.n_below_in_layer == sum(score < own for score in scores)
    if not of_twin:
        assert head.twin is None
    else:
        assert head.twin is not None
        assert (head.twin.slug, head.twin.n_scored) == ("twin", len(of_twin))
        assert head.twin.n_at_least == sum(score >= own for score in of_twin)


@pytest.mark.parametrize("seed", range(3))
def test_ranks_are_those_of_a_comparison_with_every_neuron(session: Session, make: Make, seed: int) -> None:
    chance = random.Random(seed)
    subject = make.subject(slug="own", n_layers=2, neurons_per_layer=N_NEURONS)
    older = make.subject(slug="older-twin", n_layers=2, neurons_per_layer=N_NEURONS)
    twin = make.subject(slug="twin", n_layers=2, neurons_per_layer=N_NEURONS)
    older.null_twin_of_id = twin.null_twin_of_id = subject.id
    peers, twins = drawn_scores(subject, make, chance), drawn_scores(twin, make, chance)
    drawn_scores(older, make, chance)
    session.flush()
    for round_of_changes in range(2):
        for neuron in peers:
            head = neuron_head(session, slug="own", layer=neuron.layer, index=neuron.index)
            assert_ranked(head, neuron, peers, twins)
        for neuron in chance.sample([*peers, *twins], 40):  # the counts follow what changes
            neuron.headline_score = None if round_of_changes else neuron.headline_score
            neuron.current_score = drawn(chance)
            neuron.current_simulator = neuron.current_simulator or "one"
        session.flush()
        compact_counts(session)


def test_a_rank_reads_no_other_layer(session: Session, make: Make) -> None:
    subject = make.subject(n_layers=2, neurons_per_layer=N_NEURONS)
    drawn_scores(subject, make, random.Random(1))
    session.flush()
    chosen = session.scalars(select(Neuron).where(Neuron.layer == 0, Neuron.current_score.is_not(None))).first()
    assert chosen is not None
    before = neuron_head(session, slug=subject.slug, layer=0, index=chosen.index)
    for neuron in session.scalars(select(Neuron).where(Neuron.layer == 1)):
        neuron.current_score, neuron.headline_score = -1.0, None
    session.flush()
    assert neuron_head(session, slug=subject.slug, layer=0, index=chosen.index).percentile == before.percentile
