"""A provider that stores every attempt at once and does not repeat a call that has a usable reply.

The store writes in short transactions of its own, so that paid replies survive a crash or rollback of the run; its next
execution finds them and continues from there.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol, TypeVar

from app.db import Sessions, transaction
from app.domain.costs import Prices
from app.domain.language_models import Capability, Outcome
from app.errors import CapReached, Conflict, ProviderError
from app.models import LlmCall
from app.queries.language_models.calls import (
    Budget,
    Call,
    answered_calls,
    budget_of_run,
    budget_of_task,
    store_call,
)
from app.work.enqueue import cancel_batch
from worker.providers.base import (
    Attempt,
    ChatRequest,
    EmbedRequest,
    Provider,
    Reply,
    Request,
    ScoreTextRequest,
    TokenAlternatives,
    Usage,
    Watch,
    judged,
    request_digest,
)
from worker.providers.openai_compatible import OpenAICompatible

R = TypeVar("R", ChatRequest, ScoreTextRequest, EmbedRequest)
Key = tuple[str, str]
"""The step and the request's digest."""
CHARACTERS_PER_TOKEN = 2
"""For unreported counts: half of the ratio in English, so that estimates are rather too high."""


class CallStore(Protocol):
    """Storage of calls. Its methods are called from several threads."""

    def answered(self) -> Mapping[Key, Reply]:
        """The replies to earlier calls."""
        ...

    def allow(self, request: Request) -> None:
        """Reserve the call's price. Raises CapReached if the cap does not allow it."""
        ...

    def keep(self, attempt: Attempt, digest: str) -> None:
        """Store one attempt, before its reply is used."""
        ...


class RecordingProvider:
    """Wraps a provider for one run."""

    def __init__(self, inner: Provider, store: CallStore, tick: Callable[[], None] = lambda: None) -> None:
        """``tick`` is called after each stored attempt, from any thread; an error that it raises ends the call."""
        self.name, self.model = inner.name, inner.model
        self.capabilities: frozenset[Capability] = inner.capabilities
        self.inner, self._store = inner, store
        self._tick = tick
        self._answered: dict[Key, Reply] | None = None

    def chat(self, requests: Sequence[ChatRequest], *, watch: Watch | None = None) -> tuple[Reply, ...]:
        """One reply per request, from the store if there is one. Raises ProviderError, CapReached."""
        return self._ask(requests, self.inner.chat, watch)

    def score_texts(self, requests: Sequence[ScoreTextRequest], *, watch: Watch | None = None) -> tuple[Reply, ...]:
        """Alternatives inside each text, from the store if there are any. Raises ProviderError, CapReached."""
        return self._ask(requests, self.inner.score_texts, watch)

    def embed(self, requests: Sequence[EmbedRequest], *, watch: Watch | None = None) -> tuple[Reply, ...]:
        """Embeddings, always requested: they are stored elsewhere. Raises ProviderError, CapReached."""
        if not isinstance(self.inner, OpenAICompatible):
            raise ProviderError(
                f"{self.name} is no endpoint. Name the folder of a model in NEURON_AUDIT_EMBEDDING_MODEL instead.",
                permanent=True,
            )
        return self._ask(requests, self.inner.embed, watch)

    def _ask(
        self, requests: Sequence[R], ask: Callable[..., tuple[Reply, ...]], watch: Watch | None
    ) -> tuple[Reply, ...]:
        keys = [(r.step, request_digest(self.name, self.model, r)) for r in requests]
        known = self._known()
        # Equal requests of one batch are sent once: an excerpt may be in two samples.
        unasked = {key: request for key, request in zip(keys, requests, strict=True) if key not in known}
        digests = {id(request): digest for (_, digest), request in unasked.items()}

        def keep(attempt: Attempt) -> None:
            checked = judged(attempt.request, attempt.reply)
            finished = Attempt(
                attempt.request, attempt.wire, attempt.raw, checked, attempt.number, attempt.latency_seconds
            )
            self._store.keep(finished, digests[id(attempt.request)])
            self._tick()
            if watch is not None:
                watch.after(finished)

        def before(request: Request) -> None:
            self._store.allow(request)
            if watch is not None:
                watch.before(request)

        if unasked:
            fresh = ask(list(unasked.values()), watch=Watch(before, keep))
            known |= {key: judged(request, reply) for (key, request), reply in zip(unasked.items(), fresh, strict=True)}
        return tuple(known[key] for key in keys)

    def _known(self) -> dict[Key, Reply]:
        if self._answered is None:
            self._answered = dict(self._store.answered())
        return self._answered


