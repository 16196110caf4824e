"""A program that asks an endpoint for one run and may be killed at any moment: DATABASE ENDPOINT RUN N."""

import sys

from app.db import make_engine, make_sessions
from app.domain.costs import Prices
from worker.providers.base import ChatRequest, Message
from worker.providers.openai_compatible import EndpointSettings, OpenAICompatible
from worker.run.recording import DatabaseCalls, RecordingProvider


def main(database: str, endpoint: str, run_id: str, n_requests: str) -> None:
    settings = EndpointSettings("loopback", "tiny", endpoint, "", ("127.0.0.0/8",), concurrency=1)
    store = DatabaseCalls(make_sessions(make_engine(database)), int(run_id), "loopback", Prices())
    provider = RecordingProvider(OpenAICompatible(settings), store)
    provider.chat([ChatRequest(f"step/{n}", (Message("user", f"number {n}"),), 20) for n in range(int(n_requests))])


if __name__ == "__main__":
    main(*sys.argv[1:])
