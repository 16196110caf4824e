"""Examples of requests and responses, made from the schemas that the document has of them.

The schemas are those of the types that pages return, so an example has the fields that a response has, and no other.
"""

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from app.web.openapi.values import COUNT, DAY, ID, KEY, MOMENT, NUMBER, VALUES, Values

Schema: TypeAlias = Mapping[str, Any]

_REFERENCE = "#/components/schemas/"
_FORMATS = {"date": DAY, "date-time": MOMENT, "uuid": KEY}
_TYPES = {"string": str, "integer": int, "number": float, "boolean": bool}


def with_examples(document: dict[str, Any]) -> dict[str, Any]:
    """The document, with an example of each parameter that has one and of each JSON body. Changes it in place."""
    schemas = document["components"]["schemas"]
    for operation in _operations(document):
        for parameter in operation.get("parameters", ()):
            _add_to_parameter(parameter, schemas)
        for status, response in operation["responses"].items():
            for kind, content in response.get("content", {}).items():
                if status.startswith("2") and "json" in kind:
                    content["example"] = Examples(schemas).of(content["schema"])
    schemas["Problem"]["examples"] = [Examples(schemas).of({"$ref": f"{_REFERENCE}Problem"})]
    return document


def _operations(document: Schema) -> Iterator[dict[str, Any]]:
    for operations in document["paths"].values():
        yield from operations.values()


def _add_to_parameter(parameter: dict[str, Any], schemas: Schema) -> None:
    """An example of what must be sent, and of what has a value of its own."""
    name, owner = parameter["name"], parameter["in"]
    found = Examples(schemas).of(parameter["schema"], name, owner=owner)
    if parameter["required"] or found in _values(name, owner):
        parameter["example"] = found


class Examples:
    """Makes one example. A type that holds itself is shown once."""

    def __init__(self, schemas: Schema) -> None:
        self._schemas = schemas
        self._within: list[str] = []

    def of(self, schema: Schema, name: str = "", *, owner: str = "") -> Any:
        """A value of this schema, as the field ``name`` of the type ``owner``. None where it can only be that."""
        if "$ref" in schema:
            return self._named(schema["$ref"].removeprefix(_REFERENCE), name)
        if "anyOf" in schema:
            if None in _values(name, owner) and {"type": "null"} in schema["anyOf"]:
                return None
            found = (self.of(each, name, owner=owner) for each in schema["anyOf"])
            return next((value for value in found if value is not None), None)
        if "enum" in schema:
            return schema["enum"][0]
        own = [value for value in _values(name, owner) if _is(value, schema)]
        if own and "format" not in schema:
            return own[0]
        return self._of_type(schema, name, owner)

    def _named(self, title: str, name: str) -> Any:
        if title in self._within:
            return None
        self._within.append(title)
        try:
            return self.of(self._schemas[title], name, owner=title)
        finally:
            self._within.pop()

    def _of_type(self, schema: Schema, name: str, owner: str) -> Any:
        match schema.get("type"):
            case "object":
                return self._object(schema, name, owner)
            case "array":
                return self._array(schema, name, owner)
            case "string":
                return _FORMATS.get(schema.get("format", ""), name.replace("_", " ") or "text")
            case "integer":
                return max(COUNT if name.startswith("n_") else ID, schema.get("minimum", 0))
            case "number":
                return NUMBER
            case "boolean":
                return False
            case "null":
                return None
        return {}  # anything

    def _object(self, schema: Schema, name: str, owner: str) -> dict[str, Any]:
        if "properties" in schema:
            fields = schema["properties"].items()
            return {field: self.of(own, field, owner=owner) for field, own in fields}
        values, keys = schema.get("additionalProperties"), schema.get("propertyNames", {"type": "string"})
        if not isinstance(values, dict):
            return {}
        return {self.of(keys, "key", owner=name): self.of(values, name, owner=owner)}

    def _array(self, schema: Schema, name: str, owner: str) -> list[Any]:
        if "prefixItems" in schema:
            chosen = _values(name, owner)
            parts = enumerate(schema["prefixItems"])
            return [
                chosen[i] if i < len(chosen) and _is(chosen[i], part) else self.of(part, name, owner=owner)
                for i, part in parts
            ]
        items = schema["items"]
        own = [value for value in _values(name, owner) if _is(value, items)]
        if own and "format" not in items:
            return own
        one = self.of(items, name, owner=owner)
        return [] if one is None else [one]


def _values(name: str, owner: str) -> Values:
    return VALUES.get(f"{owner}.{name}", VALUES.get(name, ()))


def _is(value: object, schema: Schema) -> bool:
    """Whether a value is a text or a number that a schema allows, going by its type."""
    return type(value) is _TYPES.get(schema.get("type", ""))
