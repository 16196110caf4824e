"""Return addresses that forms and links send, checked before a redirect."""

from urllib.parse import urlsplit


def local_path(address: str) -> str:
    """An address on this very site, as a path with its query; the first page for every other one.

    What another site could put into a link is no place to send somebody to: ``//host``, ``/\\host``, other schemes.
    """
    parts = urlsplit(address)
    is_local = not parts.scheme and not parts.netloc and parts.path.startswith("/") and not address.startswith("//")
    if not is_local or "\\" in address or not address.isprintable():
        return "/"
    return address
