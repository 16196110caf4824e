"""Excerpts as running text with the active tokens marked, and a short list of the strongest."""

from worker.explainers.prompted import PromptedExplainer, Shown
from worker.method.prompts.rendering import block, highlighted_peak, strongest


class Highlighted(PromptedExplainer):
    """What the neuron fires on is between ⟦ and ⟧.

    Source of the idea: Paulo et al., "Automatically interpreting millions of features in large
    language models" (2024).
    """

    name = "highlighted"
    version = 1
    prompt = "explain_highlighted"

    def body(self, shown: Shown) -> str:
        """All excerpts, then their strongest tokens."""
        parts = [block(f"excerpt {i}", highlighted_peak(e)) for i, e in enumerate(shown.excerpts, 1)]
        return "\n".join([*parts, block("strongest tokens", strongest(shown.excerpts))])
