"""Read Transluce's exemplars and explanations: both signs of a neuron, each in splits of its own.

An exemplars file is the JSON of one neuron: ``activation_records`` by split (``train``, ``valid``, ``test``,
``random_train``, ...) and sign (``max``, ``min``). An explanations file is the JSON of ``NeuronExplanations``, which
says its neuron. Exemplars that do not say theirs are known by their path: ``layer3/17.json`` or ``3/17.json``. Pickles
are not read.
"""

import re
from collections.abc import Iterator, Mapping

import msgspec

from app.domain.samples import SampleKind
from app.domain.splits import Split
from app.formats import records as model
from app.formats.checks import (
    Refused,
    check_address,
    check_excerpt,
    check_number_of_records,
    check_text,
    check_token_ids,
    distinct,
)
from app.formats.decoding import Decoder
from app.formats.openai import wire
from app.formats.openai.explanations import CORRELATION, NO_NUMBER, SCORERS, number, simulation_of
from app.formats.problems import MALFORMED, Refuse, decoding_problem, problem
from app.formats.records import Origin
from app.formats.streams import Entry, Line, whole_document

_PATH = re.compile(r"(?:^|/)(?:layer)?(\d+)/(\d+)\.json$")
_SPLITS = {"train": Split.TRAIN, "valid": Split.VALIDATION, "test": Split.TEST}
_SIGNS = {"pos": "highest activations", "neg": "lowest activations"}
SIMULATOR = "transluce"


class _Exemplar(msgspec.Struct, gc=False):
    tokens: list[str]
    activations: list[float]
    token_ids: list[int] | None = None


class _Exemplars(msgspec.Struct):
    activation_records: dict[str, dict[str, list[msgspec.Raw]]]
    neuron_id: wire.NeuronId | None = None
    activation_percentiles: dict[str, float] | None = None
    dataset_names: dict[str, dict[str, list[str]]] | None = None


class _Simulations(msgspec.Struct):
    simulation_data: dict[str, wire.ScoredSequence] = {}
    ev_correlation_score: float | None = None
    rsquared_score: float | None = None
    absolute_dev_explained_score: float | None = None


class _Explanation(msgspec.Struct):
    explanation: str
    simulations: dict[str, _Simulations] | None = None


class _Explanations(msgspec.Struct):
    neuron_id: wire.NeuronId
    explanations: dict[str, list[msgspec.Raw] | None]


_EXEMPLARS, _EXEMPLAR = Decoder(_Exemplars), Decoder(_Exemplar)
_EXPLANATIONS, _EXPLANATION = Decoder(_Explanations), Decoder(_Explanation)


class TransluceReader:
    """Reads exemplars and explanations as Transluce's observatory has them."""

    def reads(self, name: str) -> bool:
        """Whether a file of this name may hold a neuron."""
        return name.endswith(".json") and not name.endswith("_config.json")

    def records(self, entry: Entry, refuse: Refuse, *, after: int = 0) -> Iterator[model.NeuronRecord]:
        """The neuron of a file."""
        document = whole_document(entry, refuse)
        if document is None:
            return
        try:
            if b'"activation_records"' in document.content:
                yield _exemplars(document, refuse)
            else:
                yield _explanations(document, refuse)
        except Refused as error:
            refuse(problem(document.origin, str(error), error.field))
        except MALFORMED as error:
            refuse(decoding_problem(document.origin, error))


def _exemplars(document: Line, refuse: Refuse) -> model.NeuronRecord:
    found, _ = _EXEMPLARS.decode(document.content)
    layer, index = _address(found.neuron_id, document.origin)
    groups: dict[SampleKind, list[model.ActivationRecord]] = {}
    for split, by_sign in found.activation_records.items():
        for sign, raws in by_sign.items():
            names = ((found.dataset_names or {}).get(split) or {}).get(sign) or []
            field = f"activation_records.{split}.{sign}"
            check_number_of_records(len(raws), field)
            for i, raw in enumerate(raws):
                record = _record(raw, f"{field}[{i}]", document.origin, refuse)
                if record is not None:
                    dataset = {"dataset_name": names[i]} if i < len(names) else {}
                    facts = {"split": split, "sign": sign, **dataset}
                    row = model.ActivationRecord(record.tokens, record.activations, record.token_ids, facts=facts)
                    groups.setdefault(_kind(split, sign), []).append(row)
    for kind, descending in ((SampleKind.TOP, True), (SampleKind.BOTTOM, False)):
        extreme = max if descending else min
        groups.get(kind, []).sort(key=lambda row: extreme(row.activations), reverse=descending)
    percentiles = found.activation_percentiles
    return model.NeuronRecord(
        layer,
        index,
        document.origin,
        samples=tuple(model.SampleRecords(kind, rows) for kind, rows in groups.items()),
        facts={} if percentiles is None else {"activation_percentiles": percentiles},
    )


