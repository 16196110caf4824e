import pytest

from app.domain.language_models import Capability, Outcome
from tests.fake_provider import FakeProvider, reply
from worker.method.asking import Form, Question, Unusable, ask, json_object, object_schema, one_line
from worker.providers.base import ChatRequest, Message

NUMBER: Form[int] = Form(
    "number/1", object_schema(n={"type": "integer"}), lambda text: int(json_object(text, frozenset({"n"}))["n"])
)


def question(step: str = "a") -> Question[int]:
    return Question(step, (Message("user", "How many?"),), NUMBER, seed=4)


def test_a_reply_of_the_form_is_an_answer() -> None:
    (answer,) = ask(FakeProvider(lambda _: ' {"n": 3}\n'), [question()])
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
    (answer,) = ask(FakeProvider(lambda _: text), [question()])
    assert answer.value is None
    assert answer.failure


def test_a_refusal_is_a_failure_even_where_its_text_would_do() -> None:
    (answer,) = ask(FakeProvider(lambda _: reply('{"n": 3}', Outcome.REFUSED, error="not this")), [question()])
    assert (answer.value, answer.failure) == (None, "not this")


def test_a_provider_is_told_how_to_read_its_replies() -> None:
    provider = FakeProvider(lambda _: '{"n": 3}')
    ask(provider, [question()])
    (request,) = provider.asked
    assert isinstance(request, ChatRequest)
    assert request.parser is NUMBER
    with pytest.raises(Unusable, match="not JSON"):
        NUMBER.check(reply("three"))


def test_the_schema_goes_only_to_providers_that_can_hold_a_model_to_it() -> None:
    able, plain = (FakeProvider(lambda _: '{"n": 3}', capabilities=can) for can in (Capability, [Capability.CHAT]))
    ask(able, [question()])
    ask(plain, [question()])
    sent = [r.json_schema for p in (able, plain) for r in p.asked if isinstance(r, ChatRequest)]
    assert sent == [NUMBER.schema, None]


def test_answers_come_in_the_order_of_their_questions() -> None:
    provider = FakeProvider(lambda request: '{"n": %d}' % len(request.step))  # noqa: UP031  # braces
    assert [a.value for a in ask(provider, [question("aaa"), question("a")])] == [3, 1]


def test_a_line_of_text_is_folded_and_bounded() -> None:
    assert one_line(" a\n b ", longest=3) == "a b"
    for odd in ("", " \n", "abcd", "a\x00", "\ud800", "⟪", 3, None):
        with pytest.raises(Unusable):
            one_line(odd, longest=3, forbidden="⟪")
