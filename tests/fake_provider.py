"""A language model inside the process, for tests that need answers and no wire."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from app.domain.language_models import Capability, Outcome
from worker.providers.base import (
    Attempt,
    ChatRequest,
    Reply,
    Request,
    ScoreTextRequest,
    TokenAlternatives,
    Usage,
    Watch,
)

Chat = Callable[[ChatRequest], "Reply | str"]
Numbers = Callable[[str, int], Mapping[str, float]]
"""Log-probabilities of the tokens at a character offset of a prompt."""


def reply(text: str = "", outcome: Outcome = Outcome.OK, **values: object) -> Reply:
    """A reply with sensible values for what a test does not care about."""
    defaults: dict[str, object] = {"alternatives": (), "model": "fake-1", "usage": Usage(7, 0, 3), "error": None}
    return Reply(outcome=outcome, text=text, **{**defaults, **values})  # type: ignore[arg-type]  # any field by name


def all_zero(_prompt: str, _at: int) -> Mapping[str, float]:
    """The number 0 with certainty, everywhere."""
    return {"0": 0.0}


class FakeProvider:
    """Answers by functions; keeps every request in ``asked``."""

    def __init__(
        self,
        chat: Chat = lambda _request: "words about cats",
        numbers: Numbers = all_zero,
        capabilities: Iterable[Capability] = Capability,
    ) -> None:
        self.name, self.model = "fake", "fake-1"
        self.capabilities = frozenset(capabilities)
        self.asked: list[Request] = []
        self._chat, self._numbers = chat, numbers

    def chat(self, requests: Sequence[ChatRequest], *, watch: Watch = Watch()) -> tuple[Reply, ...]:  # noqa: B008  # frozen
        return tuple(self._told(request, self._answer(request), watch) for request in requests)

    def score_texts(self, requests: Sequence[ScoreTextRequest], *, watch: Watch = Watch()) -> tuple[Reply, ...]:  # noqa: B008  # frozen
        return tuple(self._told(request, self._scored(request), watch) for request in requests)

    def _answer(self, request: ChatRequest) -> Reply:
        answer = self._chat(request)
        return reply(answer) if isinstance(answer, str) else answer

    def _scored(self, request: ScoreTextRequest) -> Reply:
        prompt = request.prefix + request.text
        found = (TokenAlternatives(prompt[at], self._numbers(prompt, at)) for at in request.answer_at)
        return reply(alternatives=tuple(found))

    def _told(self, request: Request, answer: Reply, watch: Watch) -> Reply:
        watch.before(request)
        self.asked.append(request)
        watch.after(Attempt(request, {"step": request.step}, {"text": answer.text}, answer, 1, 0.0))
        return answer
