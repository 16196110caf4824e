"""Keys of providers: named in the environment, or stored encrypted and never shown again."""

import os
import tempfile
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken

from app.errors import Invalid, ProviderError
from app.redaction import is_distinctive, keep_secret

_FILE = "provider.key"
_BYTE_ORDER_MARK = "\ufeff"
_SCHEME = "bearer "


def usable_key(raw: str, *, source: str) -> str:
    """The key in ``raw``: trimmed, and from now on removed from all that is stored, logged or shown.

    White space, a byte-order mark, quotation marks around the whole and the word "Bearer" before it are removed. Empty
    if nothing else is left. Raises a permanent ProviderError, which names ``source`` and does not show the key, for one
    that no HTTP header can carry.
    """
    key = raw.strip().removeprefix(_BYTE_ORDER_MARK).strip()  # files and mounted secrets end in a line break
    if len(key) > 1 and key[0] == key[-1] and key[0] in "\"'":
        key = key[1:-1].strip()
    if key[: len(_SCHEME)].lower() == _SCHEME:
        key = key[len(_SCHEME) :].strip()
    for secret in (key, *filter(is_distinctive, key.split())):
        keep_secret(secret)  # the parts, too: a key of several lines is refused below
    if not key.isascii() or not key.isprintable():
        raise ProviderError(
            f"The key in {source} holds a character that is not printable ASCII, such as a line break or a typographic "
            "quotation mark. Copy the key again, on one line. It is not shown here.",
            permanent=True,
        )
    return key


class SecretBox:
    """Encrypts with a key file in the data folder, which is created at first use, readable by its owner alone.

    Workers on other machines need a copy of the file.
    """

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / _FILE

    def seal(self, secret: str) -> bytes:
        """The secret, encrypted and authenticated."""
        return self._fernet(make=True).encrypt(secret.encode())

    def open(self, sealed: bytes) -> str:
        """The decrypted secret. Raises Invalid if the key file is missing or is another one."""
        try:
            return self._fernet(make=False).decrypt(sealed).decode()
        except (InvalidToken, FileNotFoundError) as error:
            raise Invalid(
                f"The stored key cannot be read: it was encrypted with another {_FILE} than the one in the data "
                "folder. Copy that file here, or add the provider again."
            ) from error

    def _fernet(self, *, make: bool) -> Fernet:
        if make and not self._path.exists():
            self._make()
        return Fernet(self._path.read_bytes())

    def _make(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=self._path.parent)  # readable by its owner alone
        with os.fdopen(handle, "wb") as file:
            file.write(Fernet.generate_key())
        try:
            os.link(name, self._path)  # written completely or not at all; of two processes the first wins
        except FileExistsError:
            pass
        finally:
            Path(name).unlink()
