"""Facts about language models that the whole program shares: kinds of providers, capabilities, outcomes of calls."""

from enum import StrEnum


class ProviderKind(StrEnum):
    """Where a language model runs."""

    OPENAI_COMPATIBLE = "openai_compatible"
    """Behind an endpoint that uses OpenAI's wire format."""
    LOCAL = "local"
    """A transformers model on the worker's own device."""

    @property
    def label(self) -> str:
        """Where it runs, in words."""
        return "behind an endpoint" if self is ProviderKind.OPENAI_COMPATIBLE else "on the worker"


class Capability(StrEnum):
    """A capability of a provider. Probed once, then stored and shown."""

    CHAT = "chat"
    CHAT_LOGPROBS = "chat_logprobs"
    PROMPT_LOGPROBS = "prompt_logprobs"
    JSON_SCHEMA = "json_schema"
    WHOLE_TEN = "whole_ten"
    """The tokenizer writes "10" as one token; without it, prompts ask for numbers from 0 to 9."""

    @property
    def label(self) -> str:
        """The capability as pages and messages write it."""
        return _LABELS[self]


_LABELS = {
    Capability.CHAT: "chat",
    Capability.CHAT_LOGPROBS: "chat log-probabilities",
    Capability.PROMPT_LOGPROBS: "prompt log-probabilities",
    Capability.JSON_SCHEMA: "replies held to a JSON schema",
    Capability.WHOLE_TEN: "a tokenizer with 10 as one token",
}


UNPROBED = frozenset({Capability.CHAT})
"""The capabilities assumed of an endpoint before its first probe."""
LOCAL_CAPABILITIES = frozenset({Capability.CHAT, Capability.CHAT_LOGPROBS, Capability.PROMPT_LOGPROBS})
"""The capabilities of every local model; a probe adds those that depend on its tokenizer."""


ATTEMPTS = 3
"""The number of times that a request is sent at most while its replies cannot be used."""


class Outcome(StrEnum):
    """The outcome of one call. Only ``OK`` has a usable text."""

    OK = "ok"
    REFUSED = "refused"
    TRUNCATED = "truncated"
    UNPARSABLE = "unparsable"
    FAILED = "failed"
    """No reply in the provider's format: an error, a broken connection, a prompt that is too long."""

    @property
    def is_answered(self) -> bool:
        """Whether the model replied, so that the call was paid for."""
        return self is not Outcome.FAILED
