"""Data that is read once for all requests that wait for it: if reading fails, it fails for all of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from sqlalchemy.exc import SQLAlchemyError

from app.errors import Unavailable


class Turns:
    """A lock whose waiters fail together. Otherwise each would meet the same slow database, one after another."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._n_failed = 0

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for the lock. Raises Unavailable if the database failed during another request's turn meanwhile."""
        n_failed = self._n_failed
        with self._lock:
            if self._n_failed != n_failed:
                raise Unavailable
            try:
                yield
            except SQLAlchemyError:
                self._n_failed += 1
                raise
