import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.providers.reasoning import Thinking, parted

ANSWER = '{"explanation": "the digit 7"}'


@pytest.mark.parametrize(
    "before",
    [
        "<think>maybe {7}?</think>",
        "<think>\n\n</think>\n\n",
        "\n<THINK>so</THINK>\n",
        "<thinking>so</thinking>",
        "<thought>so</thought>",
        "<reasoning>so</reasoning>",
        "<seed:think>so</seed:think>",
        "[THINK]so[/THINK]",
        "◁think▷so◁/think▷",
        "<|START_THINKING|>so<|END_THINKING|><|START_RESPONSE|>",
        "<|begin_of_thought|>so<|end_of_thought|><|begin_of_solution|>",
        "<|channel|>analysis<|message|>so<|end|><|start|>assistant<|channel|>final<|message|>",
        "<|channel|>final<|message|>",
        "<think>one</think><think>two</think>",
        "The template opened them {7}.</think>\n",
        "<think>so</think><answer>",
        "<think>so <think>again {7}</think> and {8}</think>\n",
        "<think>\n<think>\nso</think>",
        '<thinking mode="deep">so {7}</thinking>',
        "<|think|>so {7}<|/think|>",
        "<|inner_prefix|>so {7}<|inner_suffix|>",
        "<unused94>thought\nso {7}<unused95>",
    ],
)
def test_thoughts_before_an_answer_are_taken_off(before: str) -> None:
    thinking = parted(before + ANSWER)
    assert (thinking.answer.strip(), thinking.is_open) == (ANSWER, False)


@pytest.mark.parametrize("after", ["</answer>", "<|END_RESPONSE|>", "<|return|>", "\n</response>\n"])
def test_a_mark_that_closes_the_answer_is_taken_off(after: str) -> None:
    assert parted(f"<think>so</think>{ANSWER}{after}").answer.strip() == ANSWER
    channel = "<|channel|>analysis<|message|>so<|end|><|start|>assistant<|channel|>final<|message|>"
    assert parted(f"{channel}words about cats{after}").answer.strip() == "words about cats"


@pytest.mark.parametrize(
    "text",
    [
        "<think>and so on",
        "<think>a</think><think>b",
        "[THINK]",
        "<|channel|>analysis<|message|>x",
        "<unused94>thought\nx",
    ],
)
def test_thoughts_that_never_end_leave_no_answer(text: str) -> None:
    thinking = parted(text)
    assert (thinking.answer, thinking.is_open) == ("", True)


@pytest.mark.parametrize(
    "text",
    [
        '{"explanation": "the mark </think> itself"}',
        '{"explanation": "<think>"}',
        '```json\n{"explanation": "</think>"}\n```',
        "<b>bold</b>",
        "7",
        "",
    ],
)
def test_a_mark_inside_an_answer_is_part_of_it(text: str) -> None:
    assert parted(text) == Thinking("", text)


@given(st.text().filter(lambda reasoning: "<" not in reasoning and "[" not in reasoning and "◁" not in reasoning))
def test_whatever_the_reasoning_the_answer_stays(reasoning: str) -> None:
    assert parted(f"<think>{reasoning}</think>{ANSWER}") == Thinking(reasoning, ANSWER)
