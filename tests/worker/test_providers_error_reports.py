"""What endpoints say is wrong, in the forms of real servers, and what follows from it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.providers.error_reports import (
    LONGEST_WORDS,
    ErrorReport,
    FailureKind,
    error_report_in_text,
    error_report_of,
    failure_kind_of,
    is_error_report,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.sampled_from(["error", "message", "detail", "code", "loc", "msg", "param", "type"]), inner)
    ),
)

EXTRA = {"loc": ["body", "seed"], "msg": "Extra inputs are not permitted", "type": "extra_forbidden"}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"error": {"message": "no such model", "code": "model_not_found"}}, "no such model"),
        ({"error": "model 'x' not found"}, "model 'x' not found"),
        ({"object": "error", "message": "bad", "type": "BadRequestError", "code": 400}, "bad"),
        ({"object": "error", "message": {"detail": [EXTRA]}}, "seed: Extra inputs are not permitted"),
        ({"detail": [EXTRA]}, "seed: Extra inputs are not permitted"),
        ({"detail": "Not authenticated"}, "Not authenticated"),
        ({"message": "Too Many Requests"}, "Too Many Requests"),
        ({"Message": "access denied"}, "access denied"),
        ({"errors": [{"code": 7009, "message": "upstream"}, {"message": "down"}]}, "upstream; down"),
        (
            {"error_msg": "Open api daily request limit reached", "error_code": 17},
            "Open api daily request limit reached",
        ),
        ({"title": "Bad Request", "detail": "seed is unknown", "status": 400}, "seed is unknown; Bad Request"),
        ({"fault": {"faultstring": "quota", "detail": {}}}, "quota"),
        ({"error": {"message": "upstream", "metadata": {"raw": "real cause"}}}, "upstream; real cause"),
        ([{"error": {"code": 400, "message": "API key not valid", "status": "INVALID_ARGUMENT"}}], "API key not valid"),
        ({"error": {"message": "two\nlines\x00\u202e"}}, "two lines"),
        ({"errors": [{"pointer": "#/seed", "detail": "unknown property"}]}, "seed: unknown property"),
        ({"status": 400, "error": "Bad Request", "message": "no", "path": "/v1/chat/completions"}, "no; Bad Request"),
        (
            {"success": False, "error": {"issues": [{"keys": ["seed"], "path": [], "message": "Unrecognized key"}]}},
            "Unrecognized key",
        ),
        ({"error": {"details": [{"fieldViolations": [{"description": "Cannot find field"}]}]}}, "Cannot find field"),
        ({}, ""),
        (None, ""),
        (7, ""),
    ],
)
def test_the_message_is_found_anywhere_in_the_body(body: Any, words: str) -> None:
    assert error_report_of(body).message == words


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"object": "error", "message": {"detail": [EXTRA]}}, {"seed"}),
        ({"detail": [EXTRA, {"loc": ["body", "temperature", 0], "msg": "no"}]}, {"seed", "temperature"}),
        ({"error": {"message": "Unsupported", "param": "max_tokens"}}, {"max_tokens"}),
        ({"error": {"message": "Unsupported", "param": "messages[0].role"}}, {"messages"}),
        ({"errors": [{"pointer": "#/seed", "detail": "unknown property"}]}, {"seed"}),
        ({"errors": [{"pointer": "/messages/0/role", "detail": "not one of user, assistant"}]}, {"messages"}),
        ({"error": {"issues": [{"keys": ["seed", "temperature"], "message": "no"}]}}, {"seed", "temperature"}),
        ({"error": {"issues": [{"path": ["seed"], "message": "no"}]}}, {"seed"}),
        ({"error": {"message": "Unsupported", "param": None}}, set()),
    ],
)
def test_the_fields_that_are_at_fault_are_found(body: Any, fields: set[str]) -> None:
    assert fields <= error_report_of(body).fields


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"error": {"message": "Invalid API key", "code": 401}}, 401),
        ({"error": {"message": "slow down", "code": "429"}}, 429),
        ({"object": "error", "message": "length", "code": 40303}, 403),
        ({"error": {"message": "x", "type": "invalid_request_error", "code": "invalid_api_key"}}, 401),
        ({"error": {"message": "x", "code": "rate_limit_exceeded"}}, 429),
        ({"error": {"message": "x", "type": "overloaded_error"}}, 503),
        ({"error": {"message": "x", "code": "insufficient_quota"}}, 402),
        ({"error": "model 'x' not found, try pulling it first"}, 404),
        ({"error": {"message": "x", "code": "strange"}}, None),
        ({"error": {"message": "x", "code": -1}}, None),
        ({"error": {"message": "x", "code": True}}, None),
    ],
)
def test_a_code_means_a_status(body: Any, status: int | None) -> None:
    assert error_report_of(body).status == status


@pytest.mark.parametrize(
    ("status", "body", "failure"),
    [
        (429, {"error": {"message": "slow down"}}, FailureKind.OVERLOAD),
        (429, {"error": {"message": "x", "code": "insufficient_quota"}}, FailureKind.PERMANENT),
        (429, {"error": {"message": "You exceeded your current quota, please check your plan"}}, FailureKind.PERMANENT),
        (429, {"error": {"message": "Insufficient balance or no resource package"}}, FailureKind.PERMANENT),
        (400, {"error": {"message": "Your credit balance is too low"}}, FailureKind.PERMANENT),
        (429, {"message": "You have reached your monthly spend limit."}, FailureKind.PERMANENT),
        (
            429,
            {"error": "Your team has either used all available credits or reached its monthly spending limit."},
            FailureKind.PERMANENT,
        ),
        (429, {"error": {"message": "Your prepayment credits are depleted."}}, FailureKind.PERMANENT),
        (
            429,
            {"error": {"message": "You exceeded your current quota. Please retry in 34.07s.", "code": 429}},
            FailureKind.OVERLOAD,
        ),
        (402, {}, FailureKind.PERMANENT),
        (400, {"error": {"message": "x", "code": "content_filter"}}, FailureKind.FILTERED),
        (400, {"error": {"code": None, "innererror": {"code": "ResponsibleAIPolicyViolation"}}}, FailureKind.FILTERED),
        (
            400,
            {"code": "data_inspection_failed", "message": "Input may contain inappropriate content"},
            FailureKind.FILTERED,
        ),
        (400, {"error": {"message": "Content Exists Risk"}}, FailureKind.FILTERED),
        (403, {"error": {"code": 403, "message": "x", "metadata": {"reason": "flagged_input"}}}, FailureKind.FILTERED),
        (400, {"error": {"code": "invalid_prompt", "message": "violating our usage policy"}}, FailureKind.FILTERED),
        (400, {"error": {"code": "context_length_exceeded"}}, FailureKind.TOO_LONG),
        (400, {"message": "This model's maximum context length is 4096 tokens."}, FailureKind.TOO_LONG),
        (500, {"error": {"type": "exceed_context_size_error", "message": "too large"}}, FailureKind.TOO_LONG),
        (413, {}, FailureKind.TOO_LONG),
        (400, {"error": {"message": "top_logprobs must be between 0 and 5"}}, FailureKind.PERMANENT),
        (401, {"error": {"message": "content_filter"}}, FailureKind.PERMANENT),
        (404, {}, FailureKind.PERMANENT),
        (501, {}, FailureKind.PERMANENT),
        (307, {}, FailureKind.PERMANENT),
        (408, {}, FailureKind.TRANSIENT),
        (500, {}, FailureKind.TRANSIENT),
        (529, {"error": {"type": "overloaded_error"}}, FailureKind.TRANSIENT),
    ],
)
def test_what_an_error_means_for_the_next_attempt(status: int, body: Any, failure: FailureKind) -> None:
    assert failure_kind_of(status, error_report_of(body)) is failure


@given(JSON)
def test_no_body_is_too_odd_to_be_read(body: Any) -> None:
    found = error_report_of(body)
    assert len(found.message) <= LONGEST_WORDS + 1
    assert found.message.isprintable()
    assert failure_kind_of(400, found) in FailureKind
    assert isinstance(body, dict) is False or is_error_report(body) in (True, False)


def test_a_body_nested_beyond_reason_is_read_to_a_depth() -> None:
    body: Any = "bottom"
    for _ in range(2_000):
        body = {"error": body}
    assert error_report_of(body) == ErrorReport()


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"error": None, "choices": [1]}, False),
        ({"error": {}, "choices": [1]}, False),
        ({"error": {"code": None, "message": ""}, "choices": [1]}, False),
        ({"message": "ok", "choices": [1]}, False),
        ({"choices": []}, False),
        ({"error": "x", "choices": [1]}, True),
        ({"detail": "Not Found"}, True),
        ({"success": False, "code": 500, "msg": "404 NOT_FOUND"}, True),
        ({"choices": None, "base_resp": {"status_code": 1004, "status_msg": "login fail"}}, True),
        ({"choices": [], "message": "no capacity"}, True),
        ({"choices": [1], "base_resp": {"status_code": 0, "status_msg": "success"}}, False),
        ({"model": "m", "message": {"role": "assistant", "content": "hi"}}, False),
        ({"object": "list", "data": [{"embedding": [1.0]}], "model": "m"}, False),
        ({"type": "error", "error": {}}, True),
    ],
)
def test_an_error_with_status_200_is_told_from_an_answer(body: Any, says: bool) -> None:
    assert is_error_report(body) is says


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<!DOCTYPE html><html><head><title>Sign in &amp; go</title>", 'a web page titled "Sign in & go"'),
        ("\n<html><body><h1>502 Bad Gateway</h1>", 'a web page titled "502 Bad Gateway"'),
        ("<html></html>", "a web page"),
        ('<?xml version="1.0"?>\n<!DOCTYPE html><html><title>Sign in</title>', 'a web page titled "Sign in"'),
        (
            '<?xml version="1.0"?><Error><Message>Request has expired</Message></Error>',
            '<?xml version="1.0"?><Error><Message>Request has expired</Message></Error>',
        ),
        ("upstream connect error\nreset", "upstream connect error reset"),
        ("", ""),
    ],
)
def test_a_body_that_is_no_json_is_named(text: str, words: str) -> None:
    assert error_report_in_text(text).message == words
