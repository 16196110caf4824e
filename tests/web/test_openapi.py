"""The examples in the document of the API: one for each JSON body, valid by the schemas, and accepted by the pages."""

import json
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from app.domain.roles import Role
from app.models import Neuron
from app.queries.people.logins import start_session
from app.web.deps import SESSION_COOKIE
from app.web.openapi.values import VALUES
from app.web.pages.api import TABLES
from tests.factories import Make, WholeCorpus
from tests.web.addressed import addressed

Operation = tuple[str, dict[str, Any]]


@pytest.fixture
def document(client: TestClient) -> dict[str, Any]:
    """As a program reads it."""
    found: dict[str, Any] = client.get("/openapi.json").json()
    return found


def operations(document: dict[str, Any]) -> Iterator[Operation]:
    for path, methods in document["paths"].items():
        assert list(methods) == ["get"], "forms are not in the document"
        yield path, methods["get"]


def bodies(operation: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for kind, content in operation["responses"]["200"]["content"].items():
        if "json" in kind:
            yield content


def faults(schema: dict[str, Any], value: object, document: dict[str, Any]) -> list[str]:
    """What is wrong with a value by a schema of the document."""
    whole = {**schema, "components": document["components"]}
    return [str(error) for error in jsonschema_rs.iter_errors(whole, value)]


def test_every_json_body_has_an_example_that_is_valid(document: dict[str, Any]) -> None:
    wrong = {}
    for path, operation in operations(document):
        found = [fault for body in bodies(operation) for fault in faults(body["schema"], body["example"], document)]
        has_one = any(True for _ in bodies(operation)) or path.endswith(".bin")
        if found or not has_one:
            wrong[path] = found
    assert wrong == {}
    assert len(list(operations(document))) > 60
    problem = document["components"]["schemas"]["Problem"]
    assert [faults(problem, example, document) for example in problem["examples"]] == [[]]


def test_every_field_of_a_response_is_in_its_example(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    for path, operation in operations(document):
        for body in bodies(operation):
            schema = body["schema"]
            schema = schemas[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
            assert list(body["example"]) == list(schema["properties"]), path


def test_a_schema_that_is_not_kept_to_is_noticed(document: dict[str, Any]) -> None:
    body = next(bodies(document["paths"]["/search.json"]["get"]))
    assert faults(body["schema"], body["example"] | {"rows": 3}, document) != []
    assert faults(body["schema"], {}, document) != []


def test_what_must_be_sent_has_an_example_and_every_example_may_be_sent(document: dict[str, Any]) -> None:
    for path, operation in operations(document):
        for parameter in operation.get("parameters", ()):
            assert "example" in parameter or not parameter["required"], (path, parameter["name"])
            if "example" in parameter:
                assert faults(parameter["schema"], parameter["example"], document) == [], (path, parameter["name"])


def test_pages_understand_the_examples_of_their_fields(
    client: TestClient, document: dict[str, Any], make: Make
) -> None:
    known, refused, n_sent = addressed(make), [], 0
    explained = select(Neuron.id).where(Neuron.current_explanation_id.is_not(None))
    neuron_id = make.session.scalars(explained.limit(1)).one()
    account = make.account("root", Role.ADMINISTRATOR)
    token = start_session(make.session, account_id=account.id, days=1, agent="")
    make.session.flush()
    client.headers["Cookie"] = f"{SESSION_COOKIE}={token}"
    for path, operation in operations(document):
        parameters = operation.get("parameters", ())
        in_path = {each["name"]: known.get(each["name"], each["example"]) for each in parameters if in_(each, "path")}
        examples = {each["name"]: each["example"] for each in parameters if in_(each, "query") and "example" in each}
        required = {each["name"] for each in parameters if each["required"]}
        for name in examples:
            query = {other: value for other, value in examples.items() if other == name or other in required}
            query |= {"neuron": neuron_id} if any(each["name"] == "neuron" for each in parameters) else {}
            answer = client.get(path.format(**in_path), params=query)
            assert answer.status_code not in (401, 403), path
            n_sent += 1
            if answer.status_code == 422:
                refused.append((path, query, answer.json()["message"]))
    assert refused == []
    assert n_sent > 100


def in_(parameter: dict[str, Any], part: str) -> bool:
    return bool(parameter["in"] == part)


@pytest.mark.parametrize("table", [table.name for table in TABLES])
def test_rows_of_tables_are_what_the_document_says(
    client: TestClient, document: dict[str, Any], make: Make, table: str
) -> None:
    make.explained(make.neuron(make.subject()), whole=WholeCorpus(0.5), method=make.method("lexical"))
    body = next(bodies(document["paths"][f"/api/subjects/{{slug}}/{table}"]["get"]))
    rows = [json.loads(line) for line in client.get(f"/api/subjects/tiny/{table}").text.splitlines()]
    assert rows
    for row in rows:
        assert faults(body["schema"], row, document) == []
        assert list(row) == list(body["example"])


def test_every_value_is_of_a_field_that_there_is(document: dict[str, Any]) -> None:
    fields = {each["name"] for _, operation in operations(document) for each in operation.get("parameters", ())}
    owned = {f"query.{name}" for name in fields}
    schemas = document["components"]["schemas"] | {
        path: body["schema"] for path, operation in operations(document) for body in bodies(operation)
    }
    for name, schema in schemas.items():
        own = schema.get("properties", {})
        fields |= set(own)
        owned |= {f"{name}.{field}" for field in own} | {f"{field}.key" for field in own}
    assert {name for name in VALUES if name not in (owned if "." in name else fields)} == set()
