"""A stored request to a language model as a command that sends it again."""

import json
import shlex
from collections.abc import Mapping
from typing import Any

from app.domain.addresses import CHAT_PATH, COMPLETION_PATH, EMBEDDING_PATH, request_url


def as_curl(base_url: str, request: Mapping[str, Any], key_variable: str | None) -> str:
    """A shell command for ``curl``. The key stays in the environment: the command names its variable."""
    path = CHAT_PATH if "messages" in request else EMBEDDING_PATH if "input" in request else COMPLETION_PATH
    parts = [f"curl {shlex.quote(request_url(base_url, path))}", "-H 'Content-Type: application/json'"]
    if key_variable is not None:
        parts.append(f'-H "Authorization: Bearer ${key_variable}"')
    parts.append(f"-d {shlex.quote(json.dumps(request, ensure_ascii=False))}")
    return " \\\n  ".join(parts)
