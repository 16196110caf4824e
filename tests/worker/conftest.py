"""The server on loopback and a provider that asks it, for tests of endpoints."""

from collections.abc import Iterator

import pytest

from tests.llm_server import LlmServer
from tests.worker.endpoint import Leap, settings_of
from worker.providers.openai_compatible import OpenAICompatible


@pytest.fixture
def server() -> Iterator[LlmServer]:
    with LlmServer() as running:
        yield running


@pytest.fixture
def leap() -> Leap:
    return Leap()


@pytest.fixture
def provider(server: LlmServer, leap: Leap) -> Iterator[OpenAICompatible]:
    made = OpenAICompatible(settings_of(server), leap.clock)
    yield made
    made.close()
