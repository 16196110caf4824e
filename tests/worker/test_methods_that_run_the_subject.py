"""Revise, per meaning and ablation from the queue, with a collected tiny model that the worker loads itself."""

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select, update

from app.db import Sessions, transaction
from app.domain import sites as domain
from app.domain.activations import ActivationRecord
from app.domain.arrays import Float32s, Int32s
from app.models import CollectedNeuron, Explanation, Neuron, Run, Score, Subject
from tests.llm_server import Answer, Behaviour, Body, LlmServer, instance_of
from tests.worker.collecting import corpus_of, some_text
from tests.worker.llm_site import SETTINGS, Site, method_named
from tests.worker.tiny_models import save_tiny
from worker.collection.run import CollectOptions, collect
from worker.run.services import WorkerServices
from worker.run.subjects import SizedSubject
from worker.subjects.load import LoadOptions, load_subject


def plain(body: Body) -> Behaviour:
    """Every reply fits its schema; activations and ratings vary by position, sentences are letters."""
    schema = body["response_format"]["json_schema"]["schema"]
    wanted = schema["properties"]
    if "explanation" in wanted:
        return Answer(json.dumps({**instance_of(schema), "explanation": 'the letters "a" and "e"'}))
    if "fires" in wanted:
        return Answer(json.dumps({"fires": ["abc def"] * 6, "silent": ["ghi jkl"] * 6}))
    for name in ("activations", "ratings"):
        if name in wanted:
            return Answer(json.dumps({name: [i % 11 for i in range(wanted[name]["minItems"])]}))
    return Answer(json.dumps(instance_of(schema)))


@pytest.fixture(params=[None, "model.layers.{layer}.self_attn.o_proj"])
def site(request: pytest.FixtureRequest, fresh_sessions: Sessions, tmp_path: Path) -> Iterator[Site]:
    subject = load_subject(str(save_tiny(tmp_path / "model")), LoadOptions("cpu", "float32", module_path=request.param))
    options = CollectOptions("tiny", context_length=8)
    collect(fresh_sessions, subject, corpus_of("letters", some_text(120)), tmp_path / "collections", options)
    with LlmServer(brain=plain) as server:
        services = WorkerServices(SETTINGS.model_copy(update={"data_dir": tmp_path}), fresh_sessions)
        yield Site(fresh_sessions, services, server.url)
        services.close()


@pytest.mark.parametrize("name", ["revised", "per-meaning"])
def test_a_method_that_runs_the_subject_scores_by_ablation(site: Site, name: str) -> None:
    site.provider()
    with transaction(site.sessions) as session:
        subject_id = session.scalars(select(Subject.id)).one()
        neuron_id = session.scalars(select(Neuron.id).where(Neuron.max > 0).order_by(Neuron.id)).first()
    assert neuron_id is not None
    site.enqueue(subject_id, [neuron_id], method_named(name))
    assert site.loop().run_one()
    with transaction(site.sessions) as session:
        assert session.scalars(select(Run.error)).one() is None
        explanation = session.scalars(select(Explanation)).first()
        where = domain.Site.from_json(session.scalars(select(Subject.site)).one())
        layer = session.scalars(select(Neuron.layer).where(Neuron.id == neuron_id)).one()
        ablation = session.scalars(select(Score).where(Score.scorer == "ablation")).first()
        written = session.scalars(select(Score).where(Score.sample == "written")).first()
    assert explanation is not None
    assert ablation is not None
    assert ablation.value is not None
    assert ablation.value < 1
    assert (written is not None) == (name == "revised")
    assert ("revision" in explanation.provenance) == (name == "revised")
    assert explanation.provenance["site"] == {"kind": where.kind, "read": where.read_at(layer)}


def found_texts(site: Site) -> dict[str, Score]:
    """What a run of a method with ``found_texts`` stores for a neuron that fires."""
    site.provider()
    neuron = firing_neuron(site)
    finding = replace(method_named("highlighted-structured"), name="finding", scorers=("correlation", "found_texts"))
    site.enqueue(neuron.subject_id, [neuron.id], finding)
    assert site.loop().run_one()
    with transaction(site.sessions) as session:
        assert session.scalars(select(Run.error)).one() is None
        return {score.scorer: score for score in session.scalars(select(Score).where(Score.sample == "found"))}


def test_the_words_of_a_text_are_searched_in_the_kept_corpus_and_the_subject_is_run_there(
    site: Site, tmp_path: Path
) -> None:
    found = found_texts(site)
    subject = load_subject(str(tmp_path / "model"), LoadOptions("cpu", "float32"))
    documents = subject.encode([text for _, text in some_text(120)])
    texts = [subject.vocabulary.text(ids[i : i + 8]) for ids in documents for i in range(0, len(ids) - 7, 8)]
    frequency = found["found_texts_frequency"]
    assert frequency.n_valid == len(texts)
    # A letter in the middle of a word is not its beginning.
    n_found = sum(text[0] in "ae" for text in texts)
    assert frequency.value == pytest.approx(n_found / len(texts))
    precision = found["found_texts"]
    assert (precision.n_valid, precision.n_failed) == (min(10, n_found), 0)
    assert precision.value is not None
    assert precision.interval_low is not None


