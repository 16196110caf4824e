from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from app.domain.arrays import Float32s
from app.errors import SubjectError
from tests.worker.tiny_models import KINDS, save_tiny
from worker.method.live import LiveSubject
from worker.subjects.live import LiveModel
from worker.subjects.load import LoadOptions, load_subject
from worker.subjects.loaded import LoadedSubject

EXCERPT = np.array([5, 60, 7, 8, 9], dtype=np.int32)
LAYER, INDEX = 1, 3


@pytest.fixture(scope="module", params=KINDS)
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LoadedSubject:
    return load_subject(str(save_tiny(tmp_path_factory.mktemp("model"), request.param)), LoadOptions(device="cpu"))


@pytest.fixture
def live(loaded: LoadedSubject) -> LiveModel:
    return LiveModel(loaded, slug="tiny", context_length=8)


def test_it_offers_what_steps_ask_of_a_subject(live: LiveModel) -> None:
    assert isinstance(live, LiveSubject)


def test_activations_are_those_of_the_neuron_on_each_text_alone(live: LiveModel, loaded: LoadedSubject) -> None:
    first, second = live.activations(["the cat", "import os"], layer=LAYER, index=INDEX)
    (alone,) = live.activations(["import os"], layer=LAYER, index=INDEX)
    assert loaded.vocabulary.text(first.token_ids) == "the cat"
    assert second.activations.tolist() == alone.activations.tolist()
    assert (first.excerpt_id, second.excerpt_id) == (-1, -2)
    assert len(first.activations) == len(first.token_ids)


def test_long_texts_are_cut_to_the_context(live: LiveModel) -> None:
    (record,) = live.activations(["the cat sat on the mat " * 9], layer=0, index=0)
    assert len(record.token_ids) == len(record.activations) == 8


def test_unchanged_output_is_the_models_own(live: LiveModel, loaded: LoadedSubject) -> None:
    with torch.inference_mode():
        logits = loaded.model(torch.tensor([EXCERPT.tolist()])).logits[0]
    expected = torch.log_softmax(logits, -1).numpy()
    assert live.log_probabilities(EXCERPT, layer=LAYER, index=INDEX) == pytest.approx(expected, abs=1e-5)


def test_putting_back_the_neurons_own_activations_changes_nothing(live: LiveModel, loaded: LoadedSubject) -> None:
    text = loaded.vocabulary.text(EXCERPT)
    (record,) = live.activations([text], layer=LAYER, index=INDEX)
    own = live.log_probabilities(record.token_ids, layer=LAYER, index=INDEX)
    again = live.log_probabilities(record.token_ids, layer=LAYER, index=INDEX, activations=record.activations)
    assert again == pytest.approx(own, abs=1e-5)


def test_replacing_it_by_zeros_equals_removing_its_output_weights(live: LiveModel, loaded: LoadedSubject) -> None:
    zeros = np.zeros(len(EXCERPT), dtype=np.float32)
    replaced = live.log_probabilities(EXCERPT, layer=LAYER, index=INDEX, activations=zeros)
    weight = loaded.modules[LAYER].weight
    assert isinstance(weight, torch.Tensor)
    row = weight[:, INDEX] if isinstance(loaded.modules[LAYER], torch.nn.Linear) else weight[INDEX]
    kept = row.clone()
    row.zero_()
    without = live.log_probabilities(EXCERPT, layer=LAYER, index=INDEX)
    row.copy_(kept)
    assert replaced == pytest.approx(without, abs=1e-5)
    assert not np.allclose(live.log_probabilities(EXCERPT, layer=LAYER, index=INDEX), without, atol=1e-3)


def test_contexts_are_hidden_states_behind_the_layer(live: LiveModel, loaded: LoadedSubject) -> None:
    with torch.inference_mode():
        states = loaded.model(torch.tensor([EXCERPT.tolist()]), output_hidden_states=True).hidden_states
    found = live.contexts([EXCERPT, EXCERPT], [0, 3], layer=0)
    assert found == pytest.approx(states[1][0, [0, 3]].numpy(), abs=1e-5)


