"""What a model writes before its answer: reasoning, in the marks that its family uses.

Servers that know a model's marks return reasoning apart; the others leave them in the text. Known are
``<think>`` and its relatives (DeepSeek, Qwen, Phi, EXAONE, Hunyuan), ``[THINK]`` (Magistral), ``◁think▷``
(Kimi), ``<seed:think>`` (Seed), ``<|START_THINKING|>`` (Command), ``<|inner_prefix|>`` (Apertus), ``<unused94>``
(MedGemma), and the analysis channel of gpt-oss.
"""

import re
from dataclasses import dataclass

CUT_SHORT = "the reply was cut short"
CUT_SHORT_IN_REASONING = "the reply was cut short in the model's reasoning: it needs more max_tokens"

_WORD = r"(?:seed:)?(?:think|thinking|thought|thoughts|reasoning|reflection|analysis|scratchpad)"
_OPENING = re.compile(
    rf"<{_WORD}(?:\s[^<>]*)?>|<\|{_WORD}\|>|\[THINK\]|◁think▷|<\|START_THINKING\|>|<\|begin_of_thought\|>"
    r"|<\|inner_prefix\|>|<unused94>"
    r"|(?:<\|start\|>assistant)?<\|channel\|>(?:analysis|commentary)(?:[^<]*)<\|message\|>",
    re.IGNORECASE,
)
_CLOSING = re.compile(
    rf"</{_WORD}>|<\|/{_WORD}\|>|\[/THINK\]|◁/think▷|<\|END_THINKING\|>|<\|end_of_thought\|>|<\|end\|>"
    r"|<\|inner_suffix\|>|<unused95>",
    re.IGNORECASE,
)
_AROUND_ANSWER = re.compile(
    r"^\s*(?:(?:<\|start\|>assistant)?<\|channel\|>final(?:[^<]*)<\|message\|>|<answer>|<response>"
    r"|<\|START_RESPONSE\|>|<\|begin_of_solution\|>)"
    r"|(?:<\|return\|>|<\|end\|>|</answer>|</response>|<\|END_RESPONSE\|>|<\|end_of_solution\|>)\s*$",
    re.IGNORECASE,
)
_BEGINS_AN_ANSWER = ("{", "[{", '["', "[[", "```", '"')


@dataclass(frozen=True, slots=True)
class Thinking:
    """A text split in two. ``is_open`` means that it ended within the reasoning, so that there is no answer."""

    reasoning: str
    answer: str
    is_open: bool = False


def parted(text: str) -> Thinking:
    """The reasoning at the beginning of ``text``, and the answer after it. Marks inside an answer are kept."""
    reasoning: list[str] = []
    rest = text
    while (opening := _OPENING.match(rest.lstrip())) is not None:
        inner = rest.lstrip()[opening.end() :]
        closing = _CLOSING.search(inner)
        if closing is None:
            return Thinking("".join([*reasoning, inner]), "", is_open=True)
        reasoning.append(inner[: closing.start()])
        rest = inner[closing.end() :]
        if _OPENING.search(reasoning[-1]):  # a mark inside another
            before, rest = _closed_only(rest)
            reasoning.append(before)
    if not reasoning:
        before, rest = _closed_only(text)
        reasoning = [before] if before else []
    return Thinking("".join(reasoning), _AROUND_ANSWER.sub("", rest) if rest.lstrip()[:1] == "<" or reasoning else rest)


def _closed_only(text: str) -> tuple[str, str]:
    """Split at a closing mark without an opening one, which some chat templates put into the prompt."""
    if text.lstrip().startswith(_BEGINS_AN_ANSWER):
        return "", text
    closing = _CLOSING.search(text)
    return ("", text) if closing is None else (text[: closing.start()], text[closing.end() :])
