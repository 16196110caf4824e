"""A language model for tests that rates excerpts by whether they contain the claim's word."""

import json
import re

from tests.fake_provider import FakeProvider
from worker.providers.base import ChatRequest

_CLAIM = re.compile(r"⟪claim⟫\n(.*)\n⟪/claim⟫")
_EXCERPT = re.compile(r"⟪excerpt \d+⟫\n(.*)\n⟪/excerpt \d+⟫")


def excerpts_of(request: ChatRequest) -> list[str]:
    """The excerpts that a request shows."""
    return _EXCERPT.findall(request.messages[-1].content)


def by_word(request: ChatRequest) -> str:
    """10 where the claim's word is in an excerpt, or, where excerpts have marks, in a marked part; else 0."""
    (claim,) = _CLAIM.findall(request.messages[-1].content)
    parts = ["".join(re.findall("⟦(.*?)⟧", e)) if "⟦" in e else e for e in excerpts_of(request)]
    return json.dumps({"ratings": [10 * (claim in part) for part in parts]})


def asked(provider: FakeProvider) -> list[ChatRequest]:
    """The chats that a provider was asked, in order."""
    return [request for request in provider.asked if isinstance(request, ChatRequest)]
