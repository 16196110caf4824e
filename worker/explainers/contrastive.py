"""Highlighted excerpts and hard negatives: similar ones that do not activate the neuron."""

from worker.explainers.highlighted import Highlighted
from worker.explainers.prompted import Shown
from worker.method.prompts.rendering import block, marked


class Contrastive(Highlighted):
    """Shows the train split of the hard negatives, too. A neuron without any cannot be contrasted."""

    name = "contrastive"
    version = 1
    prompt = "explain_contrastive"
    with_similar = True

    def body(self, shown: Shown) -> str:
        """The highlighted excerpts, then the hard negatives without a mark."""
        parts = [
            block(f"similar {i}", marked(e.tokens, [False] * len(e.tokens))) for i, e in enumerate(shown.similar, 1)
        ]
        return "\n".join([super().body(shown), *parts])
