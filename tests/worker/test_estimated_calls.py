"""The calls that the catalogue estimates are those that a run makes."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import count

import numpy as np
import pytest

from app.domain.activations import ActivationRecord, NeuronRecords, SampleKind
from app.domain.language_models import ATTEMPTS, Capability
from app.domain.methods import BUILTIN_METHODS, LANGUAGE_MODEL_METHODS, MethodDefinition
from app.domain.steps.calls import Calls
from app.domain.steps.catalogue import CALIBRATIONS, EXPLAINERS, SCORERS, SIMULATORS
from app.domain.steps.method import calls_of, steps_of
from app.domain.tokens import Vocabulary
from app.errors import MethodError
from tests.fake_provider import FakeProvider
from tests.worker.language_model import Memory, Write, answering, remembered
from tests.worker.live_fakes import FakeSubject
from worker.method.contracts import NeuronTask, Services
from worker.method.pipeline import run_method, with_lookalikes
from worker.method.registry import build_method

WORDS = ("cats", " drink", " tea", " import", " os", "from", "\n", "They", " like", ".")
VOCABULARY = Vocabulary("words", tuple(word.encode() for word in WORDS))
IMPORT = WORDS.index(" import")
MAXIMUM = 8.0


@dataclass(frozen=True)
class Shape:
    """How many records a neuron has of each sort, and of which lengths."""

    top: int
    random: int
    bands: int
    lookalikes: int | None
    """None where no hard negatives were collected."""
    lengths: tuple[int, ...]
    has_peer: bool = True


SHAPES = {
    "collected": Shape(20, 20, 5, 20, (8,)),
    "imported": Shape(20, 10, 5, None, (8, 3, 12)),
    "hardly any": Shape(4, 3, 0, 1, (9,)),
    "without random excerpts": Shape(9, 0, 2, None, (6, 5)),
    "alone in its layer": Shape(20, 20, 5, 20, (8,), has_peer=False),
}


def records(shape: Shape, ids: Iterable[int]) -> NeuronRecords:
    """A neuron that fires on imports. Every record is another excerpt."""
    rng, ids = np.random.default_rng(shape.top), iter(ids)

    def record(place: int, *, fires: bool) -> ActivationRecord:
        length = shape.lengths[place % len(shape.lengths)]
        tokens = rng.integers(0, len(WORDS), size=length).astype(np.int32)
        tokens[tokens == IMPORT] = 0
        tokens[-1] = IMPORT
        activations = np.where(tokens == IMPORT, MAXIMUM if fires else 0.5, 0.0).astype(np.float32)
        return ActivationRecord(next(ids), tokens, activations)

    def sample(n: int, *, fires: bool) -> tuple[ActivationRecord, ...]:
        return tuple(record(place, fires=fires) for place in range(n))

    bands = [kind for kind in SampleKind if kind.value.startswith("band_")]
    samples = {
        SampleKind.TOP: sample(shape.top, fires=True),
        SampleKind.RANDOM: sample(shape.random, fires=False),
        **{kind: sample(shape.bands, fires=False) for kind in bands},
    }
    if shape.lookalikes is not None:
        samples[SampleKind.HARD_NEGATIVE] = sample(shape.lookalikes, fires=False)
    return NeuronRecords(samples, MAXIMUM)


def neuron(shape: Shape) -> NeuronTask:
    ids = count(1)
    own, other = records(shape, ids), records(shape, ids)
    peer = other if shape.has_peer else None
    near = tuple(records(shape, ids) for _ in range(3)) if shape.has_peer else ()
    return NeuronTask(1, "tiny", 0, 0, own, VOCABULARY, peer, seed=0, neighbours=near)


def made_and_estimated(
    definition: MethodDefinition, task: NeuronTask, write: Write, **said: str
) -> tuple[Memory, Calls]:
    """The calls of a run, and those of the catalogue."""
    provider, memory = remembered(answering(write, **said))
    subject = FakeSubject(VOCABULARY, {"import": MAXIMUM}, direction_of_the_call() if write is not same else one_way)
    method = build_method(definition, Services(provider=provider, subject=subject))
    run_method(method, task, lambda _stage, _share: None)
    full = with_lookalikes(method, task)
    return memory, calls_of(steps_of(definition), full.records, full.peer, full.neighbours)


def one_way(_word: str) -> tuple[float, float]:
    """One group of excerpts."""
    return 1.0, 0.0


def direction_of_the_call() -> Callable[[str], tuple[float, float]]:
    """Excerpts by turns in one of two groups."""
    turns = count()
    return lambda _word: (1.0, 0.0) if next(turns) % 2 else (0.0, 1.0)


def same(_request: object) -> str:
    return '" import"'


def another_each_time() -> Write:
    numbers = count()
    return lambda _request: f'" import", {next(numbers)}'


Wrapped = tuple[str, Mapping[str, object]]
"""An explainer with its parameters."""
PLAIN: list[Wrapped] = [(name, {}) for name, spec in EXPLAINERS.items() if spec.wraps is None]
WRAPPED: list[Wrapped] = [
    *(("best_of_n", {"n": 3, "explainer": inner}) for inner in EXPLAINERS if inner != "best_of_n"),
    *(("revise", {"explainer": inner}) for inner in EXPLAINERS if inner != "revise"),
    *(("per_meaning", {"explainer": name}) for name, spec in EXPLAINERS.items() if spec.is_prompted),
    ("best_of_n", {"n": 2, "explainer": "best_of_n", "explainer_parameters": {"n": 3}}),
    ("best_of_n", {"n": 2, "explainer": "revise", "explainer_parameters": {"explainer": "per_meaning"}}),
]


def method(explainer: Wrapped, simulator: str, **rest: object) -> MethodDefinition:
    name, parameters = explainer
    scorers = ("correlation",)
    return MethodDefinition(name, 1, name, name, simulator, scorers, "fake", {"explainer": parameters, **rest})


def label(definition: MethodDefinition) -> str:
    inner = definition.parameters.get("explainer", {}).get("explainer", "")
    return f"{definition.name}-{inner}-{definition.simulator}-{definition.parameters.get('calibration', '')}"


def check(definition: MethodDefinition, shape: Shape) -> None:
    """Whatever the language model writes: always the same, or something else each time that needs correction."""
    task = neuron(shape)
    for write, fires in ((same, "cats import tea"), (another_each_time(), "cats drink tea")):
        memory, estimated = made_and_estimated(definition, task, write, fires=fires)
        assert estimated.n.least <= len(memory.calls) <= estimated.n.most, (estimated.n, len(memory.calls))


@pytest.mark.parametrize("shape", SHAPES.values(), ids=list(SHAPES))
@pytest.mark.parametrize("definition", BUILTIN_METHODS, ids=label)
def test_every_built_in_method_makes_the_calls_that_were_estimated(definition: MethodDefinition, shape: Shape) -> None:
    check(definition, shape)


@pytest.mark.parametrize("shape", [SHAPES["collected"], SHAPES["hardly any"]], ids=["collected", "hardly any"])
@pytest.mark.parametrize("simulator", ["structured", "token_by_token"])
@pytest.mark.parametrize("explainer", WRAPPED, ids=lambda e: f"{e[0]}-{e[1]['explainer']}")
def test_an_explainer_around_any_other_makes_the_calls_that_were_estimated(
    explainer: Wrapped, simulator: str, shape: Shape
) -> None:
    check(method(explainer, simulator, calibration="linear"), shape)
    check(method(explainer, simulator, baselines=[]), shape)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=list(SHAPES))
@pytest.mark.parametrize("scorer", SCORERS)
def test_every_scorer_makes_the_calls_that_were_estimated(scorer: str, shape: Shape) -> None:
    check(replace(method(("best_of_n", {"n": 2}), "structured"), scorers=(scorer,)), shape)


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize("explainer", PLAIN, ids=lambda e: e[0])
def test_where_no_reply_decides_the_number_of_calls_is_exact(explainer: Wrapped, simulator: str) -> None:
    for calibration in ("none", *CALIBRATIONS):
        definition = method(explainer, simulator, calibration=calibration)
        memory, estimated = made_and_estimated(definition, neuron(SHAPES["imported"]), same)
        assert estimated.n.is_exact
        assert len(memory.calls) == estimated.n.expected


@pytest.mark.parametrize("definition", LANGUAGE_MODEL_METHODS, ids=label)
def test_what_is_expected_is_near_what_a_run_needs(definition: MethodDefinition) -> None:
    task = neuron(replace(SHAPES["collected"], lengths=(64,)))
    memory, estimated = made_and_estimated(definition, task, another_each_time(), fires="cats drink tea")
    assert len(memory.calls) == pytest.approx(estimated.n.expected, rel=0.25)
    assert memory.tokens_in == pytest.approx(estimated.tokens_in, rel=0.35)
    assert memory.tokens_out == pytest.approx(estimated.tokens_out, rel=0.5)


def test_without_a_scorer_that_looks_at_simulations_nothing_is_simulated() -> None:
    definition = replace(method(("highlighted", {}), "structured", calibration="linear"), scorers=("detection",))
    memory, estimated = made_and_estimated(definition, neuron(SHAPES["collected"]), same)
    assert not [call for call in memory.calls if call.request.step.startswith("simulate")]
    assert len(memory.calls) == estimated.n.expected == 1 + 2 * 3


def test_a_scorer_that_asks_about_the_neuron_asks_once_for_all_texts() -> None:
    definition = replace(method(("best_of_n", {"n": 3}), "lexical"), scorers=("intruder",))
    memory, estimated = made_and_estimated(definition, neuron(SHAPES["collected"]), another_each_time())
    assert len(memory.calls) == estimated.n.expected == 3 + 5


def test_an_unusable_reply_is_asked_for_again_within_a_bound() -> None:
    definition = method(("highlighted", {}), "structured", calibration="linear")
    provider, memory = remembered(FakeProvider(lambda _request: "words", capabilities=[Capability.CHAT]))
    built = build_method(definition, Services(provider=provider))
    with pytest.raises(MethodError, match="no usable explanation"):
        run_method(built, neuron(SHAPES["collected"]), lambda _stage, _share: None)
    assert len(memory.calls) == ATTEMPTS


def test_what_was_simulated_to_choose_is_not_paid_for_again() -> None:
    best: Wrapped = ("best_of_n", {"n": 3})
    task = neuron(SHAPES["collected"])
    plain, calibrated = (
        made_and_estimated(method(best, "structured", calibration=c), task, another_each_time())[0]
        for c in ("none", "linear")
    )
    chosen_on = 10
    calibrated_on = len(task.calibration)
    assert len(calibrated.calls) - len(plain.calls) == 3 * (calibrated_on - chosen_on)
