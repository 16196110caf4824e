import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from app.domain.activations import SampleKind
from app.domain.results import ScoreResult
from app.errors import MethodError
from tests.fake_provider import FakeProvider
from tests.worker.live_fakes import FakeSubject, WordSimulator
from tests.worker.raters import asked, excerpts_of
from tests.worker.tasks import task, words
from worker.method.contracts import NeuronTask, Services
from worker.scorers.intruder import IntruderScorer, puzzles
from worker.scorers.written import BoundaryScorer, OwnTextsScorer, WrittenScorer, WrittenTextsScorer

PROMPTS = Path(__file__).parent / "prompts"
IMPORT = (("import", 8.0), (" tea", 0.0), (" os", 0.0))
SILENT = ("cats drink", "tea os", "drink cats tea")
SENTENCES = {"fires": ["import tea", "os import"], "silent": ["tea cats", "cats drink"]}


def neuron(level: float = 8.0) -> NeuronTask:
    """Fires on imports; random excerpts are silent."""
    return task(
        {SampleKind.TOP: [IMPORT] * 20, SampleKind.RANDOM: [words(SILENT[i % 3]) for i in range(15)]}, maximum=level
    )


def scores(
    scorer: type[WrittenScorer],
    sentences: Mapping[str, list[str]] | str = SENTENCES,
    strengths: Mapping[str, float] | None = None,
    text: str = "imports",
) -> dict[str, ScoreResult]:
    told = neuron()
    reply = sentences if isinstance(sentences, str) else json.dumps(sentences)
    provider = FakeProvider(lambda _request: reply)
    subject = FakeSubject(told.vocabulary, {"import": 8.0} if strengths is None else strengths)
    services = Services(provider=provider, subject=subject, simulator=WordSimulator())
    built = scorer.build({"n_sentences": 2}, services)
    return {result.scorer: result for result in built.score_text(text, told, ())}


def test_a_text_whose_sentences_the_neuron_obeys_has_both_shares() -> None:
    found = scores(BoundaryScorer)
    assert {name: result.value for name, result in found.items()} == {
        "boundary": 1.0,
        "boundary_inside": 1.0,
        "boundary_outside": 1.0,
    }
    assert (found["boundary"].sample, found["boundary"].n_valid, found["boundary_inside"].n_valid) == ("written", 4, 2)
    low, high = found["boundary"].interval or (0, 0)
    assert (low < 0.7, high) == (True, 1.0)


def test_the_harmonic_mean_by_hand() -> None:
    # fires on one of two fitting sentences, silent on both others: 2 * 0.5 * 1 / 1.5
    found = scores(BoundaryScorer, {"fires": ["import", "tea"], "silent": ["tea cats", "cats"]})
    assert (found["boundary_inside"].value, found["boundary_outside"].value) == (0.5, 1.0)
    assert found["boundary"].value == pytest.approx(2 / 3)


def test_a_text_that_is_too_broad_fails_outside_and_one_that_is_wrong_inside() -> None:
    too_broad = scores(BoundaryScorer, strengths={"import": 8.0, "tea": 8.0, "cats": 8.0})
    assert (too_broad["boundary_inside"].value, too_broad["boundary_outside"].value) == (1.0, 0.0)
    assert too_broad["boundary"].value == 0.0
    assert scores(BoundaryScorer, strengths={"drink": 8.0})["boundary_inside"].value == 0.0


def test_own_texts_are_held_against_random_text() -> None:
    found = scores(OwnTextsScorer)["own_texts"]
    assert (found.value, found.chance, found.n_valid) == (1.0, 0.0, 7)  # two sentences, five random excerpts
    assert found.interval is not None
    assert found.interval[0] < 1.0
    below = scores(OwnTextsScorer, {"fires": ["os", "os"], "silent": ["os", "os"]}, {"os": -1.0})
    assert below["own_texts"].value == -1.0


def test_what_a_text_claims_about_sentences_written_for_it_by_hand() -> None:
    # Of "import tea", "os import", "tea cats", "cats drink" the text claims two imports and two teas.
    found = scores(WrittenTextsScorer, text="import tea")["written_texts"]
    assert (found.value, found.sample, found.n_valid, found.n_failed) == (0.5, "written", 4, 0)
    low, high = found.interval or (1, 0)
    assert 0 <= low < 0.5 < high <= 1
    assert scores(WrittenTextsScorer, text="import")["written_texts"].value == 1.0
    wrong = scores(WrittenTextsScorer, text="cats")["written_texts"]
    assert wrong.value == 0.0
    assert (wrong.interval or (0, 0))[1] > 0.4


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("whales", "nothing is claimed on the sentences"),
        ("??", "no sentence could be simulated: no word to read"),
    ],
)
def test_what_claims_nothing_on_written_sentences_says_so(text: str, reason: str) -> None:
    found = scores(WrittenTextsScorer, text=text)["written_texts"]
    assert (found.value, found.undefined_reason) == (None, reason)


