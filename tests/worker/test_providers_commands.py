import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import select
from typer.testing import CliRunner, Result

from app.cli.main import cli
from app.db import Sessions, make_engine, make_sessions, transaction
from app.errors import Invalid, ProviderError
from app.models import Account, Event, Provider
from app.secrets import SecretBox
from app.settings import Settings, key_from_environment
from tests.factories import Make
from tests.llm_server import Answer, Behaviour, Body, Fail, LlmServer, certain, plain_brain
from worker.providers.base import ChatRequest, Message
from worker.run.opening import Providers, key_of

Command = Callable[..., Result]


@pytest.fixture
def command(fresh_database: str, tmp_path: Path) -> Command:
    """Runs ``neuron-audit provider`` on its own database and data folder."""
    environment = {"DATABASE_URL": fresh_database, "NEURON_AUDIT_DATA_DIR": str(tmp_path), "TINY_KEY": "from-outside"}

    def run(*arguments: str, typed: str | None = None) -> Result:
        return CliRunner().invoke(cli, ["provider", *arguments], env=environment, input=typed)

    return run


def stored(database: str) -> Provider:
    engine = make_engine(database)
    with transaction(make_sessions(engine)) as session:
        row = session.scalars(select(Provider)).one()
    engine.dispose()
    return row


def able_brain(body: Body) -> Behaviour:
    if body.get("logprobs"):
        return Answer("10", numbers=certain(10))
    return Answer('{"number": 7}') if "response_format" in body else plain_brain(body)


def test_a_provider_is_added_probed_listed_and_removed(command: Command, fresh_database: str) -> None:
    with LlmServer(brain=able_brain) as server:
        added = command("add", "tiny", "tiny-model", "--base-url", server.url, "--allow", "127.0.0.0/8")
        probed = command("probe", "tiny")
    assert added.exit_code == 0, added.output
    assert probed.output.strip() == "tiny can: chat, chat_logprobs, json_schema, prompt_logprobs, whole_ten"
    listed = command("list")
    assert "tiny-model" in listed.output
    assert command("remove", "tiny").exit_code == 0
    assert "No provider yet" in command("list").output


def test_a_probe_says_what_an_endpoint_cannot_do_and_why(command: Command, fresh_database: str) -> None:
    def poor_brain(body: Body) -> Behaviour:
        if "prompt" in body or "logprobs" in body:
            return Fail(400, "logprobs are for the rich")
        return Answer("no JSON here")

    with LlmServer(brain=poor_brain) as server:
        command("add", "tiny", "tiny-model", "--base-url", server.url, "--allow", "127.0.0.0/8")
        said = command("probe", "tiny").output
    assert said.splitlines() == [
        "tiny can: chat",
        "not chat_logprobs: HTTP 400: logprobs are for the rich",
        "not json_schema: the reply does not follow the schema",
        "not prompt_logprobs: echo: HTTP 400: logprobs are for the rich; vllm: HTTP 400: logprobs are for the rich",
    ]
    assert stored(fresh_database).capabilities == ["chat"]


def test_what_a_probe_learns_is_stored_beside_other_options(command: Command, fresh_database: str) -> None:
    def picky_brain(body: Body) -> Behaviour:
        refused = [field for field in ("temperature", "seed") if field in body]
        return Fail(400, f"unsupported: {refused[0]}") if refused else able_brain(body)

    with LlmServer(brain=picky_brain) as server:
        command("add", "tiny", "m", "--base-url", server.url, "--allow", "127.0.0.0/8", "--option", "extra=[1]")
        command("probe", "tiny")
    assert stored(fresh_database).options == {"omit": ["seed", "temperature"], "extra": [1]}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (["--base-url", "http://127.0.0.1:port/v1"], "port"),
        (["--base-url", "http://user:hidden@127.0.0.1/v1"], "by itself"),
        (["--base-url", "https://h/v1", "--allow", "localhost"], "not a network"),
        (["--base-url", "https://h/v1", "--price-in", "inf"], "not a finite"),
        (["--base-url", "https://h/v1", "--timeout", "inf"], "not a finite"),
    ],
)
def test_a_mistake_is_refused_in_a_sentence_before_anything_is_stored(
    command: Command, fresh_database: str, wrong: list[str], said: str
) -> None:
    refused = command("add", "tiny", "m", *wrong)
    assert refused.exit_code == 2
    assert said in refused.output
    assert "hidden" not in refused.output
    assert "No provider yet" in command("list").output


def test_an_address_and_a_network_are_stored_in_their_usual_form(command: Command, fresh_database: str) -> None:
    command("add", "tiny", " m ", "--base-url", "http://127.0.0.1:1/v1/chat/completions\r", "--allow", "127.0.0.1/8")
    row = stored(fresh_database)
    assert (row.model, row.base_url, row.allowed_networks) == ("m", "http://127.0.0.1:1/v1", ["127.0.0.0/8"])


def test_a_probe_that_fails_says_why(command: Command, fresh_database: str) -> None:
    with LlmServer(brain=lambda _body: Fail(401, "bad key")) as server:
        command("add", "tiny", "tiny-model", "--base-url", server.url, "--allow", "127.0.0.0/8")
        assert command("probe", "tiny").exit_code != 0
    assert "bad key" in (stored(fresh_database).probe_error or "")


