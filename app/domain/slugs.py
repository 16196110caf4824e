"""Names of subjects in addresses."""

import re

RESERVED_SLUGS = frozenset(
    {
        "account", "activity", "api", "batches", "bill", "calls", "campaigns", "docs", "draws", "events",
        "explanations", "export", "exports", "favicon.ico", "flags", "go", "guide", "health", "import",
        "imports", "index", "items", "login", "logout", "methods", "mine", "openapi", "people", "providers",
        "redoc", "review", "robots.txt", "runs", "search", "settings", "static", "subjects", "tasks", "users",
        "verdicts", "workers",
    }
)  # fmt: skip
"""First words of addresses that are, or may become, pages of their own."""

_SLUG = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


def is_slug(text: str) -> bool:
    """Whether a subject may have this name: small letters, digits, ``.``, ``_``, ``-``, and not reserved."""
    return _SLUG.fullmatch(text) is not None and text not in RESERVED_SLUGS and not text.endswith(".json")


def slug_of(name: str) -> str:
    """A name for addresses from that of a model."""
    return re.sub(r"[^a-z0-9._]+", "-", name.lower()).strip("-.") or "subject"
