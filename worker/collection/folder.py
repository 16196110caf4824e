"""Where an unfinished collection is kept on disk: its locks, its key, and how it is removed."""

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
    """The folder of one collection. A process that is killed at any point leaves what the next one resumes from.

    It is removed under another name, which holds the collection's key: so nothing is ever taken for unfinished work of
    which a part is gone, and which collection it was is known until the folder itself is gone.
    """

    def __init__(self, home: Path) -> None:
        self.home = home

    @contextmanager
    def at_work(self, part: Part) -> Iterator[None]:
        """Hold the lock of a part, in a folder that is created if needed. Raises CollectionError if taken."""
        self.home.mkdir(parents=True, exist_ok=True)
        with locked(self.home / f"part-{part.number}-of-{part.of}.lock"):
            yield

    @contextmanager
    def nobody_at_work(self) -> Iterator[None]:
        """Hold the locks of all parts. Raises CollectionError where another process holds one."""
        with ExitStack() as locks:
            for file in self.home.glob("part-*.lock"):
                locks.enter_context(locked(file))
            yield

    @property
    def key(self) -> uuid.UUID | None:
        """The key of the collection that was begun here; None before it is."""
        file = self.home / "collection.key"
        return uuid.UUID(file.read_text()) if file.exists() else None

    def make_key(self) -> uuid.UUID:
        """A key, on disk before it is returned: so no row is ever stored whose key is lost."""
        key = uuid.uuid4()
        write_durably(self.home / "collection.key", str(key).encode())
        return key

    @property
    def removed_keys(self) -> tuple[uuid.UUID, ...]:
        """The keys of collections whose removal is incomplete."""
        return tuple(uuid.UUID(folder.name.split(".")[-2]) for folder in self._removed)

    def remove(self) -> None:
        """Remove what only an unfinished collection needs."""
        with suppress(OSError):  # another part may have been first
            self.home.rename(self.home.with_name(f"{self.home.name}.{self.key or uuid.UUID(int=0)}.removed"))
        self.finish_removing()

    def finish_removing(self) -> None:
        """Remove what a process that was killed meanwhile has left."""
        for folder in self._removed:
            shutil.rmtree(folder, ignore_errors=True)

    @property
    def _removed(self) -> list[Path]:
        return sorted(self.home.parent.glob(f"{self.home.name}.*.removed"))


@contextmanager
def locked(file: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold a lock that ends with the process, however it ends. Raises CollectionError where another has it."""
    with file.open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError as error:
            raise CollectionError("Another process is running this collection.") from error
        yield