def test_a_typed_key_is_stored_encrypted_and_never_shown(command: Command, fresh_database: str, tmp_path: Path) -> None:
    added = command("add", "tiny", "m", "--base-url", "https://127.0.0.1/v1", "--ask-key", typed="sesame\n")
    row = stored(fresh_database)
    assert row.key_encrypted is not None
    assert b"sesame" not in row.key_encrypted
    assert key_of(row, Settings(data_dir=tmp_path)) == "sesame"
    assert "sesame" not in added.output + command("list").output
    assert stat.S_IMODE((tmp_path / "provider.key").stat().st_mode) == 0o600


def test_a_key_cannot_be_read_with_another_key_file(tmp_path: Path) -> None:
    sealed = SecretBox(tmp_path / "one").seal("sesame")
    SecretBox(tmp_path / "two").seal("other")
    with pytest.raises(Invalid, match="Copy that file"):
        SecretBox(tmp_path / "two").open(sealed)


def test_a_key_is_read_from_the_environment_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINY_KEY", "from-outside")
    row = Provider(name="tiny", key_variable="TINY_KEY")
    assert key_of(row, Settings()) == "from-outside"
    monkeypatch.delenv("TINY_KEY")
    with pytest.raises(ProviderError, match="TINY_KEY"):
        key_of(row, Settings())


def test_a_key_variable_must_look_like_one(command: Command, fresh_database: str) -> None:
    refused = command("add", "tiny", "m", "--base-url", "https://127.0.0.1/v1", "--key-variable", "DATABASE_URL")
    assert refused.exit_code != 0
    assert "PATH" in os.environ
    assert key_from_environment("PATH") is None


def test_a_name_is_taken_once(command: Command, fresh_database: str) -> None:
    assert command("add", "tiny", "m", "--base-url", "https://127.0.0.1/v1").exit_code == 0
    assert "already" in command("add", "tiny", "m", "--base-url", "https://127.0.0.1/v1").output


def test_adding_and_removing_leave_events(command: Command, fresh_sessions: Sessions) -> None:
    command("add", "tiny", "m", "--base-url", "https://127.0.0.1/v1")
    command("remove", "tiny")
    with transaction(fresh_sessions) as session:
        kinds = session.scalars(select(Event.kind).order_by(Event.id)).all()
    assert kinds == ["provider.added", "provider.removed"]


def test_a_worker_opens_a_provider_once_and_anew_after_a_change(command: Command, fresh_sessions: Sessions) -> None:
    with LlmServer() as server:
        command("add", "tiny", "m", "--base-url", server.url, "--allow", "127.0.0.0/8")
        providers = Providers(fresh_sessions, Settings())
        first, second = providers.for_run("tiny", None), providers.for_run("tiny", None)
        assert first.inner is second.inner
        with transaction(fresh_sessions) as session:
            session.scalars(select(Provider)).one().model = "other"
        assert providers.for_run("tiny", None).model == "other"
        providers.close()


def test_a_stored_call_is_replayed_by_its_number(command: Command, fresh_sessions: Sessions) -> None:
    with LlmServer() as server:
        command("add", "tiny", "m", "--base-url", server.url, "--allow", "127.0.0.0/8")
        providers = Providers(fresh_sessions, Settings())
        providers.for_run("tiny", None).chat([ChatRequest("explain", (Message("user", "hello"),), 20)])
        providers.close()
        shown = command("replay", "1").output
        server.brain = lambda _body: Answer("other \x1b[2J\u202ewords")
        changed = command("replay", "1").output
    assert shown.endswith("the same\n")
    assert "now  (m-0613, ok): other \\x1b[2J\\u202ewords" in changed
    assert "There is no call 99" in command("replay", "99").output


def test_caps_are_set_on_a_person_or_a_batch(command: Command, fresh_sessions: Sessions) -> None:
    with transaction(fresh_sessions) as session:
        Make(session).account("alice")
    assert command("cap", "2.5", "--person", "alice").exit_code == 0
    assert "There is no account named bob" in command("cap", "2.5", "--person", "bob").output
    assert "There is no such batch" in command("cap", "2.5", "--batch", "7").output
    assert "Name a batch or a person" in command("cap", "2.5").output
    with transaction(fresh_sessions) as session:
        assert session.scalars(select(Account.price_cap_per_day)).one() == 2.5


def test_a_key_is_replaced_and_a_provider_disabled_on_the_command_line(
    command: Command, fresh_database: str, fresh_sessions: Sessions, tmp_path: Path
) -> None:
    command("add", "tiny", "m", "--base-url", "https://api.example.org/v1")
    assert command("key", "tiny", typed="the first key\n").exit_code == 0
    assert command("key", "tiny", typed="the second key\n").exit_code == 0
    row = stored(fresh_database)
    assert SecretBox(tmp_path).open(row.key_encrypted or b"") == "the second key"
    assert row.key_set_at is not None
    assert command("disable", "tiny").exit_code == 0
    assert "tiny (disabled)" in command("list").output
    assert "is disabled already" in command("disable", "tiny").output
    assert command("enable", "tiny").exit_code == 0
    with transaction(fresh_sessions) as session:
        kinds = session.scalars(select(Event.kind).order_by(Event.id)).all()
    assert kinds == ["provider.added", "provider.key_set", "provider.key_set", "provider.disabled", "provider.enabled"]
