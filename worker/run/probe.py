"""What an endpoint can do, found out by small requests; a handful of tokens in all."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from app.domain.language_models import Capability, Outcome, ProviderKind
from app.errors import ProviderError
from app.models import Provider as ProviderRow
from app.settings import Settings
from worker.providers.base import ChatRequest, Message, Provider, Reply, ScoreTextRequest
from worker.providers.openai_compatible import EndpointSettings, OpenAICompatible
from worker.providers.wire import Dialect
from worker.run.opening import endpoint_settings, open_provider

_SCHEMA = {
    "type": "object",
    "properties": {"number": {"type": "integer", "minimum": 7, "maximum": 7}},
    "required": ["number"],
    "additionalProperties": False,
}
_SCORED = "one\t?\nten\t10\n"


@dataclass(frozen=True, slots=True)
class Probe:
    """What was found: capabilities, and the options that the endpoint needs."""

    capabilities: frozenset[Capability]
    options: Mapping[str, Any]


def probe_row(row: ProviderRow, settings: Settings) -> Probe:
    """What the provider of a row can do. Raises ProviderError where it answers nothing."""
    if row.kind == ProviderKind.LOCAL:
        provider = open_provider(row, settings)
        return Probe(provider.capabilities, row.options)
    return probe_endpoint(endpoint_settings(row, settings), row.options)


def probe_endpoint(settings: EndpointSettings, options: Mapping[str, Any]) -> Probe:
    """Ask for each capability once. Raises ProviderError where not even a chat is answered."""
    found = dict(options)
    spoken_to = _spoken_to(replace(settings, tries=2), found)
    capabilities = {Capability.CHAT}
    provider = OpenAICompatible(spoken_to)
    try:
        capabilities |= _chat_abilities(provider)
    finally:
        provider.close()
    capabilities |= _prompt_logprobs(spoken_to, found)
    return Probe(frozenset(capabilities), found)


def _spoken_to(settings: EndpointSettings, options: dict[str, Any]) -> EndpointSettings:
    """The settings in the dialect that the endpoint takes, which is noted in ``options``.

    Raises ProviderError where it takes none, or refuses for another reason than a field.
    """
    for _ in range(1 + len(_REFUSABLE)):
        try:
            _once(settings, _chat("Say yes.", seed=1))
        except ProviderError as error:
            dialect = _without_what_is_refused(settings.dialect, error)
            if dialect is None:
                raise
            settings = replace(settings, dialect=dialect)
            continue
        break
    if settings.dialect.length_field != Dialect().length_field:
        options["length_field"] = settings.dialect.length_field
    if settings.dialect.omit:
        options["omit"] = sorted(settings.dialect.omit)
    return settings


_REFUSABLE = ("max_completion_tokens", "temperature", "seed")
"""Fields that an endpoint's error may name: the one it wants for the length, the ones it does not want."""


def _without_what_is_refused(dialect: Dialect, error: ProviderError) -> Dialect | None:
    if not error.permanent:
        return None
    for field in _REFUSABLE:
        if field not in error.message or field in (dialect.length_field, *dialect.omit):
            continue
        if field == "max_completion_tokens":
            return replace(dialect, length_field=field)
        return replace(dialect, omit=dialect.omit | {field})
    return None


def _once(settings: EndpointSettings, request: ChatRequest) -> Reply:
    provider = OpenAICompatible(settings)
    try:
        return provider.chat([request])[0]
    finally:
        provider.close()


def _chat(text: str, **values: Any) -> ChatRequest:
    return ChatRequest("probe", (Message("user", text),), max_tokens=16, **values)


def _chat_abilities(provider: Provider) -> set[Capability]:
    found = set()
    numbers = _tried(provider, _chat("Answer with the number 10 and nothing else.", top_logprobs=5))
    if numbers is not None and numbers.alternatives:
        found.add(Capability.CHAT_LOGPROBS)
        if any("10" in {t.strip() for t in a.logprobs} for a in numbers.alternatives):
            found.add(Capability.WHOLE_TEN)
    answer = _tried(provider, _chat("Answer with any words.", json_schema=_SCHEMA))
    if answer is not None and answer.outcome is Outcome.OK and answer.text.replace(" ", "").strip() == '{"number":7}':
        found.add(Capability.JSON_SCHEMA)
    return found


def _tried(provider: Provider, request: ChatRequest) -> Reply | None:
    """The reply, or None where the endpoint refuses this kind of request. Outages are raised."""
    try:
        return provider.chat([request])[0]
    except ProviderError as error:
        if not error.permanent:
            raise
        return None


def _prompt_logprobs(settings: EndpointSettings, options: dict[str, Any]) -> set[Capability]:
    for style in ("echo", "vllm"):
        dialect = replace(settings.dialect, prompt_logprobs=style)
        provider = OpenAICompatible(replace(settings, dialect=dialect, tries=1))
        try:
            (reply,) = provider.score_texts([ScoreTextRequest("probe", "", _SCORED, (4, 10))])
        except ProviderError:
            continue  # no such address, or a body it refuses: it cannot do this
        finally:
            provider.close()
        if reply.outcome is Outcome.OK and reply.alternatives[0].logprobs:
            if style != Dialect().prompt_logprobs:
                options["prompt_logprobs"] = style
            whole = reply.alternatives[1].token.startswith("10")
            return {Capability.PROMPT_LOGPROBS} | ({Capability.WHOLE_TEN} if whole else set())
    return set()
