"""The content of every error page and error body."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """What went wrong, in words, and what to do about it. Also the body of every ``.json`` error."""

    status: int
    title: str
    message: str
    advice: str
    request_id: str | None = None
