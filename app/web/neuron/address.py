"""A neuron's address on the site, and the neuron that a request names by it."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends

from app.queries.neurons.head import NeuronHead, neuron_head
from app.web.deps import DbSession

ROUTE = "/{slug}/{layer}/{index}"
"""The path of a neuron's page, which other pages about the neuron extend."""


@dataclass(frozen=True, slots=True)
class NeuronAddress:
    """Subject, layer and index as a request's path names them."""

    slug: str
    layer: int
    index: int


async def requested_address(slug: str, layer: int, index: int) -> NeuronAddress:
    """The neuron's address from the path."""
    return NeuronAddress(slug, layer, index)


RequestedAddress = Annotated[NeuronAddress, Depends(requested_address)]


def requested_head(session: DbSession, address: RequestedAddress) -> NeuronHead:
    """The neuron of the path. Raises NotFound."""
    return neuron_head(session, slug=address.slug, layer=address.layer, index=address.index)


Head = Annotated[NeuronHead, Depends(requested_head, scope="function")]


def path_of(head: NeuronHead) -> str:
    """The path of the neuron's page."""
    return f"/{head.slug}/{head.layer}/{head.index}"


def neighbour_path(head: NeuronHead, step: int) -> str | None:
    """The path of the neuron ``step`` positions further on, across layers; None beyond the first and the last."""
    layer, index = divmod(head.layer * head.neurons_per_layer + head.index + step, head.neurons_per_layer)
    return f"/{head.slug}/{layer}/{index}" if 0 <= layer < head.n_layers else None
