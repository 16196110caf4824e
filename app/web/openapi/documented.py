"""The application whose document has examples."""

from threading import Lock
from typing import Any

from fastapi import FastAPI

from app.web.openapi.examples import with_examples


class DocumentedApp(FastAPI):
    """Writes the document of its API once, when it is first requested: that takes some seconds."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._writing = Lock()
        self._document: dict[str, Any] | None = None

    def openapi(self) -> dict[str, Any]:
        """The document, with an example of each request and each JSON body."""
        with self._writing:
            if self._document is None:
                self._document = with_examples(super().openapi())
            return self._document
