"""Names of subjects in addresses."""

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
"""First words of addresses that are, or may become, pages of their own."""

_SLUG = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


_KEY = re.compile(r"(\d{1,18})(?:-(.*))?", re.DOTALL)
LONGEST_KEY = 80


def named_key(number: int, name: str) -> str:
    """A number with a name that people read, for addresses: ``4-worst-of-layer-3``."""
    words = re.sub(r"[^\w]+", "-", name.lower()).strip("-_")[: LONGEST_KEY - 20].strip("-")
    return f"{number}-{words}" if words else str(number)


def parse_named_key(text: str) -> tuple[int, str] | None:
    """The number of a key and the words of its name; None where it has no number."""
    found = _KEY.fullmatch(text)
    return (int(found[1]), (found[2] or "").replace("-", " ")) if found else None


def is_slug(text: str) -> bool:
    """Whether a subject may have this name: small letters, digits, ``.``, ``_``, ``-``, and not reserved."""
    return _SLUG.fullmatch(text) is not None and text not in RESERVED_SLUGS and not text.endswith(".json")


def slug_of(name: str) -> str:
    """A name for addresses from that of a model."""
    return re.sub(r"[^a-z0-9._]+", "-", name.lower()).strip("-.") or "subject"
