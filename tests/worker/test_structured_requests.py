import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.language_models import Capability, Outcome
from tests.fake_provider import FakeProvider, reply
from worker.method.structured_requests import (
    Form,
    StructuredRequest,
    Unusable,
    json_object,
    object_schema,
    one_line,
    request_all,
)
from worker.providers.base import ChatRequest, Message
from worker.simulators.prompting import shown

NUMBER: Form[int] = Form(
    "number/1", object_schema(n={"type": "integer"}), lambda text: int(json_object(text, frozenset({"n"}))["n"])
)


def question(step: str = "a") -> StructuredRequest[int]:
    return StructuredRequest(step, (Message("user", "How many?"),), NUMBER, seed=4)


def test_a_reply_of_the_form_is_an_answer() -> None:
    (answer,) = request_all(FakeProvider(lambda _: ' {"n": 3}\n'), [question()])
    assert (answer.value, answer.failure, answer.model) == (3, None, "fake-1")


def test_a_fence_around_the_whole_reply_is_no_fault() -> None:
    assert json_object('```json\n{"n": 3}\n```', frozenset({"n"})) == {"n": 3}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "3",
        '["n"]',
        '{"n": 3',
        'Sure: {"n": 3}',
        '{"n": 3} {"n": 4}',
        '{"n": 3, "m": 4}',
        '{"n": 3, "n": 4}',
        "{}",
        "[" * 15_000,
        '{"n": "' + "x" * 30_000 + '"}',
        "{" + '"n":' + "9" * 5_000 + "}",
    ],
)
def test_a_reply_of_another_form_is_a_failure(text: str) -> None:
    (answer,) = request_all(FakeProvider(lambda _: text), [question()])
    assert answer.value is None
    assert answer.failure


def test_a_refusal_is_a_failure_even_where_its_text_would_do() -> None:
    (answer,) = request_all(FakeProvider(lambda _: reply('{"n": 3}', Outcome.REFUSED, error="not this")), [question()])
    assert (answer.value, answer.failure) == (None, "not this")


def test_a_provider_gets_the_parser_of_its_replies() -> None:
    provider = FakeProvider(lambda _: '{"n": 3}')
    request_all(provider, [question()])
    (request,) = provider.asked
    assert isinstance(request, ChatRequest)
    assert request.parser is NUMBER
    with pytest.raises(Unusable, match="not JSON"):
        NUMBER.check(reply("three"))


def test_the_schema_goes_only_to_providers_that_can_hold_a_model_to_it() -> None:
    able, plain = (FakeProvider(lambda _: '{"n": 3}', capabilities=can) for can in (Capability, [Capability.CHAT]))
    request_all(able, [question()])
    request_all(plain, [question()])
    sent = [r.json_schema for p in (able, plain) for r in p.asked if isinstance(r, ChatRequest)]
    assert sent == [NUMBER.schema, None]


def test_answers_come_in_the_order_of_their_questions() -> None:
    provider = FakeProvider(lambda request: '{"n": %d}' % len(request.step))  # noqa: UP031  # braces
    assert [a.value for a in request_all(provider, [question("aaa"), question("a")])] == [3, 1]


def test_a_line_of_text_is_folded_and_bounded() -> None:
    assert one_line(" a\n b ", longest=3) == "a b"
    for odd in ("", " \n", "abcd", "a\x00", "\ud800", "⟪", 3, None):
        with pytest.raises(Unusable):
            one_line(odd, longest=3, forbidden="⟪")


@pytest.mark.parametrize(
    "text",
    [
        "fires on 👩‍💻",
        "fires on 👨‍👩‍👧‍👦 and ❤️‍🔥",
        "flags 🏴󠁧󠁢󠁳󠁣󠁴󠁿 🇨🇭",
        "keycaps 1️⃣",
        "a newer emoji \U0001fae9",
        "می\u200cخواهم",
        "क्\u200dष",
        "שלום\u200f (hello)",
        "soft\u00adhyphen, word\u2060joiner, zero\u200bwidth",
        "a Powerline sign \ue0b0",
        "e\u0301 and ≠",
    ],
)
def test_joiners_marks_and_new_characters_are_part_of_words(text: str) -> None:
    assert one_line(text, longest=99) == text


