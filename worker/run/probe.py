"""Probes an endpoint's capabilities by small requests, a few hundred tokens in all.

The requests have the form of those that methods send: instructions, a worked example, a question; as many
alternatives as simulators ask for; numbers inside a prompt. Replies are checked, not just received.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from app.domain.language_models import Capability, Outcome, ProviderKind
from app.errors import ProviderError
from app.models import Provider as ProviderRow
from app.settings import Settings
from worker.method.structured_requests import Unusable, json_object
from worker.providers.base import ChatRequest, Message, Reply, ScoreTextRequest, TextRequest
from worker.providers.openai_compatible import EndpointError, EndpointSettings, OpenAICompatible
from worker.providers.reading_alternatives import as_text
from worker.providers.wire import MOST_ALTERNATIVES, OPTION_NAMES, Dialect
from worker.run.opening import endpoint_settings, open_provider

_SCHEMA = {
    "type": "object",
    "properties": {"number": {"type": "integer", "minimum": 7, "maximum": 7}},
    "required": ["number"],
    "additionalProperties": False,
}
_INSTRUCTIONS = "You name the opposite of a word, in one word."
_EXAMPLE = (Message("user", "hot"), Message("assistant", "cold"))
_PATTERN = "one\t1\ntwo\t2\nthree\t3\nten\t10\n"
_NUMBERS_IN_PATTERN = 4
_SCORED = 3 * _PATTERN + "one\t?\n"
"""A pattern with white space before and after each number. Its third occurrence is predictable."""

SHORT_REPLY = 16
LONG_REPLY = 1_024
"""Tokens of a reply: enough for a model that reasons before it answers."""
FEWER_ALTERNATIVES = (10, 5, 2)
"""Numbers tried in turn if an endpoint refuses to return as many alternatives as simulators ask for."""
_KEY_OR_ADDRESS = frozenset({401, 402, 403, 404, 429})
"""HTTP statuses that do not concern the format of a request."""


@dataclass(frozen=True, slots=True)
class Probe:
    """The result of a probe: capabilities, the options that the endpoint needs, and remarks for a person.

    ``missing`` has the reason for each missing capability.
    """

    capabilities: frozenset[Capability]
    options: Mapping[str, Any]
    missing: Mapping[Capability, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


def probe_row(row: ProviderRow, settings: Settings) -> Probe:
    """Probe the provider of a row. Raises ProviderError if it cannot chat."""
    if row.kind == ProviderKind.LOCAL:
        provider = open_provider(row, settings)
        return Probe(provider.capabilities, row.options)
    return probe_endpoint(endpoint_settings(row, settings), row.options)


def probe_endpoint(settings: EndpointSettings, options: Mapping[str, Any]) -> Probe:
    """Test each capability. Raises ProviderError, describing what came instead, if even a chat gets no reply."""
    search = _Search(replace(settings, tries=2, dialect=Dialect()))
    search.chat()
    search.chat_logprobs()
    search.json_schema()
    search.prompt_logprobs()
    kept = {name: value for name, value in options.items() if name not in OPTION_NAMES}
    return Probe(frozenset(search.found), kept | search.dialect.options, search.missing, tuple(search.remarks))


class _Search:
    """A probe in progress: the dialect learned so far, the findings, and the reasons for missing capabilities."""

    def __init__(self, settings: EndpointSettings) -> None:
        self._settings = settings
        self.dialect = settings.dialect
        self.found: set[Capability] = set()
        self.missing: dict[Capability, str] = {}
        self.remarks: list[str] = []
        self._thinks = False

    def _ask(self, request: TextRequest, dialect: Dialect | None = None) -> Reply:
        """Send one request in the dialect so far, or in another. Raises ProviderError."""
        provider = OpenAICompatible(replace(self._settings, dialect=dialect or self.dialect))
        try:
            if isinstance(request, ChatRequest):
                (reply,) = provider.chat([request])
            else:
                (reply,) = provider.score_texts([request])
            return reply
        finally:
            provider.close()

    def chat(self) -> None:
        """A conversation like those of methods, which shows what fields and roles the endpoint accepts.

        Raises ProviderError.
        """
        messages = (Message("system", _INSTRUCTIONS), *_EXAMPLE, Message("user", "big"))
        request = ChatRequest("probe", messages, SHORT_REPLY, seed=1)
        reply = self._in_a_dialect_it_takes(request)
        wants_room = reply.outcome is Outcome.TRUNCATED and not reply.text.strip()
        if wants_room:
            reply = self._ask(replace(request, max_tokens=LONG_REPLY))
        self._thinks = wants_room or bool(reply.reasoning.strip())
        if self._thinks:
            self.remarks.append(
                "The model reasons before it answers: give methods a larger max_tokens, for example 4000."
            )
        if reply.outcome in (Outcome.UNPARSABLE, Outcome.FAILED):
            raise ProviderError(f"{self._settings.name} does not chat: {reply.error}.", permanent=True)
        self.found.add(Capability.CHAT)
        if self.dialect.system == "fold":
            self.remarks.append("It takes no system message: instructions begin the first user message.")
        if self.dialect.omit:
            self.remarks.append(f"It refuses {', '.join(sorted(self.dialect.omit))}: left out of requests.")

    def _in_a_dialect_it_takes(self, request: ChatRequest) -> Reply:
        """The first reply that does not refuse a field or role. Raises the first error if no dialect helps."""
        dialect, first = self.dialect, None
        while True:
            try:
                reply = self._ask(request, dialect)
            except EndpointError as error:
                first = first or error
                other = _without_what_is_refused(dialect, error) or _folded(dialect, error)
                if other is None and error.sent.status is not None:
                    raise first from None
                if other is None:  # an outage says nothing about capabilities
                    raise
                dialect = other
            else:
                self.dialect = dialect
                return reply

    def chat_logprobs(self) -> None:
        """Test alternatives of a reply's first token, as many as the endpoint returns."""
        if self._thinks:
            self.missing[Capability.CHAT_LOGPROBS] = "the model thinks first, so its first token is no answer"
            return
        request = ChatRequest(
            "probe",
            (Message("user", "Answer with the number 10 and nothing else."),),
            SHORT_REPLY,
            top_logprobs=MOST_ALTERNATIVES,
        )
        reply = self._with_fewer(request, Capability.CHAT_LOGPROBS, self.dialect)
        if reply is None:
            return
        if not reply.alternatives:
            self.missing[Capability.CHAT_LOGPROBS] = reply.error or "the reply has no log-probabilities"
        elif all(len(a.logprobs) < 2 for a in reply.alternatives):
            self.missing[Capability.CHAT_LOGPROBS] = "only the chosen token's log-probability is returned"
        elif reply.reasoning:
            self.missing[Capability.CHAT_LOGPROBS] = "the model thinks first, so its first token is no answer"
        else:
            self.found.add(Capability.CHAT_LOGPROBS)
            if any("10" in {as_text(t).strip() for t in a.logprobs} for a in reply.alternatives):
                self.found.add(Capability.WHOLE_TEN)

    def json_schema(self) -> None:
        """Test whether a schema is enforced on a question that asks for something else."""
        length = LONG_REPLY if self._thinks else SHORT_REPLY
        request = ChatRequest("probe", (Message("user", "Answer with any words."),), length, json_schema=_SCHEMA)
        try:
            reply = self._ask(request)
        except ProviderError as error:
            self._note_refusal(Capability.JSON_SCHEMA, error)
            return
        try:
            follows = json_object(reply.text, frozenset({"number"})) == {"number": 7}
        except Unusable:
            follows = False
        if reply.outcome is Outcome.OK and follows:
            self.found.add(Capability.JSON_SCHEMA)
        else:
            self.missing[Capability.JSON_SCHEMA] = reply.error or "the reply does not follow the schema"

    def prompt_logprobs(self) -> None:
        """Test alternatives at numbers inside a prompt, in both ways to ask for them."""
        numbers = [match.start() for match in re.finditer(r"\d+", _SCORED)]
        request = ScoreTextRequest("probe", "", _SCORED, (*numbers, len(_SCORED) - 2))
        reasons = []
        for style in ("echo", "vllm"):
            dialect = replace(self.dialect, prompt_logprobs=style)
            reply = self._with_fewer(request, Capability.PROMPT_LOGPROBS, dialect)
            reason = self.missing.pop(Capability.PROMPT_LOGPROBS, None) if reply is None else _why_no_scores(reply)
            if reason is None and reply is not None:
                self.found.add(Capability.PROMPT_LOGPROBS)
                if as_text(reply.alternatives[len(numbers) - 1].token).startswith("10"):
                    self.found.add(Capability.WHOLE_TEN)
                return
            reasons.append(f"{style}: {reason}")
        self.missing[Capability.PROMPT_LOGPROBS] = "; ".join(reasons)

    def _with_fewer(self, request: TextRequest, capability: Capability, dialect: Dialect) -> Reply | None:
        """The reply with as many alternatives as the endpoint returns, its dialect kept.

        None if it refuses them, with the reason in ``missing``. Raises outages.
        """
        tried = MOST_ALTERNATIVES
        while True:
            if isinstance(request, ChatRequest):
                variant = replace(dialect, chat_alternatives=tried)
            else:
                variant = replace(dialect, prompt_alternatives=tried)
            try:
                reply = self._ask(request, variant)
            except ProviderError as error:
                fewer = next((n for n in _fewer(error) if n < tried), None)
                if fewer is None or not error.permanent:
                    self._note_refusal(capability, error)
                    return None
                tried = fewer
                continue
            if reply.alternatives:
                self.dialect = variant
                if tried < MOST_ALTERNATIVES:
                    self.remarks.append(f"{capability}: at most {tried} alternatives per token.")
            return reply

    def _note_refusal(self, capability: Capability, error: ProviderError) -> None:
        """Record why a kind of request is refused. Raises the error if it is an outage."""
        if not error.permanent and (not isinstance(error, EndpointError) or error.sent.status is None):
            raise error
        self.missing[capability] = (
            error.sent.reply.error or error.message if isinstance(error, EndpointError) else error.message
        )


