"""Repeats a stored call: the model's reply today, compared with the stored one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.db import Sessions, transaction
from app.errors import Invalid, NotFound
from app.models import LlmCall
from app.settings import Settings
from worker.providers.base import (
    ChatRequest,
    Message,
    Provider,
    Reply,
    ScoreTextRequest,
    TextRequest,
    TokenAlternatives,
)
from worker.run.opening import Providers
from worker.run.recording import reply_of_row


@dataclass(frozen=True, slots=True)
class Drift:
    """The difference between a reply and the stored one.

    ``largest_logprob_change`` is over the tokens that both have at the same positions, in nats; None if there are none.
    """

    before: Reply
    now: Reply
    largest_logprob_change: float | None

    @property
    def is_same(self) -> bool:
        """Whether outcome, text and the alternatives' tokens are unchanged."""
        return (
            self.before.outcome == self.now.outcome
            and self.before.text == self.now.text
            and [set(a.logprobs) for a in self.before.alternatives] == [set(a.logprobs) for a in self.now.alternatives]
        )


def replay_call(sessions: Sessions, settings: Settings, call_id: int) -> Drift:
    """Repeat a stored call, recorded under the same run. Raises NotFound, Invalid, ProviderError, CapReached."""
    with transaction(sessions) as session:
        call = session.get(LlmCall, call_id)
    if call is None:
        raise NotFound(f"There is no call {call_id}.")
    providers = Providers(sessions, settings)
    try:
        return replay(call, providers.for_run(call.provider, call.run_id))
    finally:
        providers.close()


def replay(call: LlmCall, provider: Provider) -> Drift:
    """Send the call's request again. Raises Invalid for a call that cannot be repeated, ProviderError."""
    request = request_of_row(call)
    if isinstance(request, ChatRequest):
        (now,) = provider.chat([request])
    else:
        (now,) = provider.score_texts([request])
    before = reply_of_row(call)
    return Drift(before, now, _largest_change(before.alternatives, now.alternatives))


def request_of_row(call: LlmCall) -> TextRequest:
    """The original request, under its own step. Raises Invalid if too little was stored."""
    step, wire = f"replay/{call.id}/{call.step}", call.request
    if "messages" in wire:
        return ChatRequest(
            step=step,
            messages=tuple(Message(m["role"], m["content"]) for m in wire["messages"]),
            max_tokens=wire.get("max_tokens") or wire.get("max_completion_tokens") or 1,
            temperature=wire.get("temperature", 0.0),
            seed=wire.get("seed"),
            top_logprobs=wire.get("top_logprobs"),
            json_schema=_schema(wire),
        )
    if "input" in wire:
        raise Invalid("Embeddings are not stored with their call, so there is nothing to compare a repetition with.")
    positions = (call.reply or {}).get("answer_at")
    if "prompt" not in wire or positions is None:
        raise Invalid("This call has no reply, so there is nothing to compare a repetition with.")
    return ScoreTextRequest(step, "", wire["prompt"], tuple(positions), tuple(wire.get("answers", ())))


def _schema(wire: Mapping[str, Any]) -> Mapping[str, Any] | None:
    found: Mapping[str, Any] | None = wire.get("response_format", {}).get("json_schema", {}).get("schema")
    return found


def _largest_change(before: Sequence[TokenAlternatives], now: Sequence[TokenAlternatives]) -> float | None:
    changes = [
        abs(one.logprobs[token] - other.logprobs[token])
        for one, other in zip(before, now, strict=False)
        for token in one.logprobs.keys() & other.logprobs.keys()
    ]
    return max(changes, default=None)
