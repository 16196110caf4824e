import base64
import html
import json
import logging
import subprocess
import sys
from collections.abc import Callable

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from app.errors import DomainError, Invalid, ProviderError
from app.log import configure_logging
from app.redaction import Secrets, keep_secret, redacted, redacted_json
from app.secrets import usable_key
from app.settings import Settings

SECRET = "sk-q7/W+x'9\\Zk=2"


@pytest.fixture(autouse=True)
def secret() -> None:
    keep_secret(SECRET)


@pytest.mark.parametrize(
    "text",
    [
        f"Bearer {SECRET}",
        f"glued{SECRET}glued",
        repr(f"Illegal header value b'Bearer {SECRET}'"),
        json.dumps({"message": f"wrong key {SECRET}"}),
        json.dumps({"message": f"wrong key {SECRET}"}).replace("/", "\\/"),
        "https://h/v1?key=sk-q7%2FW%2Bx%279%5CZk%3D2",
        f"<title>{html.escape(SECRET)}</title>",
    ],
)
def test_a_secret_is_removed_in_every_spelling_that_libraries_use(text: str) -> None:
    shown = redacted(text)
    assert "[key]" in shown
    assert "q7" not in shown


@pytest.mark.parametrize("name", ["", "a", "me", "you"])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode, bytes.hex, bytes.upper, bytes.lower])
def test_a_secret_is_removed_however_an_endpoint_encodes_it(encode: Callable[[bytes], bytes | str], name: str) -> None:
    """Basic authentication has a name before the key, which shifts every character of base64."""
    encoded = encode(f"{name}:{SECRET}:end".encode())
    text = encoded if isinstance(encoded, str) else encoded.decode()
    shown = redacted(f"401: got {text}")
    assert "[key]" in shown
    assert len(shown) < len("401: got [key]") + len(text) / 2
    assert "[key]" in redacted_json({"message": text})["message"]


def test_a_placeholder_is_removed_in_its_own_case_alone() -> None:
    secrets = Secrets()
    secrets.keep("EMPTY")
    assert secrets.redacted("EMPTY, the list is empty") == "[key], the list is empty"


def test_a_secret_is_removed_from_json_names_included() -> None:
    value = {SECRET: [f"a {SECRET}", 1, {"b": SECRET}], "c": None}
    assert redacted_json(value) == {"[key]": ["a [key]", 1, {"b": "[key]"}], "c": None}


def test_json_without_a_secret_is_the_same_object() -> None:
    value = {"a": ["b"]}
    assert redacted_json(value) is value


def test_a_short_key_is_removed_as_a_word_and_a_placeholder_is_left_alone() -> None:
    secrets = Secrets()
    for key in ("EMPTY", "anything", "x"):
        secrets.keep(key)
    assert secrets.redacted("EMPTY, EMPTYING, anything, x") == "[key], EMPTYING, [key], x"


def test_a_key_that_is_a_word_leaves_answers_about_that_word_alone() -> None:
    secrets = Secrets()
    for key in ("none", "ollama", "sk-a1b2c3"):
        secrets.keep(key)
    answer = {"explanation": "fires on none and ollama and sk-a1b2c3"}
    assert secrets.redacted_json(answer, words=False) == {"explanation": "fires on none and ollama and [key]"}
    assert secrets.redacted_json(answer) == {"explanation": "fires on [key] and [key] and [key]"}


@given(st.text(min_size=16), st.text(), st.text())
def test_no_text_keeps_a_secret(value: str, before: str, after: str) -> None:
    secrets = Secrets()
    secrets.keep(value)
    assert value not in secrets.redacted(before + value + after)
    assert value not in json.dumps(secrets.redacted_json({"a": [before + value + after]}), ensure_ascii=False)


@pytest.mark.parametrize("kind", [DomainError, Invalid])
def test_a_domain_error_never_holds_a_secret(kind: type[DomainError]) -> None:
    assert kind(f"it said {SECRET}").message == "it said [key]"
    assert ProviderError(SECRET, permanent=True).message == "[key]"


@pytest.mark.parametrize("form", ["console", "json"])
def test_no_line_of_the_log_holds_a_secret(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(Settings(log_format=form, log_level="debug"))
    log = structlog.get_logger()
    logging.getLogger("some.library").debug("send_request_headers %r", {"authorization": f"Bearer {SECRET}"})
    log.warning("call", key=SECRET, detail={"nested": [SECRET]})
    try:
        raise ValueError(f"Illegal header value b'Bearer {SECRET}'")
    except ValueError as error:
        log.warning("call", exc_info=error)
    written = capsys.readouterr().err
    assert written.count("[key]") >= 4
    assert "q7" not in written


def test_an_uncaught_exception_is_printed_without_secrets() -> None:
    program = (
        "import sys, threading; from app.cli import main as m; from app.redaction import keep_secret\n"
        "keep_secret('sk-uncaught-1')\n"
        "def fail(*_): raise RuntimeError('the key sk-uncaught-1')\n"
        "sys.argv = ['neuron-audit', 'settings']\n"
        "m.settings_table = fail\n"
        "thread = threading.Thread(target=fail)\n"
        "m.redact_tracebacks(); thread.start(); thread.join()\n"
        "m.main()\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr.count("the key [key]") == 2
    assert "sk-uncaught" not in ended.stderr


@pytest.mark.parametrize(
    ("raw", "key"),
    [
        ("sk-TRIM-1\r", "sk-TRIM-1"),
        (" sk-TRIM-2\r\n\n", "sk-TRIM-2"),
        ("\ufeffsk-TRIM-3\n", "sk-TRIM-3"),
        ('"sk-TRIM-4"', "sk-TRIM-4"),
        ("'sk-TRIM-5'\n", "sk-TRIM-5"),
        ("Bearer sk-TRIM-6", "sk-TRIM-6"),
        ("\u00a0sk-TRIM-7\u2003", "sk-TRIM-7"),
        (" \r\n", ""),
    ],
)
def test_a_key_is_trimmed_and_secret_from_then_on(raw: str, key: str) -> None:
    assert usable_key(raw, source="MY_KEY") == key
    assert not key or redacted(f"with {key}") == "with [key]"


@pytest.mark.parametrize(
    "raw",
    [
        "sk-BAD\r\nsk-SECOND-LINE",
        "sk-BAD-\x00-nul",
        "sk-BAD-“quoted”",
        "sk-BAD\u200b-hidden",
        "sk-BAD-\udcff",
        "sk-BAD-é",
    ],
)
def test_a_key_that_no_header_can_carry_is_a_permanent_error_that_does_not_show_it(raw: str) -> None:
    with pytest.raises(ProviderError, match="printable ASCII") as refused:
        usable_key(raw, source="the environment variable MY_KEY")
    assert refused.value.permanent
    assert "MY_KEY" in refused.value.message
    assert "BAD" not in refused.value.message
    assert "BAD" not in redacted(f"a traceback with {raw!r}, {raw} and {json.dumps(raw)}")
