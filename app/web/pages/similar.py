"""Neurons that are like one."""

from dataclasses import dataclass

from app.queries.neurons.alike import AlikeNeurons, alike_neurons
from app.queries.neurons.head import NeuronHead
from app.queries.neurons.similar import SimilarNeurons, similar_neurons
from app.web.deps import DbSession
from app.web.http.routing import PageRouter
from app.web.neuron.address import ROUTE, Head, path_of
from app.web.rendering.templating import page

router = PageRouter()


@dataclass(frozen=True, slots=True)
class NeuronSimilar:
    """A neuron, and those like it."""

    neuron: NeuronHead
    address: str
    similar: SimilarNeurons


@dataclass(frozen=True, slots=True)
class AlikePage:
    """Neurons like one, with all that they share."""

    neuron: NeuronHead
    address: str
    alike: AlikeNeurons


@page(router, f"{ROUTE}/like", template="neuron/like.html", is_kept=True)
def like(session: DbSession, head: Head) -> AlikePage:
    """Neurons like this one: by shared excerpts, by co-firing, by shared tokens, by text."""
    found = alike_neurons(session, neuron_id=head.id, collection_id=head.collection_id)
    return AlikePage(head, path_of(head), found)


@page(router, f"{ROUTE}/similar", template="neuron/similar.html", partial="neuron/_similar.html", is_kept=True)
def similar(session: DbSession, head: Head) -> NeuronSimilar:
    """Neurons of the same subject with the same text, the same strongest tokens, or the same top excerpts."""
    found = similar_neurons(session, neuron_id=head.id, collection_id=head.collection_id)
    return NeuronSimilar(head, path_of(head), found)
