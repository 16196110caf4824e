"""A report's facts about the model, its corpus, how explanations were made and scored, and how stable they are."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import and_, func, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from app.domain.review import ItemSource, ItemState
from app.domain.sites import Site
from app.domain.standing import FIRST_CANDIDATE, SCORE_2023
from app.domain.work import WorkStatus
from app.models import (
    CampaignVersion,
    Collection,
    Corpus,
    Document,
    Explanation,
    LlmCall,
    Neuron,
    ReviewItem,
    Run,
    Score,
    Subject,
    Tokenizer,
)


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """The audited model and its site."""

    slug: str
    name: str
    source: str
    revision: str | None
    weights_digest: str | None
    architecture: str
    site: str
    n_layers: int
    neurons_per_layer: int
    activation_function: str | None
    dtype: str
    bos_policy: str
    tokenizer: str
    tokenizer_digest: str


@dataclass(frozen=True, slots=True)
class CorpusFacts:
    """The corpus of the explanations."""

    name: str
    source: str
    digest: str
    n_documents: int
    n_tokens: int
    n_excerpts: int
    n_copies: int
    context_length: int
    seed: int
    code_version: str
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MethodFacts:
    """One way in which audited explanations were made. ``method_id`` is None for explanations by people and imports."""

    method_id: int | None
    author: str
    n_explanations: int
    n_succeeded: int
    n_failed: int
    price: float
    price_estimated: float
    """The part of ``price`` that is estimated by this program."""
    returned_models: tuple[str, ...]

    @property
    def share_failed(self) -> float | None:
        """The share of the method's runs on this subject that failed; None without runs."""
        n = self.n_succeeded + self.n_failed
        return self.n_failed / n if n else None


@dataclass(frozen=True, slots=True)
class ScorerFacts:
    """One scorer of the audited explanations: its scores, and those of its controls."""

    scorer: str
    sample: str
    simulator: str | None
    n: int
    n_undefined: int
    mean: float | None
    shuffled_baseline: float | None
    """Mean score of other neurons' texts on the same records: the swapped control."""
    token_table_baseline: float | None
    null_twin_mean: float | None
    """Mean of the same score on the null twin; None if the subject has none."""
    null_twin_n: int


@dataclass(frozen=True, slots=True)
class StabilityFacts:
    """How much two explanations of one neuron by one method differ, over the neurons with two or more runs."""

    n_neurons: int
    n_pairs: int
    n_equal_texts: int
    median_difference: float | None
    """Median of the absolute differences between the 2023 scores."""
    high_difference: float | None
    """The .95 quantile of these differences."""


@dataclass(frozen=True, slots=True)
class VersionFacts:
    """One version of a campaign's rules."""

    number: int
    at: datetime
    instructions_digest: str


def model_facts(session: Session, *, subject_id: int) -> ModelFacts:
    """The audited model."""
    row = session.execute(
        select(Subject, Tokenizer.name, Tokenizer.digest)
        .join(Tokenizer, Tokenizer.id == Subject.tokenizer_id)
        .where(Subject.id == subject_id)
    ).one()
    subject: Subject = row.Subject
    return ModelFacts(
        slug=subject.slug,
        name=subject.name,
        source=subject.source,
        revision=subject.revision,
        weights_digest=subject.weights_digest,
        architecture=subject.architecture,
        site=Site.from_json(subject.site).read_at(),
        n_layers=subject.n_layers,
        neurons_per_layer=subject.neurons_per_layer,
        activation_function=subject.activation_function,
        dtype=subject.dtype,
        bos_policy=subject.bos_policy,
        tokenizer=row.name,
        tokenizer_digest=row.digest,
    )


