"""The location of what is imported: named by a person, stored with a task, opened by the process that imports."""

import os
from dataclasses import dataclass
from pathlib import Path

from app.errors import Invalid
from app.formats.sources.http import HttpFolder, numbers_of
from app.formats.sources.opening import is_address, local_source
from app.formats.sources.source import Source


@dataclass(frozen=True, slots=True)
class Location:
    """A folder, file or archive on this machine, or an HTTP address with the layers and indices to fetch."""

    source: str
    layers: str | None = None
    indices: str | None = None

    def opened(self) -> Source:
        """The opened source. Raises Invalid if it does not exist, and for an address without layers and indices."""
        if not is_address(self.source):
            return local_source(Path(self.absolute().source))
        if self.layers is None or self.indices is None:
            raise Invalid("An HTTP address needs the layers and indices of the neurons that are wanted: 0-47 and 0-99.")
        return HttpFolder(
            self.source.rstrip("/"), numbers_of(self.layers, "Layers"), numbers_of(self.indices, "Indices")
        )

    @property
    def is_remote(self) -> bool:
        """Whether the location is an HTTP address, which serves OpenAI's files."""
        return is_address(self.source)

    def absolute(self) -> "Location":
        """The same location as an absolute path. Links are not followed: a target may lack the ending of the name."""
        if self.is_remote:
            return self
        path = os.path.abspath(Path(self.source).expanduser())  # noqa: PTH100 - Path.resolve follows links
        return Location(path, self.layers, self.indices)
