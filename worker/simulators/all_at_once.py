"""One request per excerpt: the numbers' log-probabilities at every token, read in one pass.

The idea is from the 2023 paper: each token is followed by a tab and a placeholder, and the model's prediction at the
placeholder is used instead of written text. Everything but the excerpt is the same for all excerpts of a neuron, so it
is computed once. An excerpt takes four tokens per token: itself, tab, placeholder, line end.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from app.domain.arrays import Int32s
from app.domain.language_models import Capability, Outcome
from app.domain.results import SimulatedExcerpt
from app.domain.tokens import Vocabulary
from worker.method.prompts import load
from worker.providers.base import Reply, ScoreTextRequest
from worker.simulators.numbers import answers, from_positions, missing, unusable
from worker.simulators.prompting import UNKNOWN, Example, description, examples, shown, step_of
from worker.simulators.reading import ReadsNumbers

PROMPT = "simulate_all_at_once"


@dataclass(frozen=True, slots=True)
class EveryPositionHasANumber:
    """Refuses a reply without a number among the alternatives at some position."""

    top: int
    length: int
    version: str = "all_at_once/1"

    def check(self, reply: Reply) -> None:
        """Raises ValueError with the first position that has no number."""
        if len(reply.alternatives) != self.length:
            raise ValueError(
                f"the reply has log-probabilities of {len(reply.alternatives)} tokens, not of {self.length}"
            )
        for position, alternative in enumerate(reply.alternatives, 1):
            if (reason := unusable(alternative.logprobs, self.top)) is not None:
                raise ValueError(f"{reason} for token {position} of {self.length}")


class AllAtOnce(ReadsNumbers):
    """Needs log-probabilities inside the prompt: a local model, or an endpoint that returns them."""

    name = "all_at_once"
    version = 1
    prompt = PROMPT
    needs = Capability.PROMPT_LOGPROBS

    def simulate(
        self, text: str, excerpts: Sequence[tuple[int, Int32s]], vocabulary: Vocabulary
    ) -> tuple[SimulatedExcerpt, ...]:
        """Expected activations (0..10) of each excerpt. Raises CannotSimulate for an empty text, ProviderError."""
        requests = [self.request(text, excerpt_id, vocabulary.raw(ids)) for excerpt_id, ids in excerpts]
        replies = self.provider.score_texts(requests)
        return tuple(
            self._read(excerpt_id, len(ids), reply) for (excerpt_id, ids), reply in zip(excerpts, replies, strict=True)
        )

    def request(self, text: str, excerpt_id: int, tokens: Sequence[bytes]) -> ScoreTextRequest:
        """The request for one excerpt. Raises CannotSimulate for an empty text."""
        prefix = prefix_of(text, self.top)
        lines, positions = lines_of(tokens)
        return ScoreTextRequest(
            step=step_of(text, excerpt_id),
            prefix=prefix,
            text=lines,
            answer_at=tuple(len(prefix) + position for position in positions),
            answers=answers(self.top),
            parser=EveryPositionHasANumber(self.top, len(tokens)),
        )

    def _read(self, excerpt_id: int, length: int, reply: Reply) -> SimulatedExcerpt:
        if reply.outcome is not Outcome.OK:
            return missing(excerpt_id, length, reply.error or f"the reply is {reply.outcome}")
        positions = (alternative.logprobs for alternative in reply.alternatives)
        return from_positions(excerpt_id, positions, length=length, top=self.top)


def lines_of(tokens: Sequence[bytes]) -> tuple[str, tuple[int, ...]]:
    """One line per token with a placeholder, and the offsets of the placeholders in the text, in characters."""
    positions, parts, at = [], [], 0
    for token in tokens:
        line = f"{shown(token)}\t{UNKNOWN}\n"
        positions.append(at + len(line) - 2)
        parts.append(line)
        at += len(line)
    return "".join(parts), tuple(positions)


@lru_cache(maxsize=64)
def prefix_of(text: str, top: int) -> str:
    """The prompt up to an excerpt's first line. Raises CannotSimulate for an empty text."""
    parts = [load(PROMPT).fill(top=top), ""]
    for number, example in enumerate(examples(), 1):
        parts += [_heading(number, example.explanation), _example(example, top)]
    parts += [_heading(len(examples()) + 1, description(text)), "⟪excerpt⟫\n"]
    return "\n".join(parts)


def _heading(number: int, explanation: str) -> str:
    return f"⟪neuron {number}⟫\nfires on: {explanation}"


def _example(example: Example, top: int) -> str:
    """An example's excerpts with ever more of their first numbers replaced by placeholders; both may precede one."""
    blocks = []
    for i, excerpt in enumerate(example.excerpts):
        n_left_out = len(excerpt) * i // (len(example.excerpts) + 1)
        lines = (
            f"{shown(token.encode())}\t{UNKNOWN if position < n_left_out else min(level, top)}"
            for position, (token, level) in enumerate(excerpt)
        )
        blocks.append("\n".join(["⟪excerpt⟫", *lines, "⟪/excerpt⟫"]))
    return "\n".join(blocks) + "\n"
