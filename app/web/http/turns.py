"""What is read once for all who wait for it: where the reading fails, it fails for all of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from sqlalchemy.exc import SQLAlchemyError

from app.errors import Unavailable


class Turns:
    """One thread at a time. Without this, each who waited would meet the same slow database, one after another."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._n_failed = 0

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for a turn. Raises Unavailable where the database has failed in another request's turn meanwhile."""
        n_failed = self._n_failed
        with self._lock:
            if self._n_failed != n_failed:
                raise Unavailable
            try:
                yield
            except SQLAlchemyError:
                self._n_failed += 1
                raise
