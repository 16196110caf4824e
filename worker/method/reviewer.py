"""A language model as a reviewer: it sees what a person sees, blind in the same way, and returns a verdict."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from app.domain.activations import ActivationRecord, normalise
from app.domain.review import Confidence, VerdictKind
from app.domain.shown_evidence import Firing, firing
from app.domain.tokens import Vocabulary
from worker.method.prompts import load
from worker.method.prompts.rendering import block, escape, highlighted_peak, levelled
from worker.method.structured_requests import (
    Form,
    StructuredReply,
    StructuredRequest,
    Unusable,
    json_object,
    object_schema,
    one_line,
    request_all,
)
from worker.providers.base import Message, Provider

PROMPT = "review"
LONGEST_REASON = 500
MOST_TOKENS = 400


@dataclass(frozen=True, slots=True)
class ModelVerdict:
    """A language model's verdict on an explanation."""

    kind: VerdictKind
    confidence: Confidence
    note: str


def judge(
    provider: Provider,
    text: str,
    records: Sequence[ActivationRecord],
    vocabulary: Vocabulary,
    *,
    maximum: float,
    step: str = "review",
) -> StructuredReply[ModelVerdict]:
    """The model's verdict on a text by these records; ``maximum`` is the activation of level 10.

    Undefined if no reply could be used. Raises ProviderError.
    """
    question = StructuredRequest(
        step,
        (Message("system", load(PROMPT).text), Message("user", _shown(text, records, vocabulary, maximum))),
        FORM,
        max_tokens=MOST_TOKENS,
    )
    (answer,) = request_all(provider, [question])
    return answer


def _shown(text: str, records: Sequence[ActivationRecord], vocabulary: Vocabulary, maximum: float) -> str:
    groups: Mapping[Firing, list[ActivationRecord]] = {each: [] for each in Firing}
    for record in sorted(records, key=lambda record: -record.peak):
        step = int(normalise(np.array([record.peak], dtype=np.float32), maximum)[0])
        groups[firing(step)].append(record)
    parts = [
        f"Excerpts on which it fires {each}:\n"
        + "\n".join(
            block(f"{each} {n}", highlighted_peak(levelled(record, vocabulary, maximum)))
            for n, record in enumerate(own, 1)
        )
        for each, own in groups.items()
        if own
    ]
    return "\n\n".join([*parts, block("explanation", escape(text))])


def _read(text: str) -> ModelVerdict:
    found = json_object(text, frozenset({"note", "verdict", "confidence"}))
    try:
        kind, confidence = VerdictKind(found["verdict"]), Confidence(found["confidence"])
    except (ValueError, TypeError) as error:
        raise Unusable("the verdict or the confidence is not one of the allowed words") from error
    return ModelVerdict(kind, confidence, one_line(found["note"], longest=LONGEST_REASON))


FORM: Form[ModelVerdict] = Form(
    "review/1",
    object_schema(
        note={"type": "string"},
        verdict={"type": "string", "enum": list(VerdictKind)},
        confidence={"type": "string", "enum": list(Confidence)},
    ),
    _read,
)
