"""Keys of providers: named in the environment, or stored encrypted and never shown again."""

import os
import tempfile
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken

from app.errors import Invalid

_FILE = "provider.key"


class SecretBox:
    """Encrypts with a key file in the data folder, which is made at first use, readable by its owner alone.

    Workers on other machines need a copy of the file.
    """

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / _FILE

    def seal(self, secret: str) -> bytes:
        """The secret, encrypted and authenticated."""
        return self._fernet(make=True).encrypt(secret.encode())

    def open(self, sealed: bytes) -> str:
        """The secret again. Raises Invalid where the key file is missing or another one."""
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
            os.link(name, self._path)  # whole or not at all, and the first of two processes wins
        except FileExistsError:
            pass
        finally:
            Path(name).unlink()
