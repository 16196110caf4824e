"""Neurons that are like one."""

from dataclasses import dataclass

from fastapi import APIRouter

from app.queries.neurons.head import NeuronHead
from app.queries.neurons.similar import SimilarNeurons, similar_neurons
from app.web.deps import DbSession
from app.web.neuron.address import ROUTE, Head, path_of
from app.web.rendering.templating import page

router = APIRouter()


@dataclass(frozen=True, slots=True)
class NeuronSimilar:
    """A neuron, and those like it."""

    neuron: NeuronHead
    address: str
    similar: SimilarNeurons


@page(router, f"{ROUTE}/similar", template="neuron/similar.html", partial="neuron/_similar.html")
def similar(session: DbSession, head: Head) -> NeuronSimilar:
    """Neurons of the same subject with the same text, the same strongest tokens, or the same top excerpts."""
    found = similar_neurons(session, neuron_id=head.id, collection_id=head.collection_id)
    return NeuronSimilar(head, path_of(head), found)
