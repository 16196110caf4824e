import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from app.domain.activations import SampleKind, Split
from app.domain.results import ScoreResult
from app.errors import MethodError
from tests.fake_provider import FakeProvider
from tests.worker.raters import asked, by_word, excerpts_of
from tests.worker.tasks import Excerpt, task
from worker.method.contracts import NeuronTask, Services
from worker.scorers.fuzzing import FuzzingScorer, fuzzed, misplaced

PROMPTS = Path(__file__).parent / "prompts"
IMPORT: Excerpt = (("from", 0.0), (" os", 0.0), (" import", 8.0), (" path", 1.0), ("\n", 0.0))


def neuron(*top: Excerpt) -> NeuronTask:
    return task({SampleKind.TOP: list(top) or [IMPORT] * 20})


def scores(told: NeuronTask, text: str, provider: FakeProvider | None = None) -> dict[str, ScoreResult]:
    results = FuzzingScorer(provider or FakeProvider(by_word)).score_text(text, told, ())
    return {r.scorer: r for r in results}


def test_a_text_that_names_the_marked_tokens_is_perfect() -> None:
    for result in scores(neuron(), "import").values():
        assert (result.sample, result.value, result.chance) == ("top", 1.0, 0.5)
        assert result.interval is not None
        assert 0.6 < result.interval[0] < 0.7
        assert (result.n_valid, result.n_failed) == (10, 0)


def test_a_text_about_the_excerpt_but_not_the_tokens_is_chance_or_worse() -> None:
    assert scores(neuron(), "nothing there")["fuzzing"].value == 0.5
    assert (scores(neuron(), "os")["fuzzing_auc"].value or 0.0) < 0.5


def test_the_two_showings_of_an_excerpt_are_never_in_one_request() -> None:
    provider = FakeProvider(by_word)
    numbered = [(("from", 0.0), (f" word{i}", 8.0), (" of", 0.0)) for i in range(20)]
    scores(neuron(*numbered), "word", provider)
    for request in asked(provider):
        plain = [re.sub("[⟦⟧]", "", e) for e in excerpts_of(request)]
        assert len(set(plain)) == len(plain) == 5


def test_excerpts_without_room_for_wrong_marks_are_not_asked_about() -> None:
    full: Excerpt = (("a", 8.0), ("b", 8.0), ("c", 0.0))
    result = scores(neuron(*[full] * 20), "a")["fuzzing"]
    assert (result.value, result.n_valid, result.n_failed) == (None, 0, 0)
    assert result.undefined_reason


def test_failed_requests_are_counted_apart() -> None:
    half = FakeProvider(lambda r: by_word(r) if r.step == "fuzz/0" else "no")
    result = scores(neuron(), "import", half)["fuzzing"]
    assert (result.n_valid, result.n_failed) == (5, 5)


def test_the_token_table_and_the_same_text_on_another_neuron_are_baselines() -> None:
    told = neuron()
    result = scores(replace(told, peer=told.records), "os")["fuzzing"]
    assert result.token_lookup_baseline == 1.0
    assert result.shuffled_baseline == result.value


def test_equal_seeds_give_equal_marks() -> None:
    records = neuron().records.of(SampleKind.TOP, Split.VALIDATION)
    first, again, other = (fuzzed(records, 8.0, seed) for seed in (0, 0, 5))
    marks = [[item.marks for group in groups for item in group] for groups in (first, again, other)]
    assert marks[0] == marks[1] != marks[2]


@given(st.lists(st.sampled_from(["marked", "silent", "between"]), min_size=1, max_size=20), st.integers(0, 99))
def test_wrong_marks_have_the_runs_of_the_right_ones_and_are_on_silent_tokens(kinds: list[str], seed: int) -> None:
    marks, silent = tuple(k == "marked" for k in kinds), tuple(k == "silent" for k in kinds)
    wrong = misplaced(marks, silent, np.random.default_rng(seed))
    assume(wrong is not None)
    assert wrong is not None
    assert all(s for w, s in zip(wrong, silent, strict=True) if w)
    assert sorted(map(len, re.findall("x+", drawn(wrong)))) == sorted(map(len, re.findall("x+", drawn(marks))))


def drawn(marks: tuple[bool, ...]) -> str:
    return "".join("x" if mark else "." for mark in marks)


def test_the_whole_prompt_is_as_agreed() -> None:
    provider = FakeProvider(by_word)
    scores(neuron(), "imports", provider)
    first = asked(provider)[0]
    assert (
        "".join(f"===== {m.role} =====\n{m.content}\n" for m in first.messages) == (PROMPTS / "fuzzing.txt").read_text()
    )


def test_it_needs_a_language_model() -> None:
    with pytest.raises(MethodError, match="names no provider"):
        FuzzingScorer.build({}, Services())
