"""Read delphi's results: ``explanations/{module}_latent{N}.txt`` and ``scores/{scorer}/{module}_latent{N}.txt``.

Both are JSON under another ending. The layer is the first number in the module's name. A scorer's file lists what it
showed: detection and fuzzing give a score of balanced accuracy and the excerpts with their activations; of the
simulation scorer, whose activations are levels 0..10 and not the model's own, the correlations are kept. The excerpts
are chosen for firing or for not firing: they are no uniform draw.
"""

import re
from collections.abc import Iterator, Sequence
from statistics import fmean

import msgspec

from app.domain.samples import SampleKind
from app.formats import records as model
from app.formats.checks import Refused, check_address, check_excerpt, check_number_of_records, check_text
from app.formats.decoding import Decoder
from app.formats.openai.explanations import NO_NUMBER, number
from app.formats.problems import MALFORMED, Refuse, decoding_problem, problem
from app.formats.records import Origin
from app.formats.streams import Entry, Line, whole_document

SAMPLE = "activating_and_not"
"""The excerpts of delphi's scorers: from the neuron's quantiles, and ones on which it does not fire."""
SCORERS = {"fuzz": "fuzzing", "detection": "detection", "simulation": "correlation"}
FAILURES = ("Explanation could not be parsed.", "No explanation found")
"""Texts that delphi writes in place of a missing explanation."""
_NAME = re.compile(r"(?P<module>.+)_latent(?P<index>\d+)\.txt$", re.DOTALL)
_NUMBER = re.compile(r"(?<![a-zA-Z0-9])\d+(?![a-zA-Z0-9])")


class _Classified(msgspec.Struct, gc=False):
    """``ClassifierOutput``: one excerpt and what the rater said of it."""

    str_tokens: list[str]
    activations: list[float]
    activating: bool
    distance: float | None = None
    prediction: bool | int | None = None
    probability: float | None = None
    correct: bool | None = None


class _Aggregate(msgspec.Struct, gc=False):
    """``ScoredSimulation``, which delphi's scorer writes, or its own ``AggregateResult``, of one group of excerpts.

    The first calls the group of all excerpts 0, and quantile *q* ``q + 1``; the other calls them -1 and *q*.
    """

    quantile: int | None = None
    distance: int | str | None = None
    correlation: float | None = None
    ev_correlation_score: float | None = None
    sequence_count: int | None = None
    scored_sequence_simulations: list[msgspec.Raw] | None = None

    @property
    def is_overall(self) -> bool:
        """Whether the group contains all excerpts."""
        return self.quantile == -1 or self.distance in (0, -1, "all")

    @property
    def n_excerpts(self) -> int | None:
        """The number of its excerpts, where it is known."""
        simulated = self.scored_sequence_simulations
        return len(simulated) if self.sequence_count is None and simulated is not None else self.sequence_count


_TEXT, _ITEMS = Decoder(str), Decoder(list[msgspec.Raw])
_CLASSIFIED, _AGGREGATE = Decoder(_Classified), Decoder(_Aggregate)


class DelphiReader:
    """Reads the explanations and scores of a run of delphi."""

    def reads(self, name: str) -> bool:
        """Whether a file of this name may be a latent's."""
        return _NAME.search(name) is not None

    def records(self, entry: Entry, refuse: Refuse, *, after: int = 0) -> Iterator[model.NeuronRecord]:
        """The latent of a file. A score stands with the explanation of its latent, which is in another file."""
        document = whole_document(entry, refuse)
        if document is None:
            return
        try:
            layer, index, module = _address(document.origin.file)
            scorer = _scorer(document.origin.file)
            if scorer is None:
                yield _explanation(document, layer, index, module)
            else:
                yield _scored(document, layer, index, module, scorer, refuse)
        except Refused as error:
            refuse(problem(document.origin, str(error), error.field))
        except MALFORMED as error:
            refuse(decoding_problem(document.origin, error))


def _address(file: str) -> tuple[int, int, str]:
    found = _NAME.search(file.rsplit("/", 1)[-1])
    if found is None:
        raise Refused("its name does not say which latent it is about")
    module = found["module"].replace("--", "/")
    numbers = _NUMBER.search(module)
    if numbers is None:
        raise Refused(f"the module's name {module[:60]!r} holds no layer")
    check_address(int(numbers[0]), int(found["index"]))
    return int(numbers[0]), int(found["index"]), module


