"""Subjects as imports bring them: every fact that a public file may lack, alone and in company."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from sqlalchemy import select

from app.domain.activations import SampleKind, pack_activations
from app.domain.authors import AuthorKind
from app.domain.results import ExplanationResult, ScoreResult, SimulatedExcerpt, SimulationResult
from app.domain.samples import BANDS
from app.domain.splits import Split
from app.models import CollectedNeuron, Collection, Document, Excerpt, Neuron, Sample, Subject
from app.queries.explanations.standing import refresh_current
from app.queries.explanations.store import Author, store_explanation
from tests.factories import WORDS, Make

IMPORT = 4
"""The token that the neurons fire on."""
STATISTICS = (
    "mean", "variance", "skewness", "kurtosis", "min", "max", "firing_rate", "peak_quantiles", "histogram_counts",
    "histogram_edges",
)  # fmt: skip
TEXT = 'fires on " import"'


@dataclass(frozen=True, slots=True)
class Imported:
    """A subject whose neurons all lack the same facts. By default what public files do lack."""

    unknown: tuple[str, ...] = STATISTICS
    """Statistics that the neurons lack."""
    lengths: tuple[int, ...] = (16,) * 24
    """Of the excerpts of each sample."""
    kinds: tuple[SampleKind, ...] = (SampleKind.TOP, SampleKind.RANDOM)
    has_collection: bool = True
    has_document: bool = False
    collected: str = "absent"
    """What the collection says beside the samples: ``absent``, ``empty``."""
    layers: tuple[int, ...] = (0,)
    n_layers: int = 1
    explanation: str | None = TEXT
    scores: tuple[ScoreResult, ...] = (ScoreResult("correlation", "top_and_random", 0.4, 10, 0),)
    is_simulated: bool = True
    is_collected_again: bool = False
    """Whether a newer collection has other excerpts."""
    peaks: float = 4.0
    n_tokens: int = len(WORDS)
    """Different tokens of the excerpts; those beyond the vocabulary have no text."""
    says: tuple[str, ...] = field(default=())
    """Sentences of the neuron's page."""


UNKNOWN_VALUE = ScoreResult("correlation", "top_and_random", None, 0, 10, "no excerpt could be simulated")
COMPLETE = Imported(unknown=(), has_document=True, says=("maximum over 800 tokens",))
GAPS: dict[str, Imported] = {
    "nothing is missing": COMPLETE,
    "no statistics, no document": Imported(says=("the maximum over the corpus is not known", "unnamed document")),
    "no mean": replace(COMPLETE, unknown=("mean",)),
    "no maximum": replace(COMPLETE, unknown=("max",), says=("the highest of the activations shown",)),
    "half a histogram": replace(COMPLETE, unknown=("histogram_edges",)),
    "excerpts of 16 to 1,024 tokens": Imported(lengths=(16, 24, 64, 128, 256, 1024) * 4),
    "one excerpt": Imported(lengths=(16,)),
    "an excerpt of one token": Imported(lengths=(1,)),
    "no random excerpts": Imported(kinds=(SampleKind.TOP,)),
    "random excerpts alone": Imported(kinds=(SampleKind.RANDOM,)),
    "bands alone": Imported(kinds=BANDS),
    "no records": Imported(kinds=(), is_simulated=False, says=("No activations of this neuron are stored",)),
    "empty samples": Imported(lengths=(), is_simulated=False),
    "nothing above 0": Imported(peaks=0.0, says=("no record is above 0",)),
    "nothing above 0, and that is known": replace(
        COMPLETE, peaks=0.0, unknown=(), is_simulated=False, says=("This neuron is 0 everywhere",)
    ),
    "no collection": Imported(has_collection=False, kinds=(), is_simulated=False),
    "a collection that says nothing of the neuron": Imported(collected="empty"),
    "tokens beyond the vocabulary": replace(COMPLETE, n_tokens=len(WORDS) + 3),
    "no scores": Imported(scores=(), says=("not scored yet",)),
    "an undefined score": Imported(scores=(UNKNOWN_VALUE,), says=("no excerpt could be simulated",)),
    "no simulation": Imported(is_simulated=False),
    "no explanation": Imported(explanation=None, is_simulated=False, says=("This neuron has no explanation yet",)),
    "layers without neurons": Imported(layers=(1,), n_layers=4),
    "several collections": Imported(is_collected_again=True, says=("on an earlier collection",)),
}


