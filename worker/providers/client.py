"""The only use of OpenAI's client library: it encodes and sends requests; replies are parsed by ``reading``.

The library's own retries, redirects and use of the environment are switched off.
"""

import json
import logging
from collections.abc import Mapping
from typing import Any

import httpx2
from openai import APIStatusError, AsyncOpenAI

from app.domain.addresses import request_url
from worker.providers.address import Endpoint
from worker.providers.transport import RECEIVED, Received, http_client


def open_client(endpoint: Endpoint, *, key: str, timeout_seconds: float, connections: int) -> AsyncOpenAI:
    """A client for this endpoint only. ``timeout_seconds`` limits each read and write, not the whole call.

    Every value that the library would otherwise read from a variable named ``OPENAI_...`` is given explicitly. Headers
    from ``OPENAI_CUSTOM_HEADERS`` are not sent: the transport sends only headers that it lists.
    """
    # ``OPENAI_LOG`` lowers the level when the library is imported.
    logging.getLogger("openai").setLevel(logging.WARNING)
    http = http_client(endpoint, timeout_seconds=timeout_seconds, connections=connections)
    return AsyncOpenAI(
        api_key=key or "none",  # Servers that need no key ignore it; some refuse a request without one.
        admin_api_key="",
        organization="",
        project="",
        webhook_secret="",
        base_url=endpoint.base_url,
        timeout=http.timeout,
        max_retries=0,  # The provider itself retries, so that each attempt is counted, priced and stored.
        http_client=http,
    )


async def post(client: AsyncOpenAI, path: str, body: Mapping[str, Any]) -> Received:
    """Send ``body`` to ``path`` under the client's base URL. Returns the complete reply, whatever its status.

    Raises the library's errors if no complete reply came: ``openai.APIConnectionError``, whose cause is the
    HTTP client's error, and ``openai.APITimeoutError``.
    """
    try:
        response = await client.post(
            request_url(str(client.base_url), path),  # the library would put the path behind a base URL's query
            cast_to=httpx2.Response,
            # Escaped to ASCII: the library's own encoder fails on unpaired surrogates, which corpora contain.
            content=json.dumps(body).encode(),
            options={"headers": {"Authorization": f"Bearer {client.api_key}", **_HEADERS}},
        )
    except APIStatusError as error:
        response = error.response
    received: Received = response.extensions[RECEIVED]
    return received


_HEADERS = {
    "Accept": "application/json",
    "Accept-Encoding": "identity",
    "Content-Type": "application/json",
    "User-Agent": "neuron-audit",
}
"""Sent with each request, the one level that headers from the environment cannot override."""