def test_precision_on_written_sentences_needs_a_simulator() -> None:
    provider = FakeProvider(lambda _request: "no")
    with pytest.raises(MethodError, match="needs a simulator"):
        WrittenTextsScorer.build({}, Services(provider=provider, subject=FakeSubject(neuron().vocabulary, {})))


@pytest.mark.parametrize("scorer", [BoundaryScorer, OwnTextsScorer, WrittenTextsScorer])
def test_a_reply_without_sentences_is_a_failure_and_no_zero(scorer: type[WrittenScorer]) -> None:
    result = scores(scorer, "no")[scorer.name]
    assert (result.value, result.n_valid, result.n_failed) == (None, 0, 4)
    assert "no test sentences were written" in str(result.undefined_reason)


@pytest.mark.parametrize("scorer", [BoundaryScorer, OwnTextsScorer, WrittenTextsScorer])
def test_a_scorer_needs_a_language_model_and_the_subject(scorer: type[WrittenScorer]) -> None:
    with pytest.raises(MethodError, match="names no provider"):
        scorer.build({}, Services())
    with pytest.raises(MethodError, match="runs the subject"):
        scorer.build({}, Services(provider=FakeProvider(lambda _request: "no"), simulator=WordSimulator()))


def intruded(provider: FakeProvider, told: NeuronTask | None = None) -> ScoreResult:
    (result,) = IntruderScorer.build({}, Services(provider=provider)).score_text("any text", told or neuron(), ())
    return result


def finds_the_silent(excerpts: list[str]) -> int:
    return next(i for i, excerpt in enumerate(excerpts, 1) if "import" not in excerpt)


def test_who_sees_what_the_excerpts_share_finds_every_intruder() -> None:
    result = intruded(FakeProvider(lambda r: json.dumps({"odd": finds_the_silent(excerpts_of(r))})))
    assert (result.value, result.n_valid, result.n_failed, result.chance) == (1.0, 5, 0, 0.2)


def test_the_intruder_may_be_anywhere_and_the_text_is_not_shown() -> None:
    provider = FakeProvider(lambda _request: json.dumps({"odd": 1}))
    result = intruded(provider)
    assert len({puzzle.odd for puzzle in puzzles(neuron().records, 0)}) > 1
    assert result.value is not None
    assert result.value < 1
    assert not any("any text" in m.content for r in asked(provider) for m in r.messages)


@pytest.mark.parametrize("reply", ["no", '{"odd": 0}', '{"odd": 6}', '{"odd": true}', '{"odd": "2"}'])
def test_a_reply_that_names_no_excerpt_is_a_failure(reply: str) -> None:
    result = intruded(FakeProvider(lambda _request: reply))
    assert (result.value, result.n_valid, result.n_failed) == (None, 0, 5)


@pytest.mark.parametrize(
    ("n_top", "n_random", "reason"),
    [
        (20, 15, "the neuron fires in every random excerpt, so none is an intruder"),
        (2, 15, "the neuron has too few records to ask about"),
        (20, 0, "the neuron has too few records to ask about"),
    ],
)
def test_a_random_excerpt_that_the_neuron_fires_on_is_no_intruder(n_top: int, n_random: int, reason: str) -> None:
    told = task({SampleKind.TOP: [IMPORT] * n_top, SampleKind.RANDOM: [IMPORT] * n_random})
    result = intruded(FakeProvider(lambda _request: "never asked"), told)
    assert (result.value, result.n_valid, result.n_failed, result.undefined_reason) == (None, 0, 0, reason)


def test_the_whole_prompt_is_as_agreed() -> None:
    provider = FakeProvider(lambda _request: json.dumps({"odd": 1}))
    intruded(provider)
    first = asked(provider)[0]
    said = "".join(f"===== {m.role} =====\n{m.content}\n" for m in first.messages)
    assert said == (PROMPTS / "intruder.txt").read_text()