@dataclass(frozen=True, slots=True)
class Rows:
    """What was stored."""

    subject: Subject
    neurons: tuple[Neuron, ...]
    """Two of each layer that has any."""
    explanations: tuple[int, ...]


def store_imported(make: Make, imported: Imported, *, slug: str = "tiny") -> Rows:
    """Write the rows as an import does: what is unknown is NULL or has no row."""
    subject = make.subject(slug, n_layers=imported.n_layers, neurons_per_layer=3)
    collection = make.session.get_one(Collection, subject.collection_id)
    statistics: dict[str, float | None] = dict.fromkeys(imported.unknown)
    if imported.peaks == 0:
        statistics = {"max": 0.0, "min": 0.0, **statistics}
    neurons = tuple(make.neuron(subject, layer, index, **statistics) for layer in imported.layers for index in range(2))
    explanations = []
    for number, neuron in enumerate(neurons):
        samples = _store_samples(make, subject, neuron, imported, seed=number)
        if imported.explanation is not None:
            explanations.append(_store_explanation(make, neuron, collection, imported, samples))
    if imported.is_collected_again:
        make.collection(subject)
        for number, neuron in enumerate(neurons):
            _store_samples(make, subject, neuron, imported, seed=100 + number)
    if not imported.has_collection:
        subject.collection_id = None
    make.session.flush()
    return Rows(subject, neurons, tuple(explanations))


def _store_samples(make: Make, subject: Subject, neuron: Neuron, imported: Imported, seed: int) -> list[Sample]:
    chance = random.Random(seed)
    assert subject.collection_id is not None
    if imported.collected == "empty":
        nothing: dict[str, list[int]] = {"token_ids": [], "token_means": [], "token_counts": []}
        make.session.add(CollectedNeuron(neuron_id=neuron.id, collection_id=subject.collection_id, **nothing))
    samples = []
    for kind in imported.kinds:
        texts = [[chance.randrange(imported.n_tokens) for _ in range(length)] for length in imported.lengths]
        if kind is not SampleKind.RANDOM:
            for tokens in texts:
                tokens[chance.randrange(len(tokens))] = IMPORT
        rows = [
            np.array([imported.peaks * chance.random() if t == IMPORT else 0.0 for t in tokens], dtype=np.float32)
            for tokens in texts
        ]
        sample = Sample(
            neuron_id=neuron.id,
            collection_id=subject.collection_id,
            kind=kind,
            excerpt_ids=[_excerpt(make, subject, imported, tokens).id for tokens in texts],
            activations=pack_activations(rows),
            peaks=[float(row.max()) for row in rows],
        )
        make.session.add(sample)
        samples.append(sample)
    make.session.flush()
    return samples


def _excerpt(make: Make, subject: Subject, imported: Imported, tokens: Sequence[int]) -> Excerpt:
    excerpt = make.excerpt(subject, tokens)
    if imported.has_document:
        document = select(Document.id).where(Document.corpus_id == excerpt.corpus_id).limit(1)
        excerpt.document_id = make.session.scalars(document).one()
    return excerpt


def _store_explanation(
    make: Make, neuron: Neuron, collection: Collection, imported: Imported, samples: Sequence[Sample]
) -> int:
    author = Author(AuthorKind.IMPORT, "published", collection_id=collection.id if imported.has_collection else None)
    simulations = tuple(
        SimulationResult(
            "published",
            SampleKind(sample.kind),
            Split.VALIDATION,
            tuple(
                SimulatedExcerpt(excerpt_id, length, np.full(length, 5.0, dtype=np.float32))
                for excerpt_id, length in zip(sample.excerpt_ids[:5], imported.lengths[:5], strict=True)
            ),
            unit=0.4,
        )
        for sample in samples
    )
    result = ExplanationResult(
        imported.explanation or "", simulations if imported.is_simulated else (), scores=imported.scores
    )
    explanation_id = store_explanation(make.session, neuron_id=neuron.id, result=result, author=author)
    refresh_current(make.session, neuron_id=neuron.id)
    make.session.refresh(neuron)
    return explanation_id
