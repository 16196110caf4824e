import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.domain.headlines import HeadlineKind
from app.models import Neuron, Subject
from app.queries.neurons.head import neuron_head
from app.queries.subjects.null_twins import (
    TwinLayer,
    TwinStanding,
    null_twin_layers,
    rank_against_null_twins,
)
from tests.factories import Make, WholeCorpus


@pytest.fixture
def subject(make: Make) -> Subject:
    """A subject whose twin has scores by the lexical simulator of 0.1, 0.2 and 0.6 in layer 0, none in layer 1.

    Another simulator has scored a fourth neuron.
    """
    subject, twin = make.subject("tiny"), make.subject("tiny-null-twin")
    twin.null_twin_of_id, twin.permutation_seed = subject.id, 0
    for index, value in enumerate((0.1, 0.2, 0.6)):
        make.explained(make.neuron(twin, index=index), value=0.9, whole=WholeCorpus(value))
    make.explained(make.neuron(twin, index=3), simulator="structured", whole=WholeCorpus(0.99))
    make.neuron(twin, layer=1)
    return subject


def explained(make: Make, subject: Subject, value: float | None, layer: int = 0) -> Neuron:
    known = select(func.count()).select_from(Neuron).where(Neuron.subject_id == subject.id)
    neuron = make.neuron(subject, layer=layer, index=make.session.scalar(known) or 0)
    make.explained(neuron, value=0.5, whole=WholeCorpus(value))
    return neuron


def test_each_layer_of_the_twin_has_its_distribution(session: Session, make: Make, subject: Subject) -> None:
    for value in (0.1, 0.3, 0.7):
        explained(make, subject, value)
    first, second = null_twin_layers(session, subject_id=subject.id, kind=HeadlineKind.ESTIMATED, simulator="lexical")
    assert (first.layer, first.n_scored) == (0, 3)
    assert first.median == pytest.approx(0.2)
    assert first.high == pytest.approx(0.56)  # nine tenths of the way from 0.2 to 0.6
    assert (first.n_own, first.own_median, first.n_above) == (3, 0.3, 1)
    assert first.share_above == pytest.approx(1 / 3)
    assert second == TwinLayer(1, 0, None, None, 0, None, 0)
    assert second.share_above is None


@pytest.mark.parametrize(("value", "n_at_least"), [(0.7, 0), (0.6, 1), (0.15, 2), (0.0, 3)])
def test_a_score_stands_among_those_of_its_layer(
    session: Session, make: Make, subject: Subject, value: float, n_at_least: int
) -> None:
    assert standing_of(session, explained(make, subject, value)) == TwinStanding("tiny-null-twin", 3, n_at_least)


def test_without_a_score_or_a_scored_peer_nothing_is_said(session: Session, make: Make, subject: Subject) -> None:
    unscored = make.neuron(subject, index=9)
    make.explained(unscored, value=None, whole=WholeCorpus(None))
    assert standing_of(session, unscored) is None
    assert standing_of(session, explained(make, subject, 0.5, layer=1)) is None


@pytest.mark.parametrize(("value", "n_at_least"), [(0.95, 0), (0.9, 3), (0.5, 3)])
def test_a_2023_score_stands_among_the_2023_scores_of_the_twin(
    session: Session, make: Make, subject: Subject, value: float, n_at_least: int
) -> None:
    """The twin's neurons have headlines of 0.1, 0.2 and 0.6, which are of another kind, and 2023 scores of 0.9."""
    neuron = make.neuron(subject)
    make.explained(neuron, value=value)
    standing = standing_of(session, neuron)
    assert standing == TwinStanding("tiny-null-twin", 3, n_at_least)
    rank_against_null_twins(session)
    assert percentile(session, neuron) == pytest.approx(1 - n_at_least / 3)
    (layer, _) = null_twin_layers(session, subject_id=subject.id, kind=HeadlineKind.SCORE_2023, simulator="lexical")
    assert (layer.n_scored, layer.median, layer.n_own, layer.own_median) == (3, 0.9, 1, value)


def test_a_neuron_is_ranked_in_the_twin_of_its_own_subject(session: Session, make: Make, subject: Subject) -> None:
    """Newer twins of other subjects change nothing."""
    other, others_twin = make.subject("other"), make.subject("other-null-twin")
    others_twin.null_twin_of_id, others_twin.permutation_seed = other.id, 0
    make.explained(make.neuron(others_twin), whole=WholeCorpus(0.4))
    own = make.neuron(other)
    make.explained(own, whole=WholeCorpus(0.3))
    neuron = make.neuron(subject, index=2)
    make.explained(neuron, whole=WholeCorpus(0.3))
    session.flush()
    standing = neuron_head(session, slug="tiny", layer=0, index=2).twin
    assert standing is not None
    assert (standing.slug, standing.n_scored) == ("tiny-null-twin", 3)
    standing = neuron_head(session, slug="other", layer=0, index=0).twin
    assert standing is not None
    assert (standing.slug, standing.n_scored) == ("other-null-twin", 1)


def test_a_subject_without_a_twin_has_no_control(session: Session, make: Make) -> None:
    alone = make.subject("alone")
    assert null_twin_layers(session, subject_id=alone.id, kind=HeadlineKind.ESTIMATED, simulator="lexical") == ()
    assert standing_of(session, explained(make, alone, 0.5)) is None


def standing_of(session: Session, neuron: Neuron) -> TwinStanding | None:
    session.flush()
    subject = session.get_one(Subject, neuron.subject_id)
    return neuron_head(session, slug=subject.slug, layer=neuron.layer, index=neuron.index).twin


def percentile(session: Session, neuron: Neuron) -> float | None:
    session.refresh(neuron)
    return neuron.twin_percentile


def test_neurons_are_ranked_among_their_layer_of_the_twin(session: Session, make: Make, subject: Subject) -> None:
    values = (0.7, 0.6, 0.15, 0.0, None)
    neurons = [explained(make, subject, value) for value in values] + [explained(make, subject, 0.5, layer=1)]
    rank_against_null_twins(session)
    found = [percentile(session, neuron) for neuron in neurons]
    # The fifth has no estimate: its 2023 score of .5 is below the twin's three of .9.
    assert found == [1.0, pytest.approx(2 / 3), pytest.approx(1 / 3), 0.0, 0.0, None]
    # The rank agrees with where a single neuron stands.
    standing = standing_of(session, neurons[1])
    assert standing is not None
    assert standing.percentile == pytest.approx(2 / 3)


def test_ranks_follow_the_twin(session: Session, make: Make, subject: Subject) -> None:
    neuron = explained(make, subject, 0.5)
    rank_against_null_twins(session)
    assert percentile(session, neuron) == pytest.approx(2 / 3)
    twin = session.scalars(select(Subject).where(Subject.null_twin_of_id == subject.id)).one()
    make.explained(make.neuron(twin, index=9), whole=WholeCorpus(0.55))
    rank_against_null_twins(session)
    assert percentile(session, neuron) == 0.5


def test_without_a_twin_nothing_is_ranked(session: Session, make: Make) -> None:
    neuron = explained(make, make.subject("alone"), 0.5)
    rank_against_null_twins(session)
    assert percentile(session, neuron) is None
