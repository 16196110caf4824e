"""Names of subjects in URLs."""

import re

RESERVED_SLUGS = frozenset(
    {
        "account", "activity", "api", "batches", "bill", "calls", "campaigns", "docs", "draws", "events",
        "embeddings", "explanations", "export", "exports", "favicon.ico", "flags", "go", "guide", "health", "import",
        "imports", "index", "items", "lists", "login", "logout", "methods", "mine", "openapi", "people", "providers",
        "redoc", "review", "robots.txt", "runs", "search", "searches", "settings", "static", "subjects", "tasks",
        "users", "verdicts", "workers",
    }
)  # fmt: skip
"""First path segments of URLs that are, or may become, pages of their own."""

_SLUG = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


_KEY = re.compile(r"(\d{1,18})(?:-(.*))?", re.DOTALL)
LONGEST_KEY = 80


def named_key(number: int, name: str) -> str:
    """A number followed by a readable name, for URLs: ``4-worst-of-layer-3``."""
    words = re.sub(r"[^\w]+", "-", name.lower()).strip("-_")[: LONGEST_KEY - 20].strip("-")
    return f"{number}-{words}" if words else str(number)


def parse_named_key(text: str) -> tuple[int, str] | None:
    """The number and the name in a key of ``named_key``; None if there is no number."""
    found = _KEY.fullmatch(text)
    return (int(found[1]), (found[2] or "").replace("-", " ")) if found else None


def is_slug(text: str) -> bool:
    """Whether a text may name a subject: lower-case letters, digits, ``.``, ``_``, ``-``, and not reserved."""
    return _SLUG.fullmatch(text) is not None and text not in RESERVED_SLUGS and not text.endswith(".json")


def slug_of(name: str) -> str:
    """A slug made from a model's name."""
    return re.sub(r"[^a-z0-9._]+", "-", name.lower()).strip("-.") or "subject"