def corpus_facts(session: Session, *, subject_id: int) -> CorpusFacts | None:
    """The corpus of the collection that pages show; None if the subject has none."""
    row = session.execute(
        select(Collection, Corpus)
        .join(Subject, Subject.collection_id == Collection.id)
        .join(Corpus, Corpus.id == Collection.corpus_id)
        .where(Subject.id == subject_id)
    ).first()
    if row is None:
        return None
    collection, corpus = row
    n_documents = session.scalar(select(func.count()).select_from(Document).where(Document.corpus_id == corpus.id))
    return CorpusFacts(
        name=corpus.name,
        source=corpus.source,
        digest=corpus.digest,
        n_documents=n_documents or 0,
        n_tokens=collection.tokens_done,
        n_excerpts=collection.n_excerpts,
        n_copies=collection.n_copies,
        context_length=collection.context_length,
        seed=collection.seed,
        code_version=collection.code_version,
        notes=tuple(collection.notes),
    )


def method_facts(session: Session, *, campaign_id: int, subject_id: int) -> tuple[MethodFacts, ...]:
    """How the explanations of a campaign were made, the most frequent way first. Three queries."""
    audited = session.execute(
        select(Explanation.method_id, Explanation.author, func.count())
        .where(Explanation.id.in_(_audited(campaign_id)))
        .group_by(Explanation.method_id, Explanation.author)
        .order_by(func.count().desc(), Explanation.author)
    ).all()
    ids = {row[0] for row in audited if row[0] is not None}
    runs = {row.method_id: row for row in session.execute(_runs(subject_id, ids))}
    calls = {row.method_id: row for row in session.execute(_calls(subject_id, ids))}
    return tuple(_method(*row, runs=runs, calls=calls) for row in audited)


def _audited(campaign_id: int) -> Any:
    return select(ReviewItem.explanation_id).where(
        ReviewItem.campaign_id == campaign_id,
        ReviewItem.source != ItemSource.CONTROL,
        ReviewItem.state != ItemState.WITHDRAWN,
    )


def _runs(subject_id: int, method_ids: set[int]) -> Any:
    return (
        select(
            Run.method_id,
            func.count().filter(Run.status == WorkStatus.SUCCEEDED).label("n_succeeded"),
            func.count().filter(Run.status.in_((WorkStatus.FAILED, WorkStatus.QUARANTINED))).label("n_failed"),
        )
        .join(Neuron, Neuron.id == Run.neuron_id)
        .where(Run.method_id.in_(method_ids), Neuron.subject_id == subject_id, Run.explanation_id.is_(None))
        .group_by(Run.method_id)
    )


def _calls(subject_id: int, method_ids: set[int]) -> Any:
    return (
        select(
            Run.method_id,
            func.coalesce(func.sum(LlmCall.price), 0.0).label("price"),
            func.coalesce(func.sum(LlmCall.price).filter(LlmCall.is_estimated), 0.0).label("estimated"),
            func.array_remove(func.array_agg(LlmCall.returned_model.distinct()), None).label("models"),
        )
        .join(LlmCall, LlmCall.run_id == Run.id)
        .join(Neuron, Neuron.id == Run.neuron_id)
        .where(Run.method_id.in_(method_ids), Neuron.subject_id == subject_id, Run.explanation_id.is_(None))
        .group_by(Run.method_id)
    )


def _method(
    method_id: int | None, author: str, n: int, *, runs: Mapping[int, Any], calls: Mapping[int, Any]
) -> MethodFacts:
    run = runs.get(method_id) if method_id is not None else None
    call = calls.get(method_id) if method_id is not None else None
    return MethodFacts(
        method_id=method_id,
        author=author,
        n_explanations=n,
        n_succeeded=run.n_succeeded if run else 0,
        n_failed=run.n_failed if run else 0,
        price=float(call.price) if call else 0.0,
        price_estimated=float(call.estimated) if call else 0.0,
        returned_models=tuple(sorted(call.models)) if call else (),
    )


def scorer_facts(session: Session, *, campaign_id: int, subject_id: int) -> tuple[ScorerFacts, ...]:
    """Every scorer's figures over the campaign's explanations and over the null twin's. Two queries.

    Each explanation counts once, with its newest score by a scorer and simulator.
    """
    shown_by_twin = (
        select(Neuron.current_explanation_id)
        .join(Subject, Subject.id == Neuron.subject_id)
        .where(Subject.null_twin_of_id == subject_id)
    )
    own = session.execute(_of_scorers(_audited(campaign_id))).all()
    twin = {(row.scorer, row.sample, row.simulator): row for row in session.execute(_of_scorers(shown_by_twin))}
    return tuple(_scorer(row, twin.get((row.scorer, row.sample, row.simulator))) for row in own)


