"""OpenAI's client library, confined: it writes a request and sends it, and what comes back is ours to read.

The library's own conveniences are off where they would decide for us: retries, redirects, the environment.
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
    """A client for this endpoint alone. ``timeout_seconds`` bounds each read and write, not the whole.

    Every value that the library would otherwise take from a variable named ``OPENAI_...`` is given. The headers
    that ``OPENAI_CUSTOM_HEADERS`` adds are not sent: the transport sends none but the ones named there.
    """
    logging.getLogger("openai").setLevel(logging.WARNING)  # OPENAI_LOG lowers it when the library is imported
    http = http_client(endpoint, timeout_seconds=timeout_seconds, connections=connections)
    return AsyncOpenAI(
        api_key=key or "none",  # Servers that want no key ignore it; some refuse a request that has none.
        admin_api_key="",
        organization="",
        project="",
        webhook_secret="",
        base_url=endpoint.base_url,
        timeout=http.timeout,
        max_retries=0,  # Retries are counted, priced and stored one by one by the provider.
        http_client=http,
    )


async def post(client: AsyncOpenAI, path: str, body: Mapping[str, Any]) -> Received:
    """Send ``body`` to ``path`` under the client's base URL. Returns the reply whole, whatever its status.

    Raises what the library raises where no whole reply came: ``openai.APIConnectionError``, whose cause is the
    HTTP client's error, and ``openai.APITimeoutError``.
    """
    try:
        response = await client.post(
            request_url(str(client.base_url), path),  # the library would put the path behind a base URL's query
            cast_to=httpx2.Response,
            # Escaped to ASCII: the library's own encoder fails on half a surrogate pair, which corpora hold.
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
"""Given with each request, the one level that headers of the environment cannot override."""
