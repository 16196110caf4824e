"""What tests of endpoints share: settings for the server on loopback, requests, a clock without waits."""

from dataclasses import replace
from typing import Any

from tests.llm_server import LlmServer
from worker.providers.base import Attempt, ChatRequest, Message, Watch
from worker.providers.limits import Clock
from worker.providers.openai_compatible import EndpointSettings

LOOPBACK = ("127.0.0.0/8",)


class Leap:
    """A clock on which every wait is over at once, and counted."""

    def __init__(self) -> None:
        self.time, self.waits = 0.0, list[float]()

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.time += seconds

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.time, self.sleep)


def settings_of(server: LlmServer, **values: Any) -> EndpointSettings:
    settings = EndpointSettings(
        name="loopback", model="tiny", base_url=server.url, key="sesame", allowed_networks=LOOPBACK, timeout_seconds=5
    )
    return replace(settings, **values)


def asks(text: str = "hello", **values: Any) -> ChatRequest:
    return ChatRequest(step="explain", messages=(Message("user", text),), max_tokens=20, **values)


def watched() -> tuple[Watch, list[Attempt]]:
    seen: list[Attempt] = []
    return Watch(after=seen.append), seen