def test_a_subject_with_bos_is_run_with_it_and_answers_without(loaded: LoadedSubject) -> None:
    loaded.tokenizer.bos_token = "<end>"
    subject = replace(loaded, info=replace(loaded.info, bos_policy="prepend"))
    live = LiveModel(subject, slug="tiny", context_length=8)
    with_bos = torch.tensor([[subject.bos_id, *EXCERPT.tolist()]])
    with torch.inference_mode():
        output = loaded.model(with_bos, output_hidden_states=True)
    expected = torch.log_softmax(output.logits[0, 1:], -1).numpy()
    assert live.log_probabilities(EXCERPT, layer=0, index=0) == pytest.approx(expected, abs=1e-5)
    assert live.contexts([EXCERPT], [2], layer=0)[0] == pytest.approx(output.hidden_states[1][0, 3].numpy(), abs=1e-5)
    (record,) = live.activations(["the cat"], layer=0, index=0)
    assert len(record.activations) == len(record.token_ids)


def test_threads_that_share_it_do_not_see_each_others_replacements(live: LiveModel) -> None:
    values = [np.full(len(EXCERPT), 3.0 * i, dtype=np.float32) for i in range(8)]

    def output(replaced: Float32s) -> Float32s:
        return live.log_probabilities(EXCERPT, layer=LAYER, index=INDEX, activations=replaced)

    alone = [output(v) for v in values]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(output, values * 4))
    for place, found in enumerate(together):
        assert found == pytest.approx(alone[place % 8], abs=1e-5)


def test_numbers_that_are_not_finite_are_refused_and_never_count_as_silent(tmp_path: Path) -> None:
    subject = load_subject(str(save_tiny(tmp_path)), LoadOptions(device="cpu"))
    token = subject.encode([" import"])[0]
    with torch.no_grad():
        dict(subject.model.named_parameters())["model.embed_tokens.weight"][int(token[0])] = float("nan")
    live = LiveModel(subject, slug="tiny", context_length=8)
    sound = live.activations(["the cat"], layer=LAYER, index=INDEX)
    assert np.isfinite(sound[0].activations).all()
    asked: list[Callable[[], object]] = [
        lambda: live.activations([" import"], layer=LAYER, index=INDEX),
        lambda: live.excerpt_activations([token], layer=LAYER, index=INDEX),
        lambda: live.peaks(" import"),
        lambda: live.contexts([token], [0], layer=0),
        lambda: live.log_probabilities(token, layer=LAYER, index=INDEX),
    ]
    for ask in asked:
        with pytest.raises(SubjectError, match=r"not finite on this text\. The weights themselves are not: 1 of them"):
            ask()


def test_what_is_not_there_is_refused(live: LiveModel) -> None:
    for layer, index in ((2, 0), (0, 4096), (-1, 0)):
        with pytest.raises(SubjectError, match="has no neuron"):
            live.activations(["the cat"], layer=layer, index=index)
    with pytest.raises(SubjectError, match="no token"):
        live.activations([""], layer=0, index=0)
    with pytest.raises(SubjectError, match="1 activations for 5 tokens"):
        live.log_probabilities(EXCERPT, layer=0, index=0, activations=np.zeros(1, dtype=np.float32))


@dataclass
class Corpus:
    """Excerpts of five tokens each, by ordinal."""

    rows: np.ndarray

    @property
    def n_excerpts(self) -> int:
        """How many there are."""
        return len(self.rows)

    def tokens(self, ordinals: np.ndarray) -> np.ndarray:
        """Token ids [len(ordinals), 5]."""
        return np.asarray(self.rows[ordinals])


def test_excerpts_of_the_corpus_are_drawn_by_seed_and_run_each_alone(loaded: LoadedSubject) -> None:
    corpus = Corpus(np.arange(100, dtype=np.int32).reshape(20, 5) + 5)
    live = LiveModel(loaded, slug="tiny", context_length=8, corpus=corpus)
    drawn = live.corpus_excerpts(6, seed=1)
    assert len({tuple(row) for row in drawn}) == 6
    assert [row.tolist() for row in live.corpus_excerpts(6, seed=1)] == [row.tolist() for row in drawn]
    assert len(live.corpus_excerpts(99, seed=2)) == 20
    first, second = live.excerpt_activations(drawn[:2], layer=LAYER, index=INDEX)
    (alone,) = live.excerpt_activations(drawn[1:2], layer=LAYER, index=INDEX)
    assert (len(first), second.tolist()) == (5, alone.tolist())


def test_a_corpus_that_is_not_kept_has_no_excerpts(live: LiveModel) -> None:
    assert live.corpus_excerpts(6, seed=1) == ()
