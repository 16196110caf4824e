"""The fourteen sections of an audit report."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.domain.audit.agreement import Agreement
from app.queries.audit.facts import CorpusFacts, MethodFacts, ModelFacts, ScorerFacts, StabilityFacts
from app.queries.audit.plan import DrawFacts
from app.queries.audit.shapes import ControlFigures, ReviewerFigures, SampleFigures, ScorerFigures
from app.web.report.examples import Example


@dataclass(frozen=True, slots=True)
class Identity:
    """Which report this is, and what its history was."""

    id: str
    title: str
    version: int
    date: datetime | None
    """The time of the campaign's newest event."""
    is_final: bool
    """Whether the campaign has ended."""
    signatories: str | None
    digest: str
    """SHA-256 of the other sections, and of this one without ``digest``, ``history_head`` and ``n_events``."""
    history_head: str
    n_events: int
    program: str


@dataclass(frozen=True, slots=True)
class Auditor:
    """Who audits, in whose interest."""

    background: str | None
    payer: str | None
    conflicts: str | None
    relation: str | None


@dataclass(frozen=True, slots=True)
class Model:
    """What was audited."""

    facts: ModelFacts
    licence: str | None


@dataclass(frozen=True, slots=True)
class Access:
    """What the auditors saw."""

    seen: str | None
    withheld: str | None


@dataclass(frozen=True, slots=True)
class Scope:
    """The question, and what may be concluded."""

    question: str
    claims: str | None
    uses_not_supported: str | None
    evidence_for: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PromptDigest:
    """A prompt by its name and digest."""

    name: str
    digest: str


@dataclass(frozen=True, slots=True)
class HowMade:
    """One way in which explanations were made."""

    facts: MethodFacts
    share_failed: float | None
    method: str | None
    explainer: str | None
    simulator: str | None
    provider: str | None
    parameters: dict[str, Any]
    prompts: tuple[PromptDigest, ...]


@dataclass(frozen=True, slots=True)
class ScorerShown:
    """A scorer with its definition and its figures."""

    facts: ScorerFacts
    label: str
    definition: str
    blind_spot: str


@dataclass(frozen=True, slots=True)
class Sampling:
    """The plan, and where it was not followed."""

    draws: tuple[DrawFacts, ...]
    n_items: int
    n_settled: int
    deviations: str | None


@dataclass(frozen=True, slots=True)
class Reviewers:
    """Who judged, with which instructions, and how well."""

    n_people: int
    n_language_models: int
    n_simulated: int
    verdicts_per_item: int
    instructions: str
    instructions_digest: str
    is_blind: bool
    asks_guess: bool
    agreement: Agreement
    controls: ControlFigures | None
    reviewers: tuple[ReviewerFigures, ...]


@dataclass(frozen=True, slots=True)
class Results:
    """The estimates from the verdicts. ``sample`` is None for a campaign without one: then nothing is estimated."""

    sample: SampleFigures | None
    scorers: tuple[ScorerFigures, ...]


@dataclass(frozen=True, slots=True)
class Examples:
    """Examples of each kind, drawn by seed."""

    seed: int
    holds: tuple[Example, ...]
    fails: tuple[Example, ...]
    disputed: tuple[Example, ...]


@dataclass(frozen=True, slots=True)
class CampaignChange:
    """One line of the change log."""

    at: datetime
    what: str
    """``rules``, ``items``, ``statements`` or ``ended``."""
    detail: str
    by: str | None


@dataclass(frozen=True, slots=True)
class Limits:
    """What a reader has to know in addition to the result."""

    limits: str | None
    n_open_disputes: int
    contest: str | None
    changes: tuple[CampaignChange, ...]
    command: str


@dataclass(frozen=True, slots=True)
class AuditReport:
    """A report: its sections are the keys of the JSON and the sections of the document."""

    identity: Identity
    auditor: Auditor
    model: Model
    access: Access
    scope: Scope
    corpus: CorpusFacts | None
    explanations: tuple[HowMade, ...]
    scorers: tuple[ScorerShown, ...]
    sampling: Sampling
    reviewers: Reviewers
    results: Results
    stability: StabilityFacts
    examples: Examples
    limits: Limits