class DatabaseCalls:
    """The calls in the database of one run or task, and one provider with its prices."""

    def __init__(
        self, sessions: Sessions, run_id: int | None, provider: str, prices: Prices, *, task_id: int | None = None
    ) -> None:
        self._sessions, self._run_id, self._task_id = sessions, run_id, task_id
        self._provider, self._prices = provider, prices
        self._lock = threading.Lock()
        self._reserved: dict[int, float] = {}

    def answered(self) -> Mapping[Key, Reply]:
        """The run's replies that can be reused."""
        if self._run_id is None:
            return {}
        with transaction(self._sessions) as session:
            rows = answered_calls(session, run_id=self._run_id)
            return {(row.step, row.request_digest): reply_of_row(row) for row in rows}

    def allow(self, request: Request) -> None:
        """Reserve the call's estimated price, or cancel the rest of the batch and raise CapReached.

        A task is ended by the error.

        Calls in flight in other workers are unknown until they are stored, so a cap may be exceeded by as many calls as
        those workers have in flight.
        """
        if self._prices.is_free:
            return
        guess = guessed_price(request, self._prices)
        with self._lock:
            budget = self._budget()
            refusal = None if budget is None else budget.refusal(guess + sum(self._reserved.values()))
            if refusal is None:
                self._reserved[id(request)] = guess
                return
        if budget is not None and budget.batch_id is not None:
            self._stop_batch(budget.batch_id, refusal)
        raise CapReached(refusal)

    def _budget(self) -> Budget | None:
        """The budget of the run or task; None if nobody pays, as for a replay."""
        with transaction(self._sessions) as session:
            if self._run_id is not None:
                return budget_of_run(session, run_id=self._run_id)
            return None if self._task_id is None else budget_of_task(session, task_id=self._task_id)

    def _stop_batch(self, batch_id: int, reason: str) -> None:
        with (
            suppress(Conflict),
            transaction(self._sessions) as session,
        ):  # another run of the batch has cancelled it already
            cancel_batch(session, batch_id=batch_id, account_id=None, reason=reason)

    def keep(self, attempt: Attempt, digest: str) -> None:
        """Insert the attempt with its price and commit.

        An answer without token counts is charged by an estimate and marked as such; otherwise a cap would never be
        reached.
        """
        reply = attempt.reply
        usage, is_estimated = reply.usage, False
        if usage is None and reply.outcome.is_answered:
            usage, is_estimated = estimated_usage(attempt.request, reply), True
        tokens = None if usage is None else (usage.tokens_in, usage.tokens_cached, usage.tokens_out)
        call = Call(
            step=attempt.request.step,
            request_digest=digest,
            provider=self._provider,
            request=attempt.wire,
            reply=stored_reply(attempt),
            returned_model=reply.model,
            parser_version=attempt.request.parser.version if attempt.request.parser else None,
            outcome=reply.outcome,
            error=reply.error,
            attempt=attempt.number,
            tokens=tokens,
            is_estimated=is_estimated,
            price=None if tokens is None else self._prices.of(*tokens),
            latency_seconds=attempt.latency_seconds,
        )
        with transaction(self._sessions) as session:
            store_call(session, run_id=self._run_id, task_id=self._task_id, call=call)
        with self._lock:
            self._reserved.pop(id(attempt.request), None)


def guessed_price(request: Request, prices: Prices) -> float:
    """The price of a call before it is made, rather overestimated."""
    tokens_out = request.max_tokens if isinstance(request, ChatRequest) else int(isinstance(request, ScoreTextRequest))
    return prices.of(_guessed_tokens_in(request), 0, tokens_out)


def estimated_usage(request: Request, reply: Reply) -> Usage:
    """Token counts of a call whose reply reported none, from the characters sent and received."""
    if isinstance(request, ScoreTextRequest):
        return Usage(_guessed_tokens_in(request), 0, 1)
    if isinstance(request, EmbedRequest):
        return Usage(_guessed_tokens_in(request), 0, 0)
    characters = len(reply.text) + len(reply.reasoning)
    # if nothing could be parsed, up to the limit may have been written
    tokens_out = characters // CHARACTERS_PER_TOKEN + 1 if characters else request.max_tokens
    return Usage(_guessed_tokens_in(request), 0, min(tokens_out, request.max_tokens))


def _guessed_tokens_in(request: Request) -> int:
    if isinstance(request, ChatRequest):
        characters = sum(len(m.content) for m in request.messages)
    elif isinstance(request, EmbedRequest):
        characters = sum(map(len, request.texts))
    else:
        characters = len(request.prefix) + len(request.text)
    return characters // CHARACTERS_PER_TOKEN


def stored_reply(attempt: Attempt) -> dict[str, Any] | None:
    """The stored form of a reply: its raw form, and the parsed parts from which a resumed run continues."""
    if attempt.raw is None:
        return None
    reply = attempt.reply
    rows = [[a.token, dict(a.logprobs)] for a in reply.alternatives]
    stored: dict[str, Any] = {"raw": dict(attempt.raw), "text": reply.text, "alternatives": rows}
    if isinstance(attempt.request, ScoreTextRequest):
        stored["answer_at"] = list(attempt.request.answer_at)
    return stored


def reply_of_row(row: LlmCall) -> Reply:
    """The reply as it was parsed at first."""
    stored = row.reply or {}
    usage = None
    if row.tokens_in is not None and not row.is_estimated:
        usage = Usage(row.tokens_in, row.tokens_cached or 0, row.tokens_out or 0)
    alternatives = tuple(TokenAlternatives(token, logprobs) for token, logprobs in stored.get("alternatives", ()))
    return Reply(Outcome(row.outcome), stored.get("text", ""), alternatives, row.returned_model, usage, row.error)
