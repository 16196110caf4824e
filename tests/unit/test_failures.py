"""The cause of a failure, from the sentences that the pipeline writes."""

import pytest

from app.domain.failures import Cause, cause_of, causes_of


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        ("This neuron never fires on this corpus: its highest activation is 0. There is nothing to explain.",
         Cause.NEVER_FIRES),
        ("The neuron never fires in its records; there is nothing to explain.", Cause.NEVER_FIRES),
        ("There are no train records of this neuron: collect it first.", Cause.NO_RECORDS),
        ("Every top excerpt of this neuron is a copy of one that is held out for scoring.", Cause.NO_RECORDS),
        ("The neuron has no hard negatives to contrast with.", Cause.NO_RECORDS),
        ("house: HTTP 401: invalid api key", Cause.LANGUAGE_MODEL),
        ("The language model gave no usable explanation: it is empty", Cause.REPLY),
        ("The simulator all_at_once needs prompt log-probabilities, which house does not offer (it offers: chat).",
         Cause.CAPABILITY),
        ("The explainer highlighted needs a language model; the method names no provider.", Cause.CAPABILITY),
        ("ablation runs the subject itself, and this worker has not loaded it.", Cause.SUBJECT),
        ("The cap of this batch is reached: 2.00 of 2.00 are spent.", Cause.CAP),
        ("Its worker crashed or froze while it ran (3 of 3 times).", Cause.CRASHED),
        ("ZeroDivisionError: division by zero", Cause.OTHER),
        ("", Cause.OTHER),
        (None, Cause.OTHER),
    ],
)  # fmt: skip
def test_a_cause_is_read_from_the_error(error: str | None, cause: Cause) -> None:
    assert cause_of(error) is cause


@pytest.mark.parametrize("cause", Cause)
def test_every_cause_has_words_and_a_next_step(cause: Cause) -> None:
    assert not cause.label.endswith(".")
    assert cause.next_step.endswith(".")


def test_causes_are_counted_the_most_frequent_first() -> None:
    found = causes_of(["ZeroDivisionError: x", "it never fires", "it never fires at all", None])
    assert [(c.cause, c.number, c.example) for c in found] == [
        (Cause.NEVER_FIRES, 2, "it never fires"),
        (Cause.OTHER, 2, "ZeroDivisionError: x"),
    ]
