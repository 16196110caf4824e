"""Addresses of endpoints and networks as people write them, checked and brought to one form."""

import ipaddress
from urllib.parse import parse_qsl, urlsplit, urlunsplit

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

CHAT_PATH = "/chat/completions"
COMPLETION_PATH = "/completions"
EMBEDDING_PATH = "/embeddings"
"""Path of the embeddings route below a base URL."""
_KEY_WORDS = ("auth", "key", "passwd", "password", "secret", "sig", "signature", "token")
_KEY_PARAMETERS = frozenset({"code"})
"""Query parameters that hold keys. A name that ends in one of these words, such as ``x-goog-api-key``, counts too."""


def base_url_of(text: str) -> str:
    """Normalise a base URL: trimmed, without a trailing slash, its query kept.

    Raises ValueError with a sentence to show to the user; the sentence contains neither a password nor a key.
    """
    try:
        parts = urlsplit(text.strip())
        port, host = parts.port, parts.hostname
    except ValueError as error:
        raise ValueError(f"The base URL cannot be read: {_reason(error)}.") from None
    if parts.username is not None or parts.password is not None:
        raise ValueError("A base URL must not contain a name or password: it is shown. Give the key by itself.")
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError("A base URL begins with http:// or https:// and names a host, e.g. https://api.openai.com/v1.")
    if port == 0:
        raise ValueError("The base URL's port is not between 1 and 65535.")
    if any(c.isspace() or not c.isprintable() for c in urlunsplit(parts)):
        raise ValueError("The base URL holds white space or control characters.")
    for name, _ in parse_qsl(parts.query, keep_blank_values=True):
        if name.lower() in _KEY_PARAMETERS or name.lower().endswith(_KEY_WORDS):
            raise ValueError(
                f"The base URL's parameter {name!r} looks like a key, and base URLs are shown: give the key by itself."
            )
    path = parts.path.rstrip("/")
    for ending in (CHAT_PATH, COMPLETION_PATH, EMBEDDING_PATH):
        path = path.removesuffix(ending)  # people often paste a base URL with this path
    return urlunsplit((parts.scheme, parts.netloc, path.rstrip("/"), parts.query, ""))


def _reason(error: ValueError) -> str:
    """Why ``urlsplit`` failed. The sentence leaves out the address, which may contain a password."""
    words = str(error).lower()
    if "port" in words:
        return "its port is not a number between 1 and 65535"
    return "its host is not a name or an address"


def request_url(base_url: str, path: str) -> str:
    """The URL of a request: ``path`` is inserted between the base URL's own path and its query."""
    parts = urlsplit(base_url)
    return urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/") + path, parts.query, ""))


def network_of(text: str) -> str:
    """A network such as ``10.0.0.0/8`` in canonical form; an address inside a network (``10.1.2.3/8``) is accepted too.

    Raises ValueError with a sentence to show to the user.
    """
    try:
        return str(ipaddress.ip_network(text.strip(), strict=False))
    except ValueError:
        raise ValueError(f"{text!r} is not a network: write an address and its prefix, e.g. 127.0.0.0/8.") from None
