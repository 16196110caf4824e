"""What to import from: named by a person, kept with a task, opened where the import runs."""

import os
from dataclasses import dataclass
from pathlib import Path

from app.errors import Invalid
from app.formats.sources.http import HttpFolder, numbers_of
from app.formats.sources.opening import is_address, local_source
from app.formats.sources.source import Source


@dataclass(frozen=True, slots=True)
class Location:
    """A folder, file or archive on this machine, or an HTTP address with the neurons that are wanted of it."""

    source: str
    layers: str | None = None
    indices: str | None = None

    def opened(self) -> Source:
        """The source. Raises Invalid where there is none, and for an address without neurons."""
        if not is_address(self.source):
            return local_source(Path(self.absolute().source))
        if self.layers is None or self.indices is None:
            raise Invalid("An HTTP address needs the layers and indices of the neurons that are wanted: 0-47 and 0-99.")
        return HttpFolder(
            self.source.rstrip("/"), numbers_of(self.layers, "Layers"), numbers_of(self.indices, "Indices")
        )

    @property
    def is_remote(self) -> bool:
        """Whether it is an HTTP address: these hold OpenAI's files."""
        return is_address(self.source)

    def absolute(self) -> "Location":
        """The same, found from any folder. Links stay: the file that one names may have a name without an ending."""
        if self.is_remote:
            return self
        path = os.path.abspath(Path(self.source).expanduser())  # noqa: PTH100 - Path.resolve follows links
        return Location(path, self.layers, self.indices)
