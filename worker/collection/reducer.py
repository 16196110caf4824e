"""Add activations to a state, shard by shard, at a small fraction of the model's own cost.

The rules by which a batch is added have two implementations: ``TensorIntake``, tensor operations for any device, and
``ProcessorIntake``, compiled loops, because on a processor each pass over memory costs as much as all else.
"""

import numpy as np
import torch
from jaxtyping import Float, Int32
from torch import Tensor

from worker.collection import exact
from worker.collection.bounds import NotFinite
from worker.collection.chance import hash32
from worker.collection.intake import Intake, LayerState, TensorIntake
from worker.collection.processor_intake import ProcessorIntake
from worker.collection.sampling import Excerpted, Sampling
from worker.collection.state import POOLS, POWERS, State, layer_bounds

_NEURON = 2


class Reducer:
    """Adds activations to a state. One shard at a time: ``begin``, ``add`` for each layer, ``end``.

    ``settle`` completes the state.

    ``shard_sums``: the power sums of the current shard, float64 [layers, powers, N].
    """

    def __init__(
        self, state: State, bounds: dict[str, Tensor], sampling: Sampling, intake: Intake | None = None
    ) -> None:
        self.state = state
        self._device = state.tensors["sums"].device
        self._intake = intake or (ProcessorIntake() if self._device.type == "cpu" else TensorIntake())
        shape = state.shape
        self.shard_sums = torch.zeros((shape.n_layers, POWERS, shape.neurons), dtype=torch.float64, device=self._device)
        chance = neuron_hashes(sampling.seed, state)
        self._layers = []
        for number in range(shape.n_layers):
            layer = LayerState(
                bounds=layer_bounds(bounds, number),
                pools={name: state.pool(number, name) for name in POOLS},
                shard_sums=self.shard_sums[number],
                chance=chance[number],
                **state.counts(number),
            )
            for name, floor in sampling.floors(layer.bounds).items():
                torch.maximum(layer.pools[name].bar, floor, out=layer.pools[name].bar)
            self._layers.append(layer)

    def begin(self) -> None:
        """Start a shard."""
        self.shard_sums.zero_()

    def end(self, shard: int, n_excerpts: int, n_in_histogram: int) -> None:
        """Finish a shard. Raises CollectionError if a sum is NaN."""
        exact.add(self.state.tensors["sums"], self.shard_sums.transpose(0, 1))
        self.state.shards.add(shard)
        self.state.excerpts += n_excerpts
        self.state.histogram_excerpts += n_in_histogram

    def settle(self) -> None:
        """Add buffered sums to the state; call it before the state is saved, merged or read."""
        for layer in self._layers:
            self._intake.settle(layer)

    def add(self, excerpts: Excerpted, layer: int, activations: Float[Tensor, "batch tokens n"]) -> None:
        """Add one layer's activations of one batch of the shard, in ascending order of ordinals. Raises NotFinite."""
        if not self._intake.take_in(self._layers[layer], excerpts, activations.to(self._device)):
            raise NotFinite(f"Layer {layer} gives activations that are not finite numbers.")


def neuron_hashes(seed: int, state: State) -> Int32[Tensor, "layers n"]:
    """A hash for each neuron, the same for every pass with this seed."""
    grid = (state.shape.n_layers, state.shape.neurons)
    numbers = np.arange(grid[0] * grid[1], dtype=np.int64)
    return hash32(seed, _NEURON, numbers).to(state.tensors["sums"].device).view(grid)
