"""A transformers model on the worker's own device."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from jinja2 import TemplateError
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from app.domain.language_models import LOCAL_CAPABILITIES, Capability, Outcome
from app.errors import CheckpointError, ProviderError
from worker.checkpoints import checkpoint_folder, read_model, read_tokenizer
from worker.devices import first_device
from worker.providers.base import (
    UNWATCHED,
    Attempt,
    ChatRequest,
    Message,
    Reply,
    ScoreTextRequest,
    TextRequest,
    TokenAlternatives,
    Usage,
    Watch,
)
from worker.providers.local_decoding import Continuation, continue_prompts
from worker.providers.local_scoring import Row, score_rows
from worker.providers.prefix_cache import PrefixCache
from worker.providers.reasoning import CUT_SHORT, CUT_SHORT_IN_REASONING, Thinking, parted
from worker.providers.wire import folded

BATCH_TOKENS = {"cpu": 2048, "cuda": 16_384}
"""Tokens computed at once, not counting a common prefix, by kind of device."""
PROMPTS_AT_ONCE = 16


def load_local(name: str, model: str, *, device: str, options: Mapping[str, Any]) -> "LocalProvider":
    """A provider for a model's folder or hub id: only safetensors, no code of the model's own.

    Options: ``dtype`` (default ``auto``: as stored on a GPU, float32 elsewhere), ``batch_tokens``. Raises a permanent
    ProviderError if the model cannot be loaded.
    """
    try:
        wanted = first_device(device)
        dtype = options.get("dtype", "auto" if wanted.type == "cuda" else "float32")
        folder, _ = checkpoint_folder(model)
        tokenizer = read_tokenizer(folder)
        loaded = read_model(folder, dtype=dtype).model
    except CheckpointError as error:
        raise ProviderError(f"{name}: the model {model!r} cannot be loaded: {error}", permanent=True) from error
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise ProviderError(f"{name}: {model!r} has no fast tokenizer, which knows where tokens begin.", permanent=True)
    loaded.to(device=wanted)
    return LocalProvider(name, model, loaded, tokenizer, batch_tokens=options.get("batch_tokens"))


class LocalProvider:
    """A model and its tokenizer. One call at a time; within it requests are batched.

    One reply per request, in order. A prompt that is longer than the model's context is a failed reply.
    """

    def __init__(
        self,
        name: str,
        model_name: str,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerFast,
        *,
        batch_tokens: int | None = None,
        caches: bool = True,
    ) -> None:
        """``caches`` may be switched off for comparison."""
        self.name, self.model = name, model_name
        self._model, self._tokenizer = model, tokenizer
        self._cache = PrefixCache(model)
        self._cache.is_possible = self._cache.is_possible and caches
        self._lock = threading.Lock()
        self._batch_tokens = batch_tokens or BATCH_TOKENS.get(model.device.type, BATCH_TOKENS["cpu"])
        self._context = int(getattr(model.config.get_text_config(), "max_position_embeddings", 0) or 1_000_000)
        self._answers: dict[str, int | None] = {}
        writes_ten = {Capability.WHOLE_TEN} if self.answer_id("10") is not None else set()
        self.capabilities = LOCAL_CAPABILITIES | writes_ten

    @property
    def device(self) -> torch.device:
        """The device that holds the model's weights."""
        found: torch.device = self._model.device
        return found

    def answer_id(self, answer: str) -> int | None:
        """The one token that writes ``answer`` between a tab and a line end; None if there is no such token."""
        if answer not in self._answers:
            ids, starts = self._tokens(f"a\t{answer}\n")
            after = [i for i, start in enumerate(starts) if start >= 2 + len(answer)]
            here = [i for i, start in enumerate(starts) if start == 2]
            single = bool(here and after) and after[0] == here[-1] + 1
            self._answers[answer] = ids[here[-1]] if single and self._writes(ids[here[-1]], answer) else None
        return self._answers[answer]

    def _tokens(self, text: str) -> tuple[list[int], list[int]]:
        """Token ids with the model's begin mark, and where each begins (characters; -1 for the mark).

        Texts contain untrusted excerpts, so nothing in them is read as a special token of the tokenizer.
        """
        encoded = self._tokenizer(text, return_offsets_mapping=True, split_special_tokens=True)
        spans = encoded["offset_mapping"]
        return list(encoded["input_ids"]), [start if end > start else -1 for start, end in spans]

    def _writes(self, token_id: int, answer: str) -> bool:
        """Whether a token begins with the answer's first character and no white space before it."""
        raw = self._tokenizer.convert_ids_to_tokens(token_id)
        return isinstance(raw, str) and raw.startswith(answer[0])

    def chat(self, requests: Sequence[ChatRequest], *, watch: Watch = UNWATCHED) -> tuple[Reply, ...]:
        """Chat completions by the tokenizer's chat template, or role by role if it has none."""
        replies: list[Reply] = []
        for start in range(0, len(requests), PROMPTS_AT_ONCE):
            batch = requests[start : start + PROMPTS_AT_ONCE]
            replies += self._watched(batch, partial(self._chat, batch), watch)
        return tuple(replies)

    def score_texts(self, requests: Sequence[ScoreTextRequest], *, watch: Watch = UNWATCHED) -> tuple[Reply, ...]:
        """The alternatives among each request's ``answers``; a common prefix is computed once."""
        found: dict[int, Reply] = {}
        groups: dict[tuple[str, tuple[str, ...]], list[int]] = {}
        for index, request in enumerate(requests):
            groups.setdefault((request.prefix, request.answers), []).append(index)
        for indices in groups.values():
            batch = [requests[index] for index in indices]
            replies = self._watched(batch, partial(self._score, batch), watch)
            found |= dict(zip(indices, replies, strict=True))
        return tuple(found[index] for index in range(len(requests)))

    def _watched(self, requests: Sequence[TextRequest], work: Callable[[], list[Reply]], watch: Watch) -> list[Reply]:
        for request in requests:
            watch.before(request)
        with self._lock:
            started = time.perf_counter()
            replies = work()
            seconds = (time.perf_counter() - started) / len(requests)
        for request, reply in zip(requests, replies, strict=True):
            raw = None if reply.outcome is Outcome.FAILED else {"text": reply.text, "reasoning": reply.reasoning}
            watch.after(Attempt(request, self._wire(request), raw, reply, 1, seconds))
        return replies

    def _wire(self, request: TextRequest) -> dict[str, Any]:
        """The stored form of the request: its parameters, since nothing is sent over the network."""
        if isinstance(request, ScoreTextRequest):
            return {"model": self.model, "prompt": request.prefix + request.text, "answers": list(request.answers)}
        return {
            "model": self.model,
            "messages": [{"role": m.role, "content": m.content} for m in request.messages],
            "prompt": self._rendered(request),
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "seed": request.seed,
            "top_logprobs": request.top_logprobs,
        }

    def _rendered(self, request: ChatRequest) -> str:
        """The prompt. Instructions are put into the first user message if the template has no system role."""
        if self._tokenizer.chat_template is None:
            return "".join(f"{m.role}:\n{m.content}\n\n" for m in request.messages) + "assistant:\n"
        try:
            return self._by_template(request.messages)
        except TemplateError as error:
            try:
                return self._by_template(folded(request.messages))
            except TemplateError:
                raise ProviderError(
                    f"{self.name}: the chat template of {self.model} refuses the conversation: {error}", permanent=True
                ) from error

    def _by_template(self, messages: Sequence[Message]) -> str:
        plain = [{"role": m.role, "content": m.content} for m in messages]
        return str(self._tokenizer.apply_chat_template(plain, tokenize=False, add_generation_prompt=True))

    def _prompt_ids(self, request: ChatRequest) -> list[int]:
        """The prompt's token ids. A template contains its special tokens; without one the tokenizer adds its own."""
        has_template = self._tokenizer.chat_template is not None
        return list(self._tokenizer(self._rendered(request), add_special_tokens=not has_template)["input_ids"])

    def _chat(self, requests: Sequence[ChatRequest]) -> list[Reply]:
        rows = [
            Continuation(self._prompt_ids(r), r.max_tokens, r.temperature, r.seed or 0, r.top_logprobs or 0)
            for r in requests
        ]
        fitting = [row for row in rows if len(row.prompt) + row.max_tokens <= self._context]
        if fitting:
            continue_prompts(self._model, self._cache, fitting, self._end_ids())
        return [self._continued(row) if row in fitting else self._too_long(len(row.prompt)) for row in rows]

    def _end_ids(self) -> frozenset[int]:
        configured = self._model.generation_config.eos_token_id if self._model.generation_config else None
        ids = configured if isinstance(configured, list) else [configured]
        return frozenset(int(i) for i in (*ids, self._tokenizer.eos_token_id) if isinstance(i, int))

    def _continued(self, row: Continuation) -> Reply:
        if row.is_broken:
            return self._not_finite(len(row.prompt))
        thinking = self._parted(row.written)
        usage = Usage(len(row.prompt), len(row.prompt) - row.n_computed, len(row.written))
        alternatives = tuple(
            TokenAlternatives(self._decoded(next(iter(step))), {self._decoded(i): p for i, p in step.items()})
            for step in row.alternatives
        )
        reply = Reply(Outcome.OK, thinking.answer, alternatives, self.model, usage, reasoning=thinking.reasoning)
        if row.alternatives:
            # a request for alternatives needs only a few tokens, and nothing after them
            return reply
        if thinking.is_open:
            return replace(reply, outcome=Outcome.TRUNCATED, error=CUT_SHORT_IN_REASONING)
        if not row.is_finished:
            return replace(reply, outcome=Outcome.TRUNCATED, error=CUT_SHORT)
        if not thinking.answer.strip():
            return replace(reply, outcome=Outcome.UNPARSABLE, error="the reply is empty")
        return reply

    def _parted(self, written: list[int]) -> Thinking:
        """The text split into reasoning and answer. The marks between them are special tokens in some tokenizers."""
        thinking = parted(str(self._tokenizer.decode(written)))
        if not thinking.reasoning and not thinking.is_open:
            return Thinking("", str(self._tokenizer.decode(written, skip_special_tokens=True)))
        answer = thinking.answer
        for token in self._tokenizer.all_special_tokens:
            answer = answer.replace(token, "")
        return replace(thinking, answer=answer)

    def _decoded(self, token_id: int) -> str:
        return str(self._tokenizer.decode([token_id]))

    def _too_long(self, n_tokens: int) -> Reply:
        error = f"the prompt has {n_tokens} tokens, more than the {self._context} that {self.model} takes"
        return Reply(Outcome.FAILED, "", (), self.model, None, error)

    def _not_finite(self, n_tokens: int) -> Reply:
        error = f"{self.model} gives logits that are not finite numbers on a prompt of {n_tokens} tokens"
        if self._model.dtype != torch.float32:
            error += f" in {str(self._model.dtype).removeprefix('torch.')}: load it with the option dtype=float32"
        return Reply(Outcome.FAILED, "", (), self.model, None, error)

    def _score(self, requests: Sequence[ScoreTextRequest]) -> list[Reply]:
        answers = {a: i for a in requests[0].answers if (i := self.answer_id(a)) is not None}
        replies: dict[int, Reply] = {}
        rows: dict[int, Row] = {}
        for index, request in enumerate(requests):
            try:
                rows[index] = self._row(request)
            except ValueError as error:
                replies[index] = Reply(Outcome.UNPARSABLE, "", (), self.model, None, str(error))
                continue
            if len(rows[index].tokens) > self._context:
                replies[index] = self._too_long(len(rows.pop(index).tokens))
        if rows:
            scored = score_rows(
                self._model, self._cache, list(rows.values()), list(answers.values()), self._batch_tokens
            )
            for (index, row), result in zip(rows.items(), scored, strict=True):
                if bool(result.logprobs.isnan().any()):
                    replies[index] = self._not_finite(len(row.tokens))
                    continue
                usage = Usage(len(row.tokens), len(row.tokens) - result.n_computed, 0)
                alternatives = tuple(
                    TokenAlternatives(self._decoded(row.tokens[at]), dict(zip(answers, found, strict=True)))
                    for at, found in zip(row.positions, result.logprobs.tolist(), strict=True)
                )
                replies[index] = Reply(Outcome.OK, "", alternatives, self.model, usage)
        return [replies[index] for index in range(len(requests))]

    def _row(self, request: ScoreTextRequest) -> Row:
        """Raises ValueError if an answer is not at the beginning of a token."""
        text = request.prefix + request.text
        ids, starts = self._tokens(text)
        first = {start: i for i, start in reversed(list(enumerate(starts))) if start >= 0}
        for at in request.answer_at:
            if at not in first or first[at] == 0 or not self._writes(ids[first[at]], text[at]):
                raise ValueError(f"the model's tokens have no boundary at character {at}, where an answer is expected")
        return Row(ids, [first[at] for at in request.answer_at])
