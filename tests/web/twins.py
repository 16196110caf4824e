"""A page's context and its JSON twin, read by the same assertions."""

from collections.abc import Iterator
from typing import Any

from starlette.testclient import TestClient

from tests.web.conftest import Context


class Json:
    """JSON's objects with attributes, so that one assertion serves a page and its twin."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.values = {name: _wrapped(value) for name, value in values.items()}

    def __getattr__(self, name: str) -> Any:
        return self.values[name]


def _wrapped(value: Any) -> Any:
    if isinstance(value, dict):
        return Json(value)
    return [_wrapped(each) for each in value] if isinstance(value, list) else value


def both(client: TestClient, path: str, context: Context) -> Iterator[Any]:
    """The context of a page and the JSON of its twin."""
    assert client.get(path).status_code == 200
    yield context()
    path, _, query = path.partition("?")
    yield Json(client.get(f"{path}.json?{query}").json())
