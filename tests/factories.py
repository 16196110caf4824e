"""Rows for tests, with sensible values for all that a test does not care about."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

import numpy as np
from sqlalchemy.orm import Session

from app.domain.activations import SampleKind, pack_activations
from app.domain.authors import AuthorKind
from app.domain.results import ExplanationResult, ScoreResult
from app.domain.sites import Site, SiteKind
from app.models import (
    Account,
    Batch,
    CollectedNeuron,
    Collection,
    Corpus,
    Document,
    Excerpt,
    Explanation,
    Method,
    Neuron,
    Run,
    Sample,
    Subject,
    Tokenizer,
    VocabularyToken,
)
from app.queries.explanations.standing import refresh_current
from app.queries.explanations.store import Author, store_explanation

Row = TypeVar("Row")

WORDS = (b" the", b" cat", b" sat", b" on", b" import", b"\n", b" quot", b"ed", b"(", b")", b"\xe2\x82", b"\xac")
"""A small vocabulary; the last two tokens together are one character."""


def texts(n: int, length: int, *, first: int = 0) -> list[list[int]]:
    """``n`` texts of ``length`` (below 8) token ids, no two alike; those from another ``first`` on are others."""
    numbers = range(first, first + n)
    return [[(number // len(WORDS) ** place) % len(WORDS) for place in range(length)] for number in numbers]


@dataclass(frozen=True)
class WholeCorpus:
    """Estimates for the whole corpus, as the scorer of that name makes them; intervals are .1 to both sides."""

    value: float | None
    precision: float | None = 0.8
    recall: float | None = 0.6
    margin: float | None = 0.1

    def scores(self, simulator: str) -> tuple[ScoreResult, ...]:
        numbers = {"": self.value, "_precision": self.precision, "_recall": self.recall, "_margin": self.margin}
        return tuple(_estimated(f"whole_corpus{name}", value, simulator) for name, value in numbers.items())


def _estimated(scorer: str, value: float | None, simulator: str) -> ScoreResult:
    interval = None if value is None else (value - 0.1, value + 0.1)
    reason = "nothing is claimed on any scored token" if value is None else None
    return ScoreResult(scorer, "corpus", value, 35, 0, reason, interval=interval, simulator=simulator)


class Make:
    """Adds rows and flushes, so that ids are known. Each method returns the row."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._numbers = itertools.count(1)

    def account(self, name: str = "alice", role: str = "administrator") -> Account:
        return self._add(Account(name=name, role=role))

    def tokenizer(self, tokens: Sequence[bytes] = WORDS) -> Tokenizer:
        tokenizer = self._add(Tokenizer(digest=f"tokenizer-{next(self._numbers)}", name="words"))
        self.session.add_all(
            VocabularyToken(tokenizer_id=tokenizer.id, token_id=i, bytes=b) for i, b in enumerate(tokens)
        )
        return tokenizer

    def subject(self, slug: str = "tiny", n_layers: int = 2, neurons_per_layer: int = 4) -> Subject:
        """A subject with a complete collection, without neurons."""
        tokenizer = self.tokenizer()
        corpus = self._add(Corpus(digest=f"corpus-{next(self._numbers)}", name="words", source="test"))
        self._add(Document(corpus_id=corpus.id, ordinal=0, name="document.txt", byte_offset=0))
        subject = self._add(
            Subject(
                slug=slug,
                name=slug.title(),
                source="test",
                architecture="GPT2LMHeadModel",
                site=Site(
                    SiteKind.MLP_POST_ACTIVATION, "transformer.h.{layer}.mlp.c_proj", (neurons_per_layer,) * n_layers
                ).as_json(),
                n_layers=n_layers,
                neurons_per_layer=neurons_per_layer,
                tokenizer_id=tokenizer.id,
                activation_function="gelu_new",
                dtype="float32",
                bos_policy="none",
            )
        )
        self.collection(subject, corpus)
        return subject

    def collection(self, subject: Subject, corpus: Corpus | None = None) -> Collection:
        """A complete collection, which becomes the one that pages show."""
        if corpus is None:
            corpus = self._add(Corpus(digest=f"corpus-{next(self._numbers)}", name="words", source="test"))
        collection = self._add(
            Collection(
                subject_id=subject.id,
                corpus_id=corpus.id,
                status="complete",
                context_length=8,
                seed=0,
                dtype="float32",
                device="cpu",
                code_version="test",
                tokens_planned=800,
                tokens_done=800,
                n_excerpts=100,
                finished_at=datetime.now(UTC),
            )
        )
        subject.collection_id = collection.id
        self.session.flush()
        return collection

    def neuron(self, subject: Subject, layer: int = 0, index: int = 0, **values: object) -> Neuron:
        """A neuron with statistics, without samples."""
        statistics: dict[str, object] = {
            "mean": 0.1,
            "variance": 0.2,
            "skewness": 1.0,
            "kurtosis": 3.0,
            "min": -0.2,
            "max": 4.0,
            "firing_rate": 0.05,
            "peak_quantiles": [0.5, 1.0, 2.0, 3.0, 3.9],
            "histogram_counts": [2] * 50,
            "histogram_edges": [float(x) for x in np.linspace(-0.2, 4.0, 51)],
        }
        return self._add(Neuron(subject_id=subject.id, layer=layer, index=index, **{**statistics, **values}))

    def sample(
        self,
        neuron: Neuron,
        subject: Subject,
        kind: SampleKind = SampleKind.TOP,
        rows: Sequence[Sequence[float]] = ((0.0, 4.0, 0.0, 1.0),),
        token_ids: Sequence[Sequence[int]] | None = None,
    ) -> Sample:
        """A sample of ``rows`` of activations, on excerpts of the same lengths."""
        tokens = token_ids or [[i % len(WORDS) for i in range(len(row))] for row in rows]
        excerpts = [self.excerpt(subject, ids) for ids in tokens]
        return self._add(
            Sample(
                neuron_id=neuron.id,
                collection_id=subject.collection_id,
                kind=kind,
                excerpt_ids=[e.id for e in excerpts],
                activations=pack_activations([np.array(row, dtype=np.float32) for row in rows]),
                peaks=[max(row) for row in rows],
            )
        )

    def collected(self, neuron: Neuron, subject: Subject, **values: object) -> CollectedNeuron:
        """What the subject's collection found about a neuron: 800 tokens, of which three are listed."""
        found: dict[str, object] = {
            "mean": 0.1,
            "variance": 0.2,
            "max": 4.0,
            "n_alike": 0,
            "band_edges": [0.5, 1.0, 2.0, 3.0],
            "stratum_sizes": [1, 60, 30, 8, 1, 0],
            "token_ids": [4, 1, 2],
            "token_means": [3.0, 0.5, 0.25],
            "token_counts": [10, 40, 30],
        }
        return self._add(
            CollectedNeuron(neuron_id=neuron.id, collection_id=subject.collection_id, **{**found, **values})
        )

    def excerpt(self, subject: Subject, token_ids: Sequence[int]) -> Excerpt:
        collection = self.session.get_one(Collection, subject.collection_id)
        return self._add(
            Excerpt(
                corpus_id=collection.corpus_id,
                tokenizer_id=subject.tokenizer_id,
                position=next(self._numbers) * 64,
                length=len(token_ids),
                token_ids=list(token_ids),
            )
        )

    def method(self, name: str = "lexical", version: int = 1) -> Method:
        return self._add(
            Method(
                name=name,
                version=version,
                label=name.title(),
                explainer="lexical",
                simulator="lexical",
                scorers=["correlation"],
            )
        )

    def explained(
        self,
        neuron: Neuron,
        text: str = 'fires on " import"',
        value: float | None = 0.5,
        *,
        simulator: str = "lexical",
        method: Method | None = None,
        interval: tuple[float, float] | None = None,
        whole: WholeCorpus | None = None,
    ) -> int:
        """A scored explanation, by a run of a method or by a person, stored as production stores it; its id."""
        reason = None if value is not None else "the expected activations are the same on every token"
        score = ScoreResult(
            "correlation", "top_and_random", value, 10, 0, reason, interval=interval, simulator=simulator
        )
        author = Author(AuthorKind.PERSON, "alice") if method is None else self.run_of(neuron, method)
        result = ExplanationResult(text, scores=(score, *(() if whole is None else whole.scores(simulator))))
        explanation_id = store_explanation(self.session, neuron_id=neuron.id, result=result, author=author)
        refresh_current(self.session, neuron_id=neuron.id)
        self.session.refresh(neuron)
        return explanation_id

    def run_of(self, neuron: Neuron, method: Method) -> Author:
        """The author that a run that has succeeded is."""
        subject = self.session.get_one(Subject, neuron.subject_id)
        batch = self._add(Batch(subject_id=subject.id, method_id=method.id, n_runs=1))
        run = self._add(Run(batch_id=batch.id, neuron_id=neuron.id, method_id=method.id, status="succeeded"))
        return Author(AuthorKind.METHOD, method.name, method.id, run.id, collection_id=subject.collection_id)

    def explanation(self, neuron: Neuron, text: str = 'fires on " import"', **values: object) -> Explanation:
        author: dict[str, object] = {"author_kind": "person", "author": "alice"}
        return self._add(Explanation(neuron_id=neuron.id, text=text, **{**author, **values}))

    def _add(self, row: Row) -> Row:
        self.session.add(row)
        self.session.flush()
        return row
