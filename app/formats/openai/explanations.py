"""Read a line of OpenAI's explanations: texts with their simulations and scores."""

from collections.abc import Iterator
from contextlib import suppress

import msgspec

from app.domain.results import TOP_AND_RANDOM
from app.domain.samples import SampleKind
from app.formats import records as model
from app.formats.checks import (
    Refused,
    check_address,
    check_excerpt,
    check_number_of_records,
    check_text,
    distinct,
    finite,
)
from app.formats.decoding import Decoder
from app.formats.openai import wire
from app.formats.problems import MALFORMED, Refuse, decoding_problem, problem
from app.formats.records import Origin
from app.formats.streams import Line

PUBLISHED = "published"
"""The simulator of the scores and simulations that such files hold."""
CORRELATION = "ev_correlation_score"
SCORERS = {
    CORRELATION: "correlation",
    "rsquared_score": "uncentred_r2",
    "absolute_dev_explained_score": "absolute_deviation_explained",
}
"""Our scorer for each score of the files. Theirs of r squared has an uncentred denominator: it is no explained
variance."""
NO_NUMBER = "the file gives no number"

_RESULTS = Decoder(wire.SimulationResults)
_EXPLANATION, _RAW_EXPLANATION = Decoder(wire.ScoredExplanation), Decoder(wire.RawScoredExplanation)
_SEQUENCE = Decoder(wire.ScoredSequence)


def results(line: Line, refuse: Refuse) -> Iterator[model.NeuronRecord]:
    """The neuron of a line; nothing, with a problem, where it is malformed."""
    origin = line.origin
    try:
        found, _ = _RESULTS.decode(line.content)
        layer, index = wire.address(found.neuron_id)
        check_address(layer, index)
    except Refused as error:
        refuse(problem(origin, str(error), error.field))
        return
    except MALFORMED as error:
        refuse(decoding_problem(origin, error))
        return
    raws = found.scored_explanations
    raws = (found.scored_explanation_or_baseline_list or []) if raws is None else raws
    explanations = []
    for i, raw in enumerate(raws):
        field = f"scored_explanations[{i}]"
        decoded = _decoded(raw, field, origin, refuse)
        if decoded is None:
            continue
        try:
            explanations.append(_explanation(*decoded, field, origin, refuse))
        except Refused as error:
            refuse(problem(origin, str(error), f"{field}.{error.field}"))
    yield model.NeuronRecord(layer, index, origin, explanations=distinct(explanations, origin, refuse))


def _decoded(
    raw: msgspec.Raw, field: str, origin: Origin, refuse: Refuse
) -> tuple[wire.ScoredExplanation, bool, int] | None:
    """An explanation without its malformed simulations, whether it was decoded laxly, and the number of those left out.

    None, with a problem, where the explanation itself is malformed.
    """
    with suppress(*MALFORMED):
        return *_EXPLANATION.decode(raw), 0
    outer = _RAW_EXPLANATION.part(raw, field, origin, refuse)
    if outer is None:
        return None
    found, is_lax = outer
    scored = found.scored_simulation
    if scored is None:
        return wire.ScoredExplanation(found.explanation, found.explanation_or_baseline), is_lax, 0
    rows = []
    for i, row in enumerate(scored.scored_sequence_simulations):
        path = f"{field}.scored_simulation.scored_sequence_simulations[{i}]"
        decoded = _SEQUENCE.part(row, path, origin, refuse)
        if decoded is not None:
            rows.append(decoded[0])
            is_lax = is_lax or decoded[1]
    kept = wire.ScoredSimulation(
        rows, scored.ev_correlation_score, scored.rsquared_score, scored.absolute_dev_explained_score
    )
    n_left_out = len(scored.scored_sequence_simulations) - len(rows)
    return wire.ScoredExplanation(found.explanation, found.explanation_or_baseline, kept), is_lax, n_left_out


