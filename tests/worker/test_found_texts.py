from collections.abc import Mapping

import numpy as np
import pytest

from app.domain.activations import SampleKind
from app.domain.arrays import Int32s
from app.domain.results import ScoreResult, SimulatedExcerpt
from app.domain.tokens import Vocabulary
from app.errors import MethodError
from tests.worker.live_fakes import FakeSubject, WordSimulator
from tests.worker.tasks import task
from worker.method.contracts import NeuronTask, Services
from worker.scorers.found_texts import FoundTextsScorer, holding, precision

IMPORT = (("import", 8.0), (" tea", 0.0), (" os", 0.0), (" cats", 0.0), (" drink", 0.0), (" important", 0.0))


@pytest.fixture
def told() -> NeuronTask:
    """Fires on imports."""
    return task({SampleKind.TOP: [IMPORT] * 20}, maximum=8.0)


def ids(told: NeuronTask, *words: str) -> Int32s:
    places = {token.decode().strip(): i for i, token in enumerate(told.vocabulary.tokens)}
    return np.array([places[word] for word in words], dtype=np.int32)


def scores(
    told: NeuronTask, text: str, corpus: list[Int32s], strengths: Mapping[str, float] | None = None
) -> dict[str, ScoreResult]:
    subject = FakeSubject(told.vocabulary, strengths or {"import": 8.0})
    subject.corpus = corpus
    scorer = FoundTextsScorer.build({}, Services(simulator=WordSimulator(), subject=subject))
    return {result.scorer: result for result in scorer.score_text(text, told, ())}


def test_precision_is_measured_where_the_text_finds_its_own_words(told: NeuronTask) -> None:
    corpus = [ids(told, "import", "os"), ids(told, "tea", "cats"), ids(told, "tea", "tea"), ids(told, "os", "cats")] * 3
    found = scores(told, "import tea", corpus)
    # In nine of twelve excerpts; of 3 imports and 9 teas that are claimed the neuron fires on the imports.
    assert found["found_texts_frequency"].value == pytest.approx(9 / 12)
    assert found["found_texts_frequency"].n_valid == 12
    result = found["found_texts"]
    assert (result.sample, result.n_valid, result.n_failed) == ("found", 9, 0)
    assert result.value == pytest.approx(3 / 12)
    low, high = result.interval or (1, 0)
    assert 0 < low < 3 / 12 < high < 1


def test_a_text_that_claims_only_what_is_true_has_an_interval_below_one(told: NeuronTask) -> None:
    found = scores(told, "import", [ids(told, "import", "os"), ids(told, "tea", "cats")] * 5)
    assert found["found_texts"].value == 1.0
    assert (found["found_texts"].interval or (1, 1))[0] < 0.6
    wrong = scores(told, "tea", [ids(told, "import", "os"), ids(told, "tea", "cats")] * 5)
    assert wrong["found_texts"].value == 0.0
    assert (wrong["found_texts"].interval or (0, 0))[1] > 0.4


@pytest.mark.parametrize(
    ("text", "corpus", "reason"),
    [
        ("it fires on every token", ["import"], "the text names nothing that could be searched"),
        ("import", [], "the text of the corpus is not kept on the worker's machine"),
        ("import", ["tea"], "none of 1 random excerpts holds a word of the text"),
        ("imp", ["import"], "nothing is claimed on the excerpts that the text finds"),
    ],
)
def test_what_cannot_be_measured_says_why(told: NeuronTask, text: str, corpus: list[str], reason: str) -> None:
    result = scores(told, text, [ids(told, word) for word in corpus])["found_texts"]
    assert result.value is None
    assert result.undefined_reason == reason


def test_words_are_found_by_their_beginnings_in_any_case() -> None:
    vocabulary = Vocabulary("words", (b" cats", b" Important", b" tea", b"(", b" re", b"import"))
    corpus = [np.array(row, dtype=np.int32) for row in ([0, 1], [2, 2], [0, 3], [4, 5], [2, 5])]
    assert holding(corpus, ["import"], vocabulary).tolist() == [True, False, False, False, False]
    assert holding(corpus, ["mport"], vocabulary).tolist() == [False] * 5
    assert holding(corpus, ["(", "reim"], vocabulary).tolist() == [False, False, True, True, False]


def test_failed_simulations_are_left_out() -> None:
    real = [np.array([4.0, 0.0], dtype=np.float32)] * 2
    failed = SimulatedExcerpt(1, 2, None, "cut off")
    right = SimulatedExcerpt(2, 2, np.array([10.0, 0.0], dtype=np.float32))
    assert precision(real, [failed, right], 3.0, seed=0).value == 1.0
    assert precision(real, [failed, failed], 3.0, seed=0).undefined_reason == "no excerpt could be simulated: cut off"


def test_excerpts_on_which_nothing_is_claimed_do_not_narrow_the_interval() -> None:
    real = [np.array([4.0, 0.0], dtype=np.float32)] * 3
    shown = [SimulatedExcerpt(i, 2, np.array(row, dtype=np.float32)) for i, row in enumerate([(9, 9), (9, 0), (9, 9)])]
    silent = [SimulatedExcerpt(3 + i, 2, np.zeros(2, dtype=np.float32)) for i in range(7)]
    alone = precision(real, shown, 3.0, seed=0)
    assert alone.value == pytest.approx(3 / 5)
    assert precision([*real, *[np.zeros(2, dtype=np.float32)] * 7], [*shown, *silent], 3.0, seed=0) == alone
    one = precision(real, [shown[0], silent[0], silent[1]], 3.0, seed=0).interval or (1, 0)
    assert one[0] < 0.5 < one[1]


def test_it_needs_the_subject_of_the_neuron(told: NeuronTask) -> None:
    with pytest.raises(MethodError, match="has not loaded it"):
        FoundTextsScorer.build({}, Services(simulator=WordSimulator()))