def test_without_the_kept_corpus_found_texts_are_undefined(site: Site, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "collections")
    score = found_texts(site)["found_texts"]
    assert (score.value, score.undefined_reason) == (None, "the text of the corpus is not kept on the worker's machine")


class Recording:
    """A loaded subject that remembers which constants replaced a neuron's activations."""

    def __init__(self, loaded: SizedSubject) -> None:
        self.loaded = loaded
        self.slug, self.n_bytes = loaded.slug, loaded.n_bytes
        self.constants: set[float] = set()

    def activations(self, texts: Sequence[str], *, layer: int, index: int) -> tuple[ActivationRecord, ...]:
        """The same interface as a loaded subject's."""
        return self.loaded.activations(texts, layer=layer, index=index)

    def peaks(self, text: str) -> tuple[Int32s, tuple[tuple[Float32s, Int32s], ...]]:
        raise NotImplementedError

    def contexts(self, excerpts: Sequence[Int32s], positions: Sequence[int], *, layer: int) -> Float32s:
        """The same interface as a loaded subject's."""
        return self.loaded.contexts(excerpts, positions, layer=layer)

    def corpus_excerpts(self, n: int, *, seed: int) -> Sequence[Int32s]:
        """The same interface as a loaded subject's."""
        return self.loaded.corpus_excerpts(n, seed=seed)

    def excerpt_activations(self, excerpts: Sequence[Int32s], *, layer: int, index: int) -> tuple[Float32s, ...]:
        """The same interface as a loaded subject's."""
        return self.loaded.excerpt_activations(excerpts, layer=layer, index=index)

    def log_probabilities(
        self, excerpt: Int32s, *, layer: int, index: int, activations: Float32s | None = None
    ) -> Float32s:
        """The same interface as a loaded subject's."""
        if activations is not None and np.ptp(activations) == 0:
            self.constants.add(float(activations[0]))
        return self.loaded.log_probabilities(excerpt, layer=layer, index=index, activations=activations)


class RecordingServices(WorkerServices):
    """What a worker holds, with its subject recorded."""

    recording: Recording | None = None

    def live_subject(self, slug: str) -> SizedSubject:
        """The loaded subject, always in the same recording."""
        if self.recording is None:
            self.recording = Recording(super().live_subject(slug))
        return self.recording


@pytest.fixture
def recorded(site: Site) -> Iterator[RecordingServices]:
    """The site's worker, recorded."""
    services = RecordingServices(SETTINGS, site.sessions)
    site.services = services
    yield services
    services.close()


def ablated(site: Site, neuron_id: int) -> Score:
    """The ablation score that a run stores for a neuron."""
    site.provider()
    with transaction(site.sessions) as session:
        subject_id = session.scalars(select(Subject.id)).one()
    ablating = replace(method_named("highlighted-structured"), name="ablating", scorers=("correlation", "ablation"))
    site.enqueue(subject_id, [neuron_id], ablating)
    assert site.loop().run_one()
    with transaction(site.sessions) as session:
        return session.scalars(select(Score).where(Score.scorer == "ablation")).one()


def firing_neuron(site: Site) -> Neuron:
    """The first neuron that fires."""
    with transaction(site.sessions) as session:
        return session.scalars(select(Neuron).where(Neuron.max > 0).order_by(Neuron.id).limit(1)).one()


def test_ablation_compares_with_the_mean_over_the_whole_corpus(site: Site, recorded: RecordingServices) -> None:
    neuron = firing_neuron(site)
    assert site.services.device == "cpu"
    score = ablated(site, neuron.id)
    assert site.services.device == "cpu"
    assert score.value is not None
    assert (score.simulator, score.n_failed) == ("structured+linear", 0)
    assert recorded.recording is not None
    assert neuron.mean is not None
    assert np.float32(neuron.mean) in recorded.recording.constants


def test_without_a_mean_over_the_corpus_ablation_is_undefined(site: Site, recorded: RecordingServices) -> None:
    neuron = firing_neuron(site)
    with transaction(site.sessions) as session:
        # As an import may leave it.
        session.execute(update(Neuron).where(Neuron.id == neuron.id).values(mean=None))
        session.execute(update(CollectedNeuron).where(CollectedNeuron.neuron_id == neuron.id).values(mean=None))
    score = ablated(site, neuron.id)
    assert (score.value, score.undefined_reason) == (None, "the neuron's mean over the corpus is not known")
