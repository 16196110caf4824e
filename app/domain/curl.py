"""A stored request as a command that anybody can run."""

import json
import shlex
from collections.abc import Mapping
from typing import Any


def as_curl(base_url: str, body: Mapping[str, Any], *, key_variable: str | None) -> str:
    """``curl`` for an OpenAI-compatible endpoint. The key is named, never shown: ``$OPENAI_API_KEY`` by default."""
    path = "/chat/completions" if "messages" in body else "/completions"
    parts = ["curl", shlex.quote(base_url.rstrip("/") + path), "-H", shlex.quote("content-type: application/json")]
    # in double quotes, so that the shell puts the key in
    parts += ["-H", f'"authorization: Bearer ${key_variable or "OPENAI_API_KEY"}"']
    parts += ["-d", shlex.quote(json.dumps(body, ensure_ascii=False))]
    return " ".join(parts)
