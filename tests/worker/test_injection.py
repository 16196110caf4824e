"""Excerpts are untrusted: whatever they say stays data, and only the schema gets out."""

import json
import re

import pytest

from app.errors import MethodError
from tests.fake_provider import FakeProvider
from tests.worker.injections import BAD_REPLIES, INJECTIONS
from tests.worker.tasks import IMPORTS, train_task, words
from worker.explainers.contrastive import Contrastive
from worker.explainers.highlighted import Highlighted
from worker.explainers.prompted import PromptedExplainer
from worker.explainers.token_activation_pairs import TokenActivationPairs
from worker.method.prompts import load
from worker.providers.base import ChatRequest, Message

EXPLAINERS = (TokenActivationPairs, Highlighted, Contrastive)
each_explainer = pytest.mark.parametrize("explainer", EXPLAINERS, ids=lambda explainer: explainer.name)
each_injection = pytest.mark.parametrize("text", INJECTIONS, ids=range(len(INJECTIONS)))

DELIMITER = re.compile(r"⟪/?[a-z]+(?: [a-z0-9, ]+)?⟫")
SAID_BY_US = {"The same excerpts without the tokens at 0:"}
ROLE_MARKERS = ("<|", "|>", "<｜", "</s>", "[INST]", "[/INST]", "<<SYS", "<start_of_turn>", "<end_of_turn>")


def prompt(explainer: type[PromptedExplainer], text: str) -> tuple[Message, ...]:
    """The messages about a neuron whose every excerpt is ``text``."""
    provider = FakeProvider(lambda _: '{"explanation": "words"}')
    neuron = train_task(words(text, 8.0), words(text, 0.0), similar=[words(text)])
    explainer(provider).explain(neuron)
    (request,) = provider.asked
    assert isinstance(request, ChatRequest)
    return request.messages


def outside_of_blocks(body: str) -> list[str]:
    """The lines outside all blocks. Fails where blocks are not closed by their own name."""
    loose, inside = [], None
    for line in body.split("\n"):
        if DELIMITER.fullmatch(line):
            name = line.strip("⟪/⟫")
            assert (inside is None) == (not line.startswith("⟪/")), line
            assert inside in (None, name)
            inside = name if inside is None else None
        elif inside is None:
            loose.append(line)
        else:
            assert "⟪" not in line
            assert "⟫" not in line
    assert inside is None
    return loose


@each_explainer
@each_injection
def test_an_excerpt_never_leaves_its_block(explainer: type[PromptedExplainer], text: str) -> None:
    *_, last = prompt(explainer, text)
    assert set(outside_of_blocks(last.content)) <= SAID_BY_US
    assert last.role == "user"


@each_explainer
@each_injection
def test_an_excerpt_changes_no_other_message(explainer: type[PromptedExplainer], text: str) -> None:
    messages = prompt(explainer, text)
    assert messages[:-1] == prompt(explainer, "plain words")[:-1]
    assert messages[0] == Message("system", load(explainer.prompt).text)


@each_explainer
@each_injection
def test_no_role_marker_of_a_chat_template_and_no_invisible_character_is_rendered(
    explainer: type[PromptedExplainer], text: str
) -> None:
    body = prompt(explainer, text)[-1].content
    assert not any(marker in body for marker in ROLE_MARKERS)
    assert body.replace("\n", "").replace("\t", "").isprintable()


@each_injection
def test_marks_of_an_excerpt_are_ours_alone(text: str) -> None:
    body = prompt(Highlighted, text)[-1].content
    assert re.findall("[⟦⟧]", body) == ["⟦", "⟧"]


@each_injection
def test_levels_of_an_excerpt_are_ours_alone(text: str) -> None:
    body = prompt(TokenActivationPairs, text)[-1].content
    data = [line for line in body.split("\n") if not DELIMITER.fullmatch(line) and line not in SAID_BY_US]
    n_tokens = len(words(text))
    assert [line.split("\t")[1:] for line in data] == [["10"]] * n_tokens + [["0"]] * n_tokens


@pytest.mark.parametrize("reply", BAD_REPLIES)
def test_a_model_that_was_talked_over_gives_no_explanation(reply: str) -> None:
    with pytest.raises(MethodError, match="no usable explanation"):
        Highlighted(FakeProvider(lambda _: reply)).explain(train_task(*IMPORTS))


@each_explainer
def test_no_request_offers_a_tool_and_all_ask_for_the_schema(explainer: type[PromptedExplainer]) -> None:
    provider = FakeProvider(lambda _: '{"explanation": "words"}')
    explainer(provider).explain(train_task(*IMPORTS, similar=[IMPORTS[0]]))
    (request,) = provider.asked
    assert isinstance(request, ChatRequest)
    assert json.loads(json.dumps(request.json_schema)) == {
        "type": "object",
        "properties": {"explanation": {"type": "string"}},
        "required": ["explanation"],
        "additionalProperties": False,
    }
    assert "tool" not in ChatRequest.__slots__