def _explanation(
    found: wire.ScoredExplanation, is_lax: bool, n_left_out: int, field: str, origin: Origin, refuse: Refuse
) -> model.Explanation:
    text = found.explanation if found.explanation is not None else found.explanation_or_baseline
    check_text(text or "")
    scored = found.scored_simulation
    rows = [] if scored is None else scored.scored_sequence_simulations
    check_number_of_records(len(rows), "scored_simulation.scored_sequence_simulations")
    simulations = []
    for i, row in enumerate(rows):
        try:
            simulations.append(_scored_sequence(row, i, len(rows), is_lax))
        except Refused as error:
            path = f"{field}.scored_simulation.scored_sequence_simulations[{i}].{error.field}"
            refuse(problem(origin, str(error), path))
    scores = [] if scored is None else _scores(scored, simulations, n=len(rows) + n_left_out)
    return model.Explanation(text or "", scores=scores, simulations=simulations)


def _scores(scored: wire.ScoredSimulation, simulations: list[model.ScoredSimulation], *, n: int) -> list[model.Score]:
    """The three scores of ``n`` sequences; the correlation also where the file gives none: that says something."""
    n_valid = sum(None not in s.simulation.expected for s in simulations)
    values = {name: number(getattr(scored, name)) for name in SCORERS}
    return [
        model.Score(
            scorer=scorer,
            sample=TOP_AND_RANDOM,
            value=values[name],
            undefined_reason=NO_NUMBER if values[name] is None else None,
            n_valid=n_valid,
            n_failed=n - n_valid,
            simulator=PUBLISHED,
        )
        for name, scorer in SCORERS.items()
        if values[name] is not None or name == CORRELATION
    ]


def _scored_sequence(row: wire.ScoredSequence, i: int, n: int, is_lax: bool) -> model.ScoredSimulation:
    found = row.simulation or row.sequence_simulation
    if found is None:
        raise Refused("it holds no simulation", "simulation")
    check_excerpt(found.tokens, row.true_activations, is_lax=is_lax)
    values = {scorer: number(getattr(row, name)) for name, scorer in SCORERS.items()}
    return model.ScoredSimulation(
        simulation=simulation_of(found, is_lax=is_lax),
        activations=row.true_activations,
        scores={name: value for name, value in values.items() if value is not None},
        kind=SampleKind.TOP if i < (n + 1) // 2 else SampleKind.RANDOM,  # five top, then five random
        simulator=PUBLISHED,
    )


def simulation_of(found: wire.SequenceSimulation, *, is_lax: bool) -> model.Simulation:
    """A simulation of one excerpt. Raises Refused."""
    expected = found.expected_activations
    if expected is None:
        expected = [None] * len(found.tokens)
    if len(expected) != len(found.tokens):
        raise Refused(f"it has {len(found.tokens)} tokens and {len(expected)} predictions", "expected_activations")
    if is_lax and not finite(value for value in expected if value is not None):
        raise Refused("a prediction is not a finite number", "expected_activations")
    unit = found.activation_scale or found.unit or model.ActivationUnit.LEVELS
    if unit not in tuple(model.ActivationUnit):
        raise Refused(f"{unit[:40]!r} is no known unit", "activation_scale")
    values, probabilities = found.distribution_values or [], found.distribution_probabilities or []
    if len(values) != len(probabilities) or any(len(v) != len(p) for v, p in zip(values, probabilities, strict=True)):
        raise Refused("values and probabilities differ in number", "distribution_probabilities")
    inner = found.uncalibrated_simulation
    return model.Simulation(
        tokens=found.tokens,
        expected=expected,
        unit=model.ActivationUnit(unit),
        values=values,
        probabilities=probabilities,
        uncalibrated=None if inner is None else simulation_of(inner, is_lax=is_lax),
    )


def number(value: float | None) -> float | None:
    """A number; None if it is missing or not finite, which means the same in these files."""
    return value if value is not None and finite([value]) else None