@pytest.mark.parametrize(
    "character",
    ["\x00", "\x07", "\x1b", "\x7f", "\x9b", "\u202a", "\u202e", "\u202c", "\u2066", "\u2069", "\ufff9", "\u206a",
     "\ufffe", "\U0001ffff", "\ud800", "\U000e0041", "\U000e007f"],
)  # fmt: skip
def test_controls_and_what_reorders_or_hides_text_are_refused(character: str) -> None:
    with pytest.raises(Unusable, match="control characters"):
        one_line(f"fires on {character} it", longest=99)


@given(st.text())
def test_any_text_is_one_line_or_refused(text: str) -> None:
    try:
        line = one_line(text, longest=99)
    except Unusable:
        return
    assert line == one_line(line, longest=99)
    assert len(line.splitlines()) == 1
    line.encode()


EXPLAINED = frozenset({"explanation"})


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (r"fires on the byte \xe2\x82", r"fires on the byte \xe2\x82"),
        (r"the escape \u{1F600} and \U0001f600", r"the escape \u{1F600} and \U0001f600"),
        (r"the characters \u200d and \ud83d\ude00", "the characters \u200d and \U0001f600"),
        (r"the pattern \d+\.\w*", r"the pattern \d+\.\w*"),
        (r"it\'s", "it's"),
        (r"a path C:\Users", r"a path C:\Users"),
        (r"a line break \"\n\" or '\t'", r"""a line break "\n" or '\t'"""),
        (r"LaTeX: \begin{x}, \frac, \theta, \nabla, \right", r"LaTeX: \begin{x}, \frac, \theta, \nabla, \right"),
        (r"already escaped \\xe2 \\n \"x\" \/", r"""already escaped \xe2 \n "x" /"""),
        (r"two\nlines of text", "two\nlines of text"),
        ("a raw tab\there", "a raw tab\there"),
        (r"ends in a backslash \\", "ends in a backslash \\"),
    ],
)
def test_escapes_are_read_as_they_were_meant(written: str, meant: str) -> None:
    assert json_object(f'{{"explanation": "{written}"}}', EXPLAINED) == {"explanation": meant}


@given(st.text(st.characters(exclude_categories=["Cs"])).filter(lambda text: "\\" not in json.dumps(text)[1:-1]))
def test_what_was_written_as_json_is_read_back(text: str) -> None:
    assert json_object(json.dumps({"explanation": text}), EXPLAINED) == {"explanation": text}


@given(st.binary(max_size=8))
def test_a_token_quoted_as_a_prompt_shows_it_is_read_as_it_was_shown(token: bytes) -> None:
    quoted = shown(token).replace('"', "")
    text = json_object(f'{{"explanation": "the token \'{quoted}\' fires"}}', EXPLAINED)["explanation"]
    assert isinstance(one_line(text, longest=999), str)


@pytest.mark.parametrize(
    ("reply_text", "said"),
    [
        ("", "the reply is empty"),
        ("```json\n```", "the reply is empty"),
        ("Sure! It fires on cats", "not JSON: it begins with 'Sure! It fires on cats'"),
        ('{"explanation": "cut', "breaks off in the middle"),
        ('{"explanation": "a"', "breaks off in the middle"),
        ('{"explanation": "a"} and more', "not JSON: it begins with"),
        ('"a text"', "not a JSON object"),
        ('{"explanation": NaN, "n": 1}', "the keys"),
    ],
)
def test_a_reply_that_cannot_be_used_is_described(reply_text: str, said: str) -> None:
    with pytest.raises(Unusable, match=re.escape(said)):
        json_object(reply_text, EXPLAINED)
