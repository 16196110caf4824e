"""The folder of an unfinished collection on disk: its locks, its key, its removal."""

import fcntl
import shutil
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from app.errors import CollectionError
from worker.collection.passes import Part
from worker.collection.plan import write_durably


class WorkFolder:
    """The folder of one collection. A process killed at any point leaves a state from which the next one can resume.

    For removal the folder is first renamed to a name with the collection's key. So an incomplete folder is never taken
    for unfinished work, and the key is known until the folder is gone.
    """

    def __init__(self, home: Path) -> None:
        self.home = home

    @contextmanager
    def at_work(self, part: Part) -> Iterator[None]:
        """Hold the lock of a part, creating the folder if needed. Raises CollectionError if it is taken."""
        self.home.mkdir(parents=True, exist_ok=True)
        with locked(self.home / f"part-{part.number}-of-{part.of}.lock"):
            yield

    @contextmanager
    def nobody_at_work(self) -> Iterator[None]:
        """Hold the locks of all parts. Raises CollectionError if another process holds one."""
        with ExitStack() as locks:
            for file in self.home.glob("part-*.lock"):
                locks.enter_context(locked(file))
            yield

    @property
    def key(self) -> uuid.UUID | None:
        """The key of the collection that was begun in this folder; None before."""
        file = self.home / "collection.key"
        return uuid.UUID(file.read_text()) if file.exists() else None

    def make_key(self) -> uuid.UUID:
        """A new key, which is on disk before it is returned, so that no row is stored whose key is lost."""
        key = uuid.uuid4()
        write_durably(self.home / "collection.key", str(key).encode())
        return key

    @property
    def removed_keys(self) -> tuple[uuid.UUID, ...]:
        """The keys of collections whose removal is incomplete."""
        return tuple(uuid.UUID(folder.name.split(".")[-2]) for folder in self._removed)

    def remove(self) -> None:
        """Remove the files that only an unfinished collection needs."""
        with suppress(OSError):  # another part may have removed the folder first
            self.home.rename(self.home.with_name(f"{self.home.name}.{self.key or uuid.UUID(int=0)}.removed"))
        self.finish_removing()

    def finish_removing(self) -> None:
        """Complete removals that a killed process left."""
        for folder in self._removed:
            shutil.rmtree(folder, ignore_errors=True)

    @property
    def _removed(self) -> list[Path]:
        return sorted(self.home.parent.glob(f"{self.home.name}.*.removed"))


@contextmanager
def locked(file: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold a lock that ends with the process, however it ends. Raises CollectionError if another one holds it."""
    with file.open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError as error:
            raise CollectionError("Another process is running this collection.") from error
        yield
