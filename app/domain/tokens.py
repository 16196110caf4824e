"""Tokens are bytes; a token may be a part of a character. Raw and display forms differ."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The bytes of every token of one tokenizer, by token id."""

    digest: str
    tokens: tuple[bytes, ...]

    def __len__(self) -> int:
        return len(self.tokens)

    def raw(self, token_ids: Sequence[int] | np.ndarray) -> list[bytes]:
        """The bytes of each token, one entry per token."""
        return [self.tokens[i] for i in token_ids]

    def strings(self, token_ids: Sequence[int] | np.ndarray) -> list[str]:
        """Each token decoded on its own; bytes of a split character become U+FFFD."""
        return [self.tokens[i].decode("utf-8", errors="replace") for i in token_ids]

    def text(self, token_ids: Sequence[int] | np.ndarray) -> str:
        """The tokens' text as a whole, split characters joined."""
        return b"".join(self.raw(token_ids)).decode("utf-8", errors="replace")