def _of_scorers(explanations: Any) -> Any:
    """Numbers and means by scorer, sample and simulator, over the newest scores of some explanations."""
    names = (Score.scorer, Score.sample, Score.simulator)
    newest = (
        select(*names, Score.value, Score.shuffled_baseline, Score.token_lookup_baseline)
        .where(Score.explanation_id.in_(explanations))
        .ext(distinct_on(Score.explanation_id, *names))
        .order_by(Score.explanation_id, *names, Score.id.desc())
        .subquery()
    )
    by = (newest.c.scorer, newest.c.sample, newest.c.simulator)
    return (
        select(
            *by,
            func.count(newest.c.value).label("n"),
            func.count().filter(newest.c.value.is_(None)).label("n_undefined"),
            func.avg(newest.c.value).label("mean"),
            func.avg(newest.c.shuffled_baseline).label("shuffled"),
            func.avg(newest.c.token_lookup_baseline).label("lookup"),
        )
        .group_by(*by)
        .order_by(*by)
    )


def _scorer(row: Any, twin: Any) -> ScorerFacts:
    return ScorerFacts(
        scorer=row.scorer,
        sample=row.sample,
        simulator=row.simulator,
        n=row.n,
        n_undefined=row.n_undefined,
        mean=row.mean,
        shuffled_baseline=row.shuffled,
        token_table_baseline=row.lookup,
        null_twin_mean=None if twin is None else twin.mean,
        null_twin_n=0 if twin is None else twin.n,
    )


def stability_facts(session: Session, *, campaign_id: int) -> StabilityFacts:
    """How much the explanations of a campaign's neurons vary between runs of the same method. One query.

    Runs on different collections are not compared. Each run counts with its candidate of rank 0 and the 2023 score that
    the run itself computed.
    """
    neurons = select(Explanation.neuron_id).where(Explanation.id.in_(_audited(campaign_id)))
    one, other = _ranked(neurons), _ranked(neurons)
    same = and_(
        one.c.neuron_id == other.c.neuron_id,
        one.c.method_id == other.c.method_id,
        one.c.collection_id.is_not_distinct_from(other.c.collection_id),
        one.c.run_id < other.c.run_id,
    )
    gap = func.abs(one.c.value - other.c.value)
    row = session.execute(
        select(
            func.count(one.c.neuron_id.distinct()),
            func.count(),
            func.count().filter(one.c.text == other.c.text),
            func.percentile_cont(0.5).within_group(gap),
            func.percentile_cont(0.95).within_group(gap),
        ).select_from(one.join(other, same))
    ).one()
    return StabilityFacts(*row)


def _ranked(neurons: Any) -> Any:
    value = (
        select(Score.value)
        .where(
            Score.explanation_id == Explanation.id,
            Score.run_id == Explanation.run_id,
            Score.scorer == SCORE_2023.scorer,
            Score.sample == SCORE_2023.sample,
        )
        .order_by(Score.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    columns = (Explanation.neuron_id, Explanation.method_id, Explanation.collection_id, Explanation.run_id)
    return (
        select(*columns, Explanation.text, value.label("value"))
        .where(Explanation.neuron_id.in_(neurons), Explanation.run_id.is_not(None), Explanation.rank == FIRST_CANDIDATE)
        .subquery()
    )


def version_facts(session: Session, *, campaign_id: int) -> tuple[VersionFacts, ...]:
    """Every version of a campaign's rules, oldest first."""
    rows = session.execute(
        select(CampaignVersion.number, CampaignVersion.created_at, CampaignVersion.instructions_digest)
        .where(CampaignVersion.campaign_id == campaign_id)
        .order_by(CampaignVersion.number)
    )
    return tuple(VersionFacts(*row) for row in rows)
