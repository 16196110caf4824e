"""The value of a key is neither stored nor logged nor shown, whatever comes of the calls that it is sent with."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from app.cli.main import cli
from app.db import Sessions, transaction
from app.errors import ProviderError
from tests.llm_server import Answer, Behaviour, Body, Edited, Fail, LlmServer, Raw, raw_json
from tests.worker.endpoint import asks, settings_of, watched
from tests.worker.llm_site import SETTINGS, Site, method_named
from worker.providers.openai_compatible import OpenAICompatible
from worker.run.services import WorkerServices

KEY = "sk-SECRET123"
Echo = Callable[[str], Behaviour]

ECHOES: dict[str, Echo] = {
    "401": lambda said: Fail(401, f"Incorrect API key provided: {said}"),
    "403 with other words": lambda said: raw_json({"detail": [{"loc": ["header", said], "msg": said}]}, 403),
    "429": lambda said: Fail(429, f"{said} is over its limit", headers={"retry-after": "100000"}),
    "500": lambda said: Fail(500, f"upstream refused {said}"),
    "an error with status 200": lambda said: raw_json({"error": {"message": f"bad key {said}", "code": 401}}),
    "a web page": lambda said: Raw(f"<html><title>{said}</title>{said}</html>".encode(), content_type="text/html"),
    "text": lambda said: Raw(f"headers: {said}".encode()),
    "a redirect": lambda said: Fail(307, said, headers={"location": f"http://127.0.0.1:9/{said}"}),
    "an explanation": lambda said: Answer(f'{{"explanation": "the word {said}"}}'),
    "reasoning": lambda said: Answer(f'<think>{said}</think>{{"explanation": "the word import"}}'),
    "a refusal": lambda said: Answer("", refusal=f"not for {said}"),
    "the model's name": lambda said: Answer('{"explanation": "the word import"}', model=said),
    "a name of a field": lambda said: Edited(lambda reply: {**reply, said: {said: [said]}}),
    "text that is quoted up to the middle of it": lambda said: Raw(b"." * 72 + said.encode() + b" and more"),
    "a title that is quoted so": lambda said: Raw(f"<html><title>{'.' * 72}{said}</title></html>".encode()),
    "an error that is quoted so": lambda said: Fail(401, "." * 392 + said),
    "a name of a field that is quoted so": lambda said: raw_json({"." * 12 + said: 1}),
    "a header that is quoted so": lambda said: Raw(b"", headers={"content-encoding": "." * 12 + said}),
    "escaped JSON": lambda said: Raw(f'{{"message": "{said}"}}'.replace("sk-", "sk\\u002d").encode()),
}


@pytest.fixture
def site(fresh_sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Site, LlmServer]]:
    """A language model whose key has the line break of a file written on Windows."""
    monkeypatch.setenv("MY_KEY", f"{KEY}\r\n")
    with LlmServer() as server:
        services = WorkerServices(SETTINGS, fresh_sessions)
        site = Site(fresh_sessions, services, server.url)
        site.provider(key_variable="MY_KEY", timeout_seconds=5)
        yield site, server
        services.close()


def everything_stored(sessions: Sessions) -> str:
    """Every row of every table, as text."""
    with transaction(sessions) as session:
        tables = session.scalars(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")).all()
        return "".join(
            str(session.scalars(text(f"SELECT coalesce(jsonb_agg(t)::text, '') FROM \"{table}\" t")).one())
            for table in tables
        )


@pytest.mark.parametrize("name", ECHOES)
def test_an_endpoint_that_repeats_the_key_makes_nothing_hold_it(
    site: tuple[Site, LlmServer], name: str, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.WARNING)
    here, server = site
    server.brain = lambda _body: ECHOES[name](server.headers[-1]["authorization"].removeprefix("Bearer "))
    subject_id, ids = here.neurons(1)
    here.enqueue(subject_id, ids, method_named("pairs-structured"))
    here.loop().run_one()
    assert server.headers[0]["authorization"] == f"Bearer {KEY}"
    stored = everything_stored(here.sessions)
    assert "[key]" in stored
    assert "sk-sec" not in (stored + caplog.text + capsys.readouterr().err).lower()


def test_a_key_that_is_a_word_leaves_explanations_alone_and_is_removed_from_errors(
    site: tuple[Site, LlmServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "ollama")
    here, server = site
    subject_id, ids = here.neurons(1)
    here.enqueue(subject_id, ids, method_named("pairs-structured"))
    server.brain = lambda _body: Answer('{"explanation": "the word ollama"}')
    server.script.append(Fail(503, "ollama is not the key"))
    here.loop().run_one()
    with transaction(here.sessions) as session:
        assert session.scalars(text("SELECT text FROM explanation")).one() == "the word ollama"
        assert (
            session.scalars(text("SELECT error FROM llm_call ORDER BY id LIMIT 1")).one()
            == "HTTP 503: [key] is not the key"
        )


def test_a_key_of_several_lines_fails_the_run_for_good_and_is_not_shown(
    site: tuple[Site, LlmServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "sk-FIRST-OF-TWO\nsk-OTHER-OF-TWO")
    here, server = site
    subject_id, ids = here.neurons(1)
    here.enqueue(subject_id, ids, method_named("pairs-structured"))
    here.loop().run_one()
    assert here.counts() == {"failed": 1}
    assert server.n_requests == 0
    stored = everything_stored(here.sessions)
    assert "printable ASCII" in stored
    assert "OF-TWO" not in stored


def test_what_the_http_client_says_of_a_key_is_final_and_does_not_show_it(server: LlmServer) -> None:
    provider = OpenAICompatible(settings_of(server, key="sk-NEVER-TRIMMED\r"))
    watch, seen = watched()
    with pytest.raises(ProviderError, match="cannot be sent") as caught:
        provider.chat([asks()], watch=watch)
    provider.close()
    assert caught.value.permanent
    assert "TRIMMED" not in caught.value.message + str(seen)
    assert server.n_requests == 0


def run(database: str, folder: Path, key: str, *arguments: str, typed: str | None = None) -> str:
    environment = {"DATABASE_URL": database, "NEURON_AUDIT_DATA_DIR": str(folder), "MY_KEY": key}
    return CliRunner().invoke(cli, ["provider", *arguments], env=environment, input=typed).output


def test_no_command_shows_the_key(fresh_database: str, fresh_sessions: Sessions, tmp_path: Path) -> None:
    def repeats(_body: Body) -> Behaviour:
        return Fail(401, f"wrong: {server.headers[-1]['authorization']}")

    with LlmServer(brain=repeats) as server:
        there = ("--base-url", server.url, "--allow", "127.0.0.0/8")
        shown = run(fresh_database, tmp_path, f"{KEY}\r", "add", "one", "m", *there, "--key-variable", "MY_KEY")
        shown += run(fresh_database, tmp_path, f"{KEY}\r", "probe", "one")
        shown += run(fresh_database, tmp_path, f"{KEY}\r", "list")
        assert "[key]" in shown
        shown += run(fresh_database, tmp_path, "", "add", "two", "m", *there, "--ask-key", typed=f" {KEY} \n")
        shown += run(fresh_database, tmp_path, "", "probe", "two")
    assert [headers["authorization"] for headers in server.headers] == [f"Bearer {KEY}"] * server.n_requests
    assert "SECRET123" not in shown
    assert "SECRET123" not in everything_stored(fresh_sessions)


@pytest.mark.parametrize("key", ["", " \r\n"])
def test_an_empty_variable_is_named(fresh_database: str, tmp_path: Path, key: str) -> None:
    run(fresh_database, tmp_path, "", "add", "one", "m", "--base-url", "http://h/v1", "--key-variable", "MY_KEY")
    assert "MY_KEY" in run(fresh_database, tmp_path, key, "probe", "one")


def test_a_typed_key_that_cannot_be_sent_is_refused_and_not_shown(fresh_database: str, tmp_path: Path) -> None:
    there: Any = ("--base-url", "http://h/v1", "--ask-key")
    shown = run(fresh_database, tmp_path, "", "add", "one", "m", *there, typed="sk-“TYPED”-KEY\n")
    assert "printable ASCII" in shown
    assert "TYPED" not in shown
    assert "No provider yet" in run(fresh_database, tmp_path, "", "list")
