from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from app.domain.activations import ActivationRecord, NeuronRecords, SampleKind
from app.domain.arrays import Int32s
from app.domain.results import ScoreResult, SimulatedExcerpt
from app.domain.splits import Split
from app.domain.steps.scored_records import choices
from app.domain.tokens import Vocabulary
from worker.lexical.parser import executable
from worker.method.contracts import CannotSimulate, NeuronTask, Services, Simulator
from worker.scorers.neighbours import NeighboursScorer
from worker.simulators.lexical import LexicalSimulator

VOCABULARY = Vocabulary("words", tuple(f" {word}".encode() for word in ("the", "cat", "dog", "fox", "owl", "hen")))
CAT, DOG, FOX, OWL = range(1, 5)


def neuron(word: int, *, n: int = 8, first: int = 0) -> NeuronRecords:
    """It fires on one word; the text of every excerpt is another, and each is held out for scoring."""
    rows = []
    for number in range(n):
        tokens = np.random.default_rng(first + number).permutation([0] * (number + 3) + [word]).astype(np.int32)
        activations = np.where(tokens == word, 4.0, 0.0).astype(np.float32)
        rows.append(ActivationRecord(first + number, tokens, activations))
    return NeuronRecords({SampleKind.TOP: tuple(rows)}, 4.0, given_splits={SampleKind.TOP: (Split.VALIDATION,) * n})


def task(*neighbours: NeuronRecords) -> NeuronTask:
    return NeuronTask(1, "tiny", 0, 0, neuron(CAT), VOCABULARY, None, seed=0, neighbours=neighbours)


THREE = (neuron(DOG, first=100), neuron(FOX, first=200), neuron(OWL, first=300))


def score(text: str, told: NeuronTask, simulator: Simulator | None = None) -> ScoreResult:
    scorer = NeighboursScorer.build({}, Services(simulator=simulator or LexicalSimulator()))
    (result,) = scorer.score_text(text, told, ())
    return result


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('fires on " cat"', 1.0),
        ('fires on " dog"', 0.0),
        ('fires on " owl" and " cat"', 0.5),
        ('fires on " cat", " dog", " fox" and " owl"', 0.25),
        ('fires on " hen"', 0.25),
        ('fires on " cat", weakly on " dog"', 1.0),
        ('weakly on " cat", strongly on " dog"', 0.0),
    ],
)
def test_the_score_is_how_often_the_own_excerpt_is_chosen(text: str, value: float) -> None:
    result = score(text, task(*THREE))
    assert (result.scorer, result.sample, result.chance) == ("neighbours", "top", 0.25)
    assert result.value == pytest.approx(value)
    assert (result.n_valid, result.n_failed) == (5, 0)
    assert result.interval is not None
    assert result.interval[0] < result.interval[1]


def test_a_layer_without_other_neurons_has_no_score() -> None:
    result = score('fires on " cat"', task())
    assert result.value is None
    assert result.undefined_reason == "no neuron that is like it has excerpts of its own"
    assert result.chance is None


def test_a_neighbour_on_the_same_excerpts_leaves_one_less_to_choose_from() -> None:
    result = score('fires on " cat", " dog" and " fox"', task(neuron(OWL), *THREE[:2]))
    assert result.value == pytest.approx(1 / 3)
    assert result.chance == pytest.approx(1 / 3)
    assert score('fires on " cat"', task(neuron(OWL))).value is None


def test_an_excerpt_of_the_neuron_itself_is_no_neighbours() -> None:
    found = choices(neuron(CAT), (neuron(DOG, first=4), neuron(FOX, first=100)))
    assert len(found) == 5
    shown = {record.excerpt_id for choice in found for record in choice.others}
    assert shown == {8, 9, 10, 11, *range(100, 105)}
    assert [choice.own.excerpt_id for choice in found] == [0, 1, 2, 3, 4]


def test_a_text_that_cannot_be_read_says_why() -> None:
    result = score("words about the sea", task(*THREE))
    assert result.value is None
    assert not executable("words about the sea")
    assert result.n_failed == 5


@dataclass
class Failing:
    """A simulator that fails on some excerpts and expects most on the others where they have a cat."""

    failing: frozenset[int]
    name: str = "failing"
    version: int = 1

    def simulate(
        self, text: str, excerpts: Sequence[tuple[int, Int32s]], vocabulary: Vocabulary
    ) -> tuple[SimulatedExcerpt, ...]:
        """Expect 10 on the token " cat"."""
        if text == "nothing":
            raise CannotSimulate("there is nothing to read")
        return tuple(
            SimulatedExcerpt(i, len(ids), None, "cut off")
            if i in self.failing
            else SimulatedExcerpt(i, len(ids), (10 * (ids == CAT)).astype(np.float32))
            for i, ids in excerpts
        )


def test_a_choice_with_a_failed_simulation_is_missing() -> None:
    result = score("cats", task(*THREE), Failing(frozenset({0, 101})))
    assert (result.value, result.n_valid, result.n_failed) == (1.0, 3, 2)
    everything = score("cats", task(*THREE), Failing(frozenset(range(5))))
    assert (everything.value, everything.undefined_reason) == (None, "no choice could be simulated whole: cut off")
    assert score("nothing", task(*THREE), Failing(frozenset())).undefined_reason == "there is nothing to read"