def _address(neuron_id: wire.NeuronId | None, origin: Origin) -> tuple[int, int]:
    if neuron_id is not None:
        layer, index = wire.address(neuron_id)
    else:
        found = _PATH.search(origin.file)
        if found is None:
            raise Refused("neither it nor its name says which neuron it is about", "neuron_id")
        layer, index = int(found[1]), int(found[2])
    check_address(layer, index)
    return layer, index


def _record(raw: msgspec.Raw, field: str, origin: Origin, refuse: Refuse) -> _Exemplar | None:
    decoded = _EXEMPLAR.part(raw, field, origin, refuse)
    if decoded is None:
        return None
    try:
        check_excerpt(decoded[0].tokens, decoded[0].activations, is_lax=decoded[1])
        check_token_ids(decoded[0].tokens, decoded[0].token_ids)
    except Refused as error:
        refuse(problem(origin, str(error), f"{field}.{error.field}"))
        return None
    return decoded[0]


def _kind(split: str, sign: str) -> SampleKind:
    if split.startswith("random"):
        return SampleKind.RANDOM
    return SampleKind.TOP if sign == "max" else SampleKind.BOTTOM


def _explanations(document: Line, refuse: Refuse) -> model.NeuronRecord:
    origin = document.origin
    found, _ = _EXPLANATIONS.decode(document.content)
    layer, index = _address(found.neuron_id, origin)
    explanations = []
    for sign, raws in found.explanations.items():
        for i, raw in enumerate(raws or []):
            field = f"explanations.{sign}[{i}]"
            decoded = _EXPLANATION.part(raw, field, origin, refuse)
            if decoded is None:
                continue
            try:
                explanations.append(_explanation(*decoded, sign))
            except Refused as error:
                refuse(problem(origin, str(error), f"{field}.{error.field}"))
    return model.NeuronRecord(layer, index, origin, explanations=distinct(explanations, origin, refuse))


def _explanation(found: _Explanation, is_lax: bool, sign: str) -> model.Explanation:
    check_text(found.explanation)
    scores: list[model.Score] = []
    simulations: list[model.ScoredSimulation] = []
    for split, of_split in (found.simulations or {}).items():
        rows = [_scored(row, split, sign, is_lax) for row in of_split.simulation_data.values()]
        simulations += rows
        n_valid = sum(None not in row.simulation.expected for row in rows)
        scores += _scores(of_split, f"transluce_{split}", n_valid, len(rows) - n_valid)
    author = f"Transluce ({_SIGNS[sign]})" if sign in _SIGNS else f"Transluce ({sign})"
    return model.Explanation(
        found.explanation, author=author, scores=scores, simulations=simulations, facts={"sign": sign}
    )


def _scores(found: _Simulations, sample: str, n_valid: int, n_failed: int) -> Iterator[model.Score]:
    """The scores of one split. Their sample is the name of the split, which is none of ours."""
    values: Mapping[str, float | None] = {name: number(getattr(found, name)) for name in SCORERS}
    for name, scorer in SCORERS.items():
        value = values[name]
        if value is not None or name == CORRELATION:
            reason = NO_NUMBER if value is None else None
            yield model.Score(scorer, sample, value, reason, n_valid=n_valid, n_failed=n_failed, simulator=SIMULATOR)


def _scored(row: wire.ScoredSequence, split: str, sign: str, is_lax: bool) -> model.ScoredSimulation:
    found = row.simulation or row.sequence_simulation
    if found is None:
        raise Refused("it holds no simulation", "simulations")
    check_excerpt(found.tokens, row.true_activations, is_lax=is_lax)
    return model.ScoredSimulation(
        simulation_of(found, is_lax=is_lax),
        row.true_activations,
        kind=_kind(split, "min" if sign == "neg" else "max"),
        split=_SPLITS.get(split.removeprefix("random_")),
        simulator=SIMULATOR,
    )
