"""The simulators and calibrations of the catalogue, with the calls that simulate one text."""

from collections.abc import Iterable

from app.domain.activations import ActivationRecord, NeuronRecords, SampleKind, Split
from app.domain.language_models import Capability
from app.domain.steps.calls import NO_CALLS, Calls, Span
from app.domain.steps.spec import CHAT, CalibrationSpec, SimulatorSpec


def _nothing(_lengths: Iterable[int]) -> Calls:
    return NO_CALLS


def _structured(lengths: Iterable[int]) -> Calls:
    tokens = list(lengths)
    instructions, mean = 620, sum(tokens) / max(1, len(tokens))
    return Calls.of(Span.exactly(len(tokens)), instructions + 4.3 * mean, 10 + 2 * mean, cached=instructions)


def _all_at_once(lengths: Iterable[int]) -> Calls:
    tokens = list(lengths)
    instructions, mean = 680, sum(tokens) / max(1, len(tokens))
    return Calls.of(Span.exactly(len(tokens)), instructions + 4 * mean, 1, cached=instructions)


def _token_by_token(lengths: Iterable[int]) -> Calls:
    tokens = list(lengths)
    n, instructions = sum(tokens), 490
    before = sum(length * (length + 1) / 2 for length in tokens) / max(1, n)
    return Calls.of(Span.exactly(n), instructions + before, 1, cached=instructions)


LEXICAL = SimulatorSpec(
    name="lexical",
    label="Lexical: reads quoted tokens and contexts",
    description="Reads quoted tokens, word classes and conditions out of a text and expects activation where they "
    "match, without a language model.",
    blind_spot="Reads only quotations and the words of its grammar, so it cannot simulate most prose.",
    calls=_nothing,
)
ALL_AT_ONCE = SimulatorSpec(
    name="all_at_once",
    label="All at once: log-probabilities at every token",
    description="Reads the probabilities of the numbers 0 to 10 at every token of an excerpt from one request.",
    blind_spot="Expects each token's number without having seen the numbers before it.",
    prompts=("simulate_all_at_once",),
    capabilities=frozenset({Capability.PROMPT_LOGPROBS}),
    calls=_all_at_once,
)
TOKEN_BY_TOKEN = SimulatorSpec(
    name="token_by_token",
    label="Token by token: one question each",
    description="Sends one request per token of an excerpt and reads the probabilities of the numbers 0 to 10.",
    blind_spot="Reads only the first token of a reply, so a model that reasons before it answers yields no number.",
    prompts=("simulate_token",),
    capabilities=frozenset({Capability.CHAT_LOGPROBS}),
    calls=_token_by_token,
)
STRUCTURED = SimulatorSpec(
    name="structured",
    label="Structured: one JSON answer per excerpt",
    parameters=("temperature", "seed"),
    description="Requests, once per excerpt, a list with a whole number from 0 to 10 for each token.",
    blind_spot="Shows the model what follows a token, which the neuron does not see, and gives no probabilities.",
    prompts=("simulate_structured",),
    capabilities=CHAT,
    calls=_structured,
)
SIMULATORS = (LEXICAL, ALL_AT_ONCE, TOKEN_BY_TOKEN, STRUCTURED)


def calibration_records(records: NeuronRecords) -> tuple[ActivationRecord, ...]:
    """The records to which a calibration is fitted; none of them is scored."""
    return (
        *records.of(SampleKind.TOP, Split.CALIBRATION),
        *records.of(SampleKind.RANDOM, Split.CALIBRATION),
    )


LINEAR = CalibrationSpec(
    name="linear",
    label="Least squares on the calibration records",
    description="Brings expected activations to the scale of the real ones by the straight line with the least "
    "squared error.",
    blind_spot="Does not change the correlation, and one extreme record can distort the line.",
    records=calibration_records,
)
PERCENTILE = CalibrationSpec(
    name="percentile",
    label="Equal ranks on the calibration records",
    description="Replaces each expected activation by the real one of the same rank.",
    blind_spot="Clips to the range of the calibration records.",
    records=calibration_records,
)
CALIBRATIONS = (LINEAR, PERCENTILE)
