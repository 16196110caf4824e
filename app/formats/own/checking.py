"""What a record of our own formats must satisfy once it is decoded: the same as in every other format."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from app.formats import records as model
from app.formats.checks import (
    Refused,
    check_address,
    check_excerpt,
    check_number_of_records,
    check_text,
    check_token_ids,
    finite,
)
from app.formats.problems import Refuse, problem
from app.formats.records import Origin


def checked(record: model.NeuronRecord, origin: Origin, refuse: Refuse) -> model.NeuronRecord:
    """The record with its origin, without those parts that are malformed. Raises Refused where the whole is."""
    check_address(record.layer, record.index)
    if not finite(v for v in record.statistics.known.values() if isinstance(v, float)):
        raise Refused("a statistic is not a finite number", "record.statistics")
    samples = []
    for i, sample in enumerate(record.samples):
        field = f"record.samples[{i}].records"
        check_number_of_records(len(sample.records), field)
        samples.append(replace(sample, records=list(_records(sample.records, field, origin, refuse))))
    explanations = [
        replace(found, simulations=list(_simulations(found, f"record.explanations[{i}]", origin, refuse)))
        for i, found in enumerate(record.explanations)
        if _is_text(found, f"record.explanations[{i}]", origin, refuse)
    ]
    return replace(record, origin=origin, samples=samples, explanations=explanations)


def _records(
    rows: Sequence[model.ActivationRecord], field: str, origin: Origin, refuse: Refuse
) -> Iterator[model.ActivationRecord]:
    for i, row in enumerate(rows):
        try:
            check_excerpt(row.tokens, row.activations, is_lax=True)
            check_token_ids(row.tokens, row.token_ids)
        except Refused as error:
            refuse(problem(origin, str(error), f"{field}[{i}].{error.field}"))
        else:
            yield row


def _is_text(found: model.Explanation, field: str, origin: Origin, refuse: Refuse) -> bool:
    try:
        check_text(found.text)
    except Refused as error:
        refuse(problem(origin, str(error), f"{field}.text"))
        return False
    return True


def _simulations(
    found: model.Explanation, field: str, origin: Origin, refuse: Refuse
) -> Iterator[model.ScoredSimulation]:
    for i, row in enumerate(found.simulations):
        try:
            check_excerpt(row.simulation.tokens, row.activations, is_lax=True)
            _check_simulation(row.simulation)
        except Refused as error:
            refuse(problem(origin, str(error), f"{field}.simulations[{i}].{error.field}"))
        else:
            yield row


def _check_simulation(found: model.Simulation) -> None:
    if len(found.expected) != len(found.tokens):
        raise Refused(f"it has {len(found.tokens)} tokens and {len(found.expected)} predictions", "expected")
    if not finite(value for value in found.expected if value is not None):
        raise Refused("a prediction is not a finite number", "expected")
    pairs = zip(found.values, found.probabilities, strict=False)
    if len(found.values) != len(found.probabilities) or any(len(v) != len(p) for v, p in pairs):
        raise Refused("values and probabilities differ in number", "probabilities")
    if found.uncalibrated is not None:
        _check_simulation(found.uncalibrated)
