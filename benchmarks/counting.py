"""A provider whose replies always have the form, which counts tokens, with a cache of the previous prompt."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerFast

from app.domain.language_models import Capability, Outcome
from tests.llm_server import instance_of
from worker.providers.base import ChatRequest, Reply, ScoreTextRequest, TokenAlternatives, Watch
from worker.providers.prefix_cache import common_length

CERTAIN_ZERO = {"0": 0.0}


@dataclass(slots=True)
class Counts:
    """Prompt tokens of all requests, and those that differ from the prompt before."""

    tokens_in: int = 0
    computed: int = 0


class CountingProvider:
    """Every number is 0, every text fits its schema."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, counts: Counts) -> None:
        self.name = self.model = "counting"
        self.capabilities = frozenset(Capability)
        self._tokenizer, self._counts = tokenizer, counts
        self._before: list[int] = []

    def chat(self, requests: Sequence[ChatRequest], *, watch: Watch | None = None) -> tuple[Reply, ...]:
        """Counts the messages' contents."""
        return tuple(self._chat(request) for request in requests)

    def _chat(self, request: ChatRequest) -> Reply:
        self._count("\n".join(message.content for message in request.messages))
        text = "0" if request.json_schema is None else json.dumps(instance_of(request.json_schema))
        return Reply(Outcome.OK, text, (TokenAlternatives("0", CERTAIN_ZERO),), self.model, None)

    def score_texts(self, requests: Sequence[ScoreTextRequest], *, watch: Watch | None = None) -> tuple[Reply, ...]:
        """Counts the whole texts."""
        return tuple(self._score(request) for request in requests)

    def _score(self, request: ScoreTextRequest) -> Reply:
        self._count(request.prefix + request.text)
        alternatives = tuple(TokenAlternatives("?", CERTAIN_ZERO) for _ in request.answer_at)
        return Reply(Outcome.OK, "", alternatives, self.model, None)

    def _count(self, prompt: str) -> None:
        ids = list(self._tokenizer(prompt)["input_ids"])
        self._counts.tokens_in += len(ids)
        self._counts.computed += len(ids) - common_length([self._before, ids]) if self._before else len(ids)
        self._before = ids
