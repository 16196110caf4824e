"""Facets: each count is what the list finds that its value leads to."""

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy.orm import Session

from app.domain.authors import AuthorKind
from app.domain.doubts import Doubt
from app.domain.flags import FlagReason
from app.domain.neurons import NeuronState
from app.domain.review import Verdict
from app.models import Explanation, Subject
from app.queries.explanations.standing import refresh_current
from app.queries.neurons.facets import RANGED, FacetCount, FacetKind, facets_of
from app.queries.neurons.filters import NeuronFilter
from app.queries.neurons.listing import NeuronsQuery, count_neurons
from app.queries.review.flags import open_flag, resolve_flag
from app.queries.review.taking import Reviewer
from tests.factories import Make, WholeCorpus

EVERY = NeuronFilter()


@pytest.fixture
def subject(make: Make) -> Subject:
    """Explained by two methods and a person, flagged, judged, doubtful, and not explained at all."""
    subject = make.subject(n_layers=2, neurons_per_layer=8)
    scores = (0.9, 0.6, 0.2, 0.1)
    for index, value in enumerate(scores):
        neuron = make.neuron(subject, index=index, firing_rate=index / 50)
        make.explained(
            neuron, f"fires on cats {index}", value=value, whole=WholeCorpus(value - 0.1, margin=value - 0.5)
        )
    other = make.method("other")
    second = make.neuron(subject, layer=1, index=0)
    made = make.explanation(second, "on dogs", method_id=other.id)
    written = make.explanation(make.neuron(subject, layer=1, index=1), "on mice", author_kind=AuthorKind.PERSON)
    for explanation in (made, written):
        refresh_current(make.session, neuron_id=explanation.neuron_id)
    make.neuron(subject, layer=1, index=2)
    _judged(make, written)
    return subject


def _judged(make: Make, explanation: Explanation) -> None:
    alice, bob = make.account("who flags", "viewer"), make.account("who judges", "reviewer")
    for kind in ("holds", None):
        flag_id = open_flag(
            make.session, explanation_id=explanation.id, account_id=alice.id, reason=FlagReason.WRONG, note=""
        )
        if kind is not None:
            resolve_flag(make.session, flag_id=flag_id, reviewer=Reviewer(bob.id), kind=kind, note="")
    make.session.flush()


def filter_of(count: FacetCount) -> NeuronFilter:
    match count.kind:
        case FacetKind.LAYER:
            return NeuronFilter(layer=int(count.value))
        case FacetKind.STATE:
            return NeuronFilter(state=NeuronState(count.value))
        case FacetKind.DOUBT:
            return NeuronFilter(doubt=Doubt(count.value))
        case FacetKind.VERDICT:
            return NeuronFilter(verdict=Verdict(count.value))
        case FacetKind.AUTHOR:
            return NeuronFilter(author=AuthorKind(count.value))
        case FacetKind.METHOD:
            return NeuronFilter(method=count.value)
    low, high = RANGED[count.kind][int(count.value)]
    ends: dict[str, Any] = {f"{count.kind}_min": low, f"{count.kind}_max": high}
    return replace(EVERY, **ends)


@pytest.mark.parametrize("subject_is_named", [True, False])
def test_each_count_is_what_its_filter_finds(session: Session, subject: Subject, subject_is_named: bool) -> None:
    subject_id = subject.id if subject_is_named else None
    found = facets_of(session, query=NeuronsQuery(subject_id))
    assert {count.kind for count in found.counts} == set(FacetKind)
    assert (found.counted.number, found.counted.exact) == (7, True)
    for count in found.counts:
        if count.kind is not FacetKind.SUBJECT:
            matches = count_neurons(session, query=NeuronsQuery(subject_id, filter_of(count)))
            assert (count, matches.number) == (count, count.n)


def test_counts_are_of_what_matches(session: Session, subject: Subject) -> None:
    counts = facets_of(session, query=NeuronsQuery(subject.id, NeuronFilter(words="dog*"))).counts
    assert {
        (count.kind, count.value, count.n) for count in counts if count.kind in (FacetKind.LAYER, FacetKind.METHOD)
    } == {
        (FacetKind.LAYER, "1", 1),
        (FacetKind.METHOD, "other", 1),
    }


def test_nothing_has_no_counts(session: Session, make: Make) -> None:
    found = facets_of(session, query=NeuronsQuery(make.subject("empty").id))
    assert (found.counts, found.counted.number) == ((), 0)
