"""Tokens of a reply with their alternatives: tokens that a model wrote, or those of a scored prompt."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from worker.providers.base import (
    ChatRequest,
    ScoreTextRequest,
    TokenAlternatives,
)

LONGEST_NAME = 200
"""Characters of a model's name, a token or a finish reason."""
ROUNDING = 1e-3
"""The most by which a log-probability may exceed 0."""


class Unreadable(ValueError):
    """The body contains no answer. The message describes what it contains."""


def chat_alternatives(request: ChatRequest, logprobs: object) -> tuple[TokenAlternatives, ...]:
    """Each token of an answer with its alternatives; empty if not requested or not present."""
    if not request.top_logprobs or not isinstance(logprobs, Mapping):
        return ()
    entries = logprobs.get("content")
    if isinstance(entries, list):
        found = [_chat_token(entry) for entry in entries[: request.max_tokens] if isinstance(entry, Mapping)]
    elif isinstance(logprobs.get("tokens"), list) and logprobs["tokens"]:  # the older format, which some servers mix in
        found = [TokenAlternatives(*pair) for pair in zip(*prompt_tokens({"logprobs": logprobs}), strict=True)]
    else:
        found = []
    return tuple(found) if any(a.logprobs for a in found) else ()


def _chat_token(entry: Mapping[str, Any]) -> TokenAlternatives:
    top = entry.get("top_logprobs")
    others = top if isinstance(top, list) else []
    return TokenAlternatives(_token(entry.get("token")) or "", _logprobs_in([entry, *others]))


def _logprobs_in(entries: Sequence[object]) -> dict[str, float]:
    """Log-probabilities by token. Entries without token or number are left out.

    Of equal tokens the most likely is kept. A number that is not finite is kept in any case.
    """
    found: dict[str, float] = {}
    for entry in entries:
        if not isinstance(entry, Mapping):
            continue
        token, value = _token(entry.get("token", entry.get("decoded_token"))), logprob_of(entry.get("logprob"))
        if token is not None and value is not None:
            earlier = found.get(token, -math.inf)
            found[token] = math.nan if math.isnan(value) or math.isnan(earlier) else max(value, earlier)
    return found


def logprob_of(value: object) -> float | None:
    """A log-probability (nats), at most 0; None for null, text, minus infinity and positive numbers.

    NaN, also for plus infinity, if the model failed to compute it: the caller must know.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    if math.isnan(number) or number == math.inf:
        return math.nan
    return min(number, 0.0) if math.isfinite(number) and number <= ROUNDING else None


def _token(value: object) -> str | None:
    return value[:LONGEST_NAME] if isinstance(value, str) else None


def scored_tokens(request: ScoreTextRequest, choice: Mapping[str, Any]) -> tuple[TokenAlternatives, ...]:
    """The alternatives at each wanted position. Raises Unreadable if no token begins at one of them."""
    tokens, alternatives = prompt_tokens(choice)
    text = request.prefix + request.text
    starts = token_starts(text, tokens)
    positions = {start: i for i, start in enumerate(starts) if start is not None}
    found = []
    for at in request.answer_at:
        if at not in positions:
            raise Unreadable(_why_not_scored(text, tokens, starts, at))
        found.append(TokenAlternatives(tokens[positions[at]], alternatives[positions[at]]))
    return tuple(found)


def _why_not_scored(text: str, tokens: Sequence[str], starts: Sequence[int | None], at: int) -> str:
    n_found = sum(start is not None for start in starts)
    if n_found * 2 < len(tokens) or len("".join(tokens)) < len(text) // 2:
        return (
            f"the reply has log-probabilities of {len(tokens)} tokens that are not the prompt's: "
            "the server scores only what it generates"
        )
    return f"the model's tokens have no boundary at character {at}, where an answer is expected"


def prompt_tokens(choice: Mapping[str, Any]) -> tuple[list[str], list[Mapping[str, float]]]:
    """Each token of the prompt and its alternatives, in either format. Raises Unreadable if neither is present."""
    rows = choice.get("prompt_logprobs")
    if isinstance(rows, list) and rows:
        entries = [list(row.values()) if isinstance(row, Mapping) else [] for row in rows]
        own = [row[0] if row and isinstance(row[0], Mapping) else {} for row in entries]
        return [_token(e.get("decoded_token")) or "" for e in own], [_logprobs_in(row) for row in entries]
    logprobs = choice.get("logprobs")
    tokens = logprobs.get("tokens") if isinstance(logprobs, Mapping) else None
    if not isinstance(tokens, list) or not tokens:
        raise Unreadable("the reply has no log-probabilities of the prompt's tokens")
    top = logprobs.get("top_logprobs") if isinstance(logprobs, Mapping) else None
    top = top if isinstance(top, list) else []
    alternatives: list[Mapping[str, float]] = [_by_token(top[i]) if i < len(top) else {} for i in range(len(tokens))]
    return [_token(t) or "" for t in tokens], alternatives


def _by_token(row: object) -> dict[str, float]:
    if not isinstance(row, Mapping):
        return {}
    return _logprobs_in([{"token": token, "logprob": value} for token, value in row.items()])


def token_starts(text: str, tokens: Sequence[str]) -> list[int | None]:
    """Where each token begins in ``text`` (characters), None if unknown.

    Tokens that are not in the text (a BOS token, parts of a character) are skipped. Counting resumes at the next tab or
    line end, which every tokenizer here keeps as one token. Some servers return tokens as the vocabulary writes them
    (``▁`` or ``Ġ`` for a space).
    """
    starts: list[int | None] = []
    at, lost = 0, False
    for token in tokens:
        spelled = token if text.startswith(token, at) else as_text(token)
        if at == 0 and spelled.startswith(" ") and not text.startswith(" "):
            spelled = spelled[1:]  # SentencePiece puts a space before the text
        if lost and spelled[:1] in ("\t", "\n"):
            at, lost = _found(text, spelled[0], at), False
        if spelled and (at == 0 or not lost) and text.startswith(spelled, at):
            starts.append(at)
            at, lost = at + len(spelled), False
        else:
            starts.append(None)
            lost = True  # before the first match this may be a BOS token, after which the text begins
    return starts


_VOCABULARY_SIGNS = {"▁": " ", "Ġ": " ", "Ċ": "\n", "ĉ": "\t"}
"""White space as written in vocabularies: first SentencePiece, then byte-level BPE."""


def as_text(token: str) -> str:
    """A vocabulary's token as it appears in a text; byte tokens such as ``<0x37>`` as their character."""
    if len(token) == 6 and token.startswith("<0x") and token.endswith(">"):
        try:
            return bytes([int(token[3:5], 16)]).decode("latin-1")
        except ValueError:
            return token
    return "".join(_VOCABULARY_SIGNS.get(character, character) for character in token)


def _found(text: str, mark: str, at: int) -> int:
    found = text.find(mark, at)
    return len(text) if found < 0 else found