_REFUSABLE = ("max_completion_tokens", "temperature", "seed")
"""Fields that an endpoint's error may name: the one that it wants for the length, and those that it refuses."""


def _without_what_is_refused(dialect: Dialect, error: EndpointError) -> Dialect | None:
    """The dialect without the fields that an error names, in its message or as the location of the fault."""
    if not error.permanent:
        return None
    report = error.sent.report
    named = report.fields | {name for name in _REFUSABLE if name in report.message}
    if "max_tokens" in named or "max_completion_tokens" in named:
        other = replace(dialect, length_field="max_completion_tokens")
        if other != dialect:
            return other
    refused = named & {"temperature", "seed"} - dialect.omit
    return replace(dialect, omit=dialect.omit | refused) if refused else None


def _folded(dialect: Dialect, error: EndpointError) -> Dialect | None:
    """The dialect without a system message; None if that is known not to help."""
    status = error.sent.status
    if dialect.system == "fold" or status is None or status in _KEY_OR_ADDRESS:
        return None
    return replace(dialect, system="fold")


def _fewer(error: ProviderError) -> Iterator[int]:
    """Numbers of alternatives to try instead: those in the error, the largest first, then some others."""
    words = error.sent.report.message if isinstance(error, EndpointError) else ""
    named = {int(n) for n in re.findall(r"(?<![\d.])\d{1,2}(?![\d.])", words)}
    yield from sorted((n for n in named if n > 1), reverse=True)
    yield from FEWER_ALTERNATIVES


def _why_no_scores(reply: Reply) -> str | None:
    """Why a reply lacks the alternatives at a prompt's numbers; None if it has them."""
    if reply.outcome is not Outcome.OK or not reply.alternatives:
        return reply.error or "the reply has no log-probabilities of the prompt"
    if any(len(a.logprobs) < 2 for a in reply.alternatives):
        return "some of the prompt's tokens have no alternatives"
    # The third occurrence, which is predictable; a sign follows it.
    last = reply.alternatives[-1 - _NUMBERS_IN_PATTERN : -1]
    likeliest = [max(a.logprobs, key=a.logprobs.__getitem__) for a in last]
    n_white = sum(not as_text(token).strip() for token in likeliest)
    if n_white * 2 >= len(likeliest):
        # These are another token's alternatives: a number is preceded by a tab and followed by a line break.
        return f"the alternatives do not belong to their tokens: at numbers the likeliest are {likeliest}"
    return None
