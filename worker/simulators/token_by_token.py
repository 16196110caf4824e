"""One request per token: a chat whose answer is a number, read from the log-probabilities of its first token.

The most expensive simulator, and the one that every endpoint with chat log-probabilities can run.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from app.domain.arrays import Int32s
from app.domain.language_models import Capability, Outcome
from app.domain.results import SimulatedExcerpt
from app.domain.tokens import Vocabulary
from worker.method.prompts import load
from worker.method.prompts.rendering import block
from worker.providers.base import ChatRequest, Message, Reply, chat_until_usable
from worker.simulators.numbers import first_failure, from_positions, missing, unusable
from worker.simulators.prompting import description, examples, shown, step_of
from worker.simulators.reading import ReadsNumbers

PROMPT = "simulate_token"
ATTEMPTS = 2
MOST_ALTERNATIVES = 20
SHOWN_PER_EXAMPLE = 2
"""Questions made of each worked example: its strongest token and one on which it does not fire."""


@dataclass(frozen=True, slots=True)
class FirstTokenIsANumber:
    """Refuses a reply without a number among the alternatives of its first token."""

    top: int
    version: str = "token_by_token/1"

    def check(self, reply: Reply) -> None:
        """Raises ValueError."""
        if not reply.alternatives:
            raise ValueError("the reply has no log-probabilities")
        if (reason := unusable(reply.alternatives[0].logprobs, self.top)) is not None:
            raise ValueError(reason)


class TokenByToken(ReadsNumbers):
    """Needs chat log-probabilities."""

    name = "token_by_token"
    version = 1
    prompt = PROMPT
    needs = Capability.CHAT_LOGPROBS

    def simulate(
        self, text: str, excerpts: Sequence[tuple[int, Int32s]], vocabulary: Vocabulary
    ) -> tuple[SimulatedExcerpt, ...]:
        """Expected activations (0..10) of each excerpt. Raises CannotSimulate for an empty text, ProviderError."""
        opening = opening_of(self.top)
        wanted = description(text)
        requests = [
            ChatRequest(
                step=f"{step_of(text, excerpt_id)}/{position}",
                messages=(*opening, Message("user", question(wanted, tokens[: position + 1]))),
                max_tokens=1,
                top_logprobs=MOST_ALTERNATIVES,
                parser=FirstTokenIsANumber(self.top),
            )
            for excerpt_id, ids in excerpts
            for tokens in ([shown(t) for t in vocabulary.raw(ids)],)
            for position in range(len(tokens))
        ]
        replies = iter(chat_until_usable(self.provider, requests, attempts=ATTEMPTS))
        return tuple(self._read(excerpt_id, [next(replies) for _ in ids]) for excerpt_id, ids in excerpts)

    def _read(self, excerpt_id: int, replies: Sequence[Reply]) -> SimulatedExcerpt:
        if any(reply.outcome is not Outcome.OK for reply in replies):
            return missing(excerpt_id, len(replies), first_failure(replies))
        positions = (reply.alternatives[0].logprobs for reply in replies)
        return from_positions(excerpt_id, positions, length=len(replies), top=self.top)


def question(wanted: str, tokens: Sequence[str]) -> str:
    """The description, and the tokens (as shown) up to the one whose number is requested."""
    return "\n".join([block("fires on", wanted), block("text", f"{''.join(tokens[:-1])}⟦{tokens[-1]}⟧")])


@lru_cache
def opening_of(top: int) -> tuple[Message, ...]:
    """Instructions and worked examples: the same for every request, so that endpoints can keep them."""
    return (Message("system", load(PROMPT).fill(top=top)), *_examples(top))


def _examples(top: int) -> Iterator[Message]:
    for example in examples():
        excerpt = example.excerpts[0]
        levels = [level for _, level in excerpt]
        strongest = levels.index(max(levels))
        silent = max(position for position, level in enumerate(levels) if level == 0)
        for position in (strongest, silent)[:SHOWN_PER_EXAMPLE]:
            tokens = [shown(token.encode()) for token, _ in excerpt[: position + 1]]
            yield Message("user", question(example.explanation, tokens))
            yield Message("assistant", str(min(levels[position], top)))