def _scorer(file: str) -> str | None:
    """The scorer by the file's folder; None for an explanation."""
    parts = file.split("/")
    if "scores" in parts[:-1]:
        return parts[parts.index("scores") + 1] if parts.index("scores") + 2 <= len(parts) - 1 else "score"
    folder = parts[-2] if len(parts) > 1 else "explanations"
    return None if folder == "explanations" else folder if folder in {*SCORERS, "intruder", "embedding"} else None


def _explanation(document: Line, layer: int, index: int, module: str) -> model.NeuronRecord:
    text, _ = _TEXT.decode(document.content)
    check_text(text)
    if text.strip() in FAILURES:
        raise Refused(f"delphi has no explanation here, it says: {text.strip()}", "explanation")
    return model.NeuronRecord(layer, index, document.origin, source=module, explanations=[model.Explanation(text)])


def _scored(document: Line, layer: int, index: int, module: str, scorer: str, refuse: Refuse) -> model.NeuronRecord:
    raws, _ = _ITEMS.decode(document.content)
    check_number_of_records(len(raws), "items")
    samples: tuple[model.SampleRecords, ...] = ()
    score: model.Score | None
    if scorer == "simulation":
        score = _simulation_score(raws, document.origin, refuse)
    elif scorer in ("detection", "fuzz"):
        score, samples = _classification(raws, scorer, document.origin, refuse)
    else:
        raise Refused(f"results of the scorer {scorer[:40]!r} are not read")
    # Without a text of its own: it is that of the latent's explanation, which the import finds.
    scores = [] if score is None else [score]
    return model.NeuronRecord(layer, index, document.origin, source=module, samples=samples, loose_scores=scores)


def _simulation_score(raws: Sequence[msgspec.Raw], origin: Origin, refuse: Refuse) -> model.Score | None:
    """The overall correlation; where there is none, that of the one group there is."""
    groups = [part[0] for i, raw in enumerate(raws) if (part := _AGGREGATE.part(raw, f"[{i}]", origin, refuse))]
    overall = [group for group in groups if group.is_overall]
    chosen = overall or (groups if len(groups) == 1 else [])
    if not chosen:
        refuse(problem(origin, "it has no score of all excerpts together"))
        return None
    found = chosen[0]
    value = number(found.correlation if found.correlation is not None else found.ev_correlation_score)
    return model.Score(
        SCORERS["simulation"], SAMPLE, value, NO_NUMBER if value is None else None, n_valid=found.n_excerpts,
        simulator="delphi",
    )  # fmt: skip


def _classification(
    raws: Sequence[msgspec.Raw], scorer: str, origin: Origin, refuse: Refuse
) -> tuple[model.Score, tuple[model.SampleRecords, ...]]:
    """Balanced accuracy over the excerpts with a prediction, as delphi computes it, and the excerpts."""
    rows, right = [], {True: [], False: []}  # type: tuple[list[model.ActivationRecord], dict[bool, list[bool]]]
    n_failed = 0
    for i, raw in enumerate(raws):
        decoded = _CLASSIFIED.part(raw, f"[{i}]", origin, refuse)
        if decoded is None:
            continue
        found, is_lax = decoded
        try:
            check_excerpt(found.str_tokens, found.activations, is_lax=is_lax)
        except Refused as error:
            refuse(problem(origin, str(error), f"[{i}].{error.field}"))
        else:
            facts = {"activating": found.activating, "distance": found.distance}
            rows.append(model.ActivationRecord(found.str_tokens, found.activations, facts=facts))
        if found.prediction is None:
            n_failed += 1
        else:
            right[found.activating].append(bool(found.prediction) is found.activating)
    shares = [fmean(answers) for answers in right.values() if answers]
    value = fmean(shares) if len(shares) == len(right) else None
    reason = None if value is not None else "no excerpt of one of the two classes has a prediction"
    n_valid = sum(map(len, right.values()))
    score = model.Score(SCORERS[scorer], SAMPLE, value, reason, n_valid=n_valid, n_failed=n_failed, chance=0.5)
    return score, (model.SampleRecords(SampleKind.OTHER, rows),) if rows else ()
