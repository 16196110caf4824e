"""Excerpts as lists of tokens with their levels, as the 2023 paper shows them."""

from worker.explainers.prompted import PromptedExplainer, Shown
from worker.method.prompts.rendering import block, is_sparse, pairs


class TokenActivationPairs(PromptedExplainer):
    """One token and its level (0..10) per line; where few are above 0, these are listed once more.

    Source of the form: "Language models can explain neurons in language models" (2023), step 1.
    """

    name = "token_activation_pairs"
    version = 1
    prompt = "explain_pairs"

    def body(self, shown: Shown) -> str:
        """All excerpts, then, where they are sparse, the lines above 0 of each."""
        parts = [block(f"excerpt {i}", pairs(e)) for i, e in enumerate(shown.excerpts, 1)]
        if is_sparse(shown.excerpts):
            parts.append("The same excerpts without the tokens at 0:")
            parts += [
                block(f"excerpt {i}, above 0", pairs(e, only_active=True)) for i, e in enumerate(shown.excerpts, 1)
            ]
        return "\n".join(parts)
