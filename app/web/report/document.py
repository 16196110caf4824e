"""The content of an audit report: fourteen sections, the same in HTML, PDF and JSON.

A report speaks of the database as it is: the same state gives the same report, its digest included.
"""

import hashlib
import json
from dataclasses import replace

from pydantic import TypeAdapter
from sqlalchemy.orm import Session

from app.domain import executed
from app.domain.audit.statements import Statement
from app.domain.review import ReviewerKind
from app.domain.steps import scorers
from app.domain.steps.catalogue import UnknownStep
from app.domain.steps.method import steps_of
from app.domain.steps.spec import ScorerSpec
from app.errors import Conflict
from app.queries.audit.examples import ExampleKind, drawn_examples
from app.queries.audit.facts import (
    MethodFacts,
    ScorerFacts,
    corpus_facts,
    method_facts,
    model_facts,
    scorer_facts,
    stability_facts,
    version_facts,
)
from app.queries.audit.figures import campaign_figures
from app.queries.audit.plan import DrawFacts, changed_at, draw_facts, history_head
from app.queries.audit.shapes import CampaignFigures
from app.queries.audit.statements import saved_statements, statements_in_force
from app.queries.methods.definitions import method_definition
from app.queries.review.campaigns import CampaignRow, campaign_row
from app.version import code_version
from app.web.heat.vocabularies import Vocabularies
from app.web.provenance.prompt_files import prompt_files
from app.web.report.examples import shown_examples
from app.web.report.sections import (
    Access,
    Auditor,
    AuditReport,
    CampaignChange,
    Examples,
    HowMade,
    Identity,
    Limits,
    Model,
    PromptDigest,
    Results,
    Reviewers,
    Sampling,
    Scope,
    ScorerShown,
)

WIDTH = 0.1
"""The interval width for which the number of needed verdicts is computed."""
EVIDENCE_FOR = (
    "Regulation (EU) 2024/1689 (AI Act), Annex IV",
    "Regulation (EU) 2024/1689 (AI Act), Annex XI",
    "NIST AI RMF 1.0, Measure 2.9",
)
"""Documentation that a report complements as evidence."""


_JSON = TypeAdapter(AuditReport)


def audit_report(session: Session, *, campaign_id: int, known: Vocabularies) -> AuditReport:
    """The report of a campaign. Raises NotFound, Conflict for the standing campaign, which audits no one model."""
    campaign = campaign_row(session, campaign_id=campaign_id)
    if campaign.subject_id is None:
        raise Conflict("The standing campaign holds flags of all subjects and has no report. Create a campaign.")
    figures = campaign_figures(session, campaign_id=campaign_id, width=WIDTH, shows_controls=True)
    said = statements_in_force(session, campaign_id=campaign_id)
    drawn = drawn_examples(session, campaign_id=campaign_id, seed=campaign.seed)
    shown = {kind: shown_examples(session, known, items) for kind, items in drawn.items()}
    draws = draw_facts(session, campaign_id=campaign_id)
    report = AuditReport(
        identity=_identity(session, campaign, said),
        auditor=Auditor(*(said.get(s) for s in _AUDITOR)),
        model=Model(model_facts(session, subject_id=campaign.subject_id), said.get(Statement.LICENCE)),
        access=Access(said.get(Statement.SEEN), said.get(Statement.WITHHELD)),
        scope=Scope(
            campaign.rules.question, said.get(Statement.CLAIMS), said.get(Statement.USES_NOT_SUPPORTED), EVIDENCE_FOR
        ),
        corpus=corpus_facts(session, subject_id=campaign.subject_id),
        explanations=tuple(
            _how_made(session, facts)
            for facts in method_facts(session, campaign_id=campaign_id, subject_id=campaign.subject_id)
        ),
        scorers=tuple(
            _scorer(facts) for facts in scorer_facts(session, campaign_id=campaign_id, subject_id=campaign.subject_id)
        ),
        sampling=Sampling(draws, figures.n_items, figures.n_settled, said.get(Statement.DEVIATIONS)),
        reviewers=_reviewers(campaign, figures),
        results=Results(figures.sample, figures.scorers),
        stability=stability_facts(session, campaign_id=campaign_id),
        examples=Examples(campaign.seed, *(shown[kind] for kind in ExampleKind)),
        limits=_limits(session, campaign, figures, said, draws),
    )
    return _with_digest(report)


def report_json(report: AuditReport) -> bytes:
    """The JSON twin, indented."""
    return _JSON.dump_json(report, indent=2) + b"\n"


_AUDITOR = (Statement.BACKGROUND, Statement.PAYER, Statement.CONFLICTS, Statement.RELATION)


def _identity(session: Session, campaign: CampaignRow, said: dict[Statement, str]) -> Identity:
    head = history_head(session)
    return Identity(
        id=f"{campaign.slug}-campaign-{campaign.id}",
        title=campaign.name,
        version=campaign.version,
        date=changed_at(session, campaign_id=campaign.id),
        is_final=campaign.ended_at is not None,
        signatories=said.get(Statement.SIGNATORIES),
        digest="",
        history_head=head.hash,
        n_events=head.n_events,
        program=f"Neuron Audit {code_version()}",
    )


def _with_digest(report: AuditReport) -> AuditReport:
    content = _JSON.dump_python(report, mode="json")
    for name in ("digest", "history_head", "n_events"):
        del content["identity"][name]
    canonical = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return replace(report, identity=replace(report.identity, digest=hashlib.sha256(canonical.encode()).hexdigest()))


def _how_made(session: Session, facts: MethodFacts) -> HowMade:
    if facts.method_id is None:
        return HowMade(facts, facts.share_failed, None, None, None, None, {}, ())
    definition = method_definition(session, method_id=facts.method_id)
    try:
        names = steps_of(definition).prompts
    except UnknownStep:  # made by a step that this version of the program lacks
        names = ()
    return HowMade(
        facts=facts,
        share_failed=facts.share_failed,
        method=f"{definition.name} v{definition.version}",
        explainer=definition.explainer,
        simulator=definition.simulator,
        provider=definition.provider,
        parameters=dict(definition.parameters),
        prompts=tuple(PromptDigest(prompt.name, prompt.digest) for prompt in prompt_files(names)),
    )


def _scorer(facts: ScorerFacts) -> ScorerShown:
    if facts.scorer == executed.EXECUTED:  # stored by corpus checks, which belong to no method
        return ScorerShown(facts, executed.LABEL, executed.DESCRIPTION, executed.BLIND_SPOT)
    spec = _spec(facts.scorer)
    if spec is None:
        return ScorerShown(facts, facts.scorer, "", "")
    return ScorerShown(facts, spec.label, spec.description, spec.blind_spot)


def _spec(scorer: str) -> ScorerSpec | None:
    """The scorer whose name a score's begins with: ``detection_auc`` is a figure of ``detection``."""
    found = [spec for spec in scorers.ALL if scorer == spec.name or scorer.startswith(f"{spec.name}_")]
    return max(found, key=lambda spec: len(spec.name), default=None)


def _reviewers(campaign: CampaignRow, figures: CampaignFigures) -> Reviewers:
    def number(kind: ReviewerKind) -> int:
        return sum(reviewer.kind is kind for reviewer in figures.reviewers)

    return Reviewers(
        n_people=number(ReviewerKind.PERSON),
        n_language_models=number(ReviewerKind.LANGUAGE_MODEL),
        n_simulated=number(ReviewerKind.SIMULATED),
        verdicts_per_item=campaign.rules.verdicts_per_item,
        instructions=campaign.rules.instructions,
        instructions_digest=campaign.rules.instructions_digest,
        is_blind=campaign.rules.is_blind,
        asks_guess=campaign.rules.asks_guess,
        agreement=figures.agreement,
        controls=figures.controls,
        reviewers=figures.reviewers,
    )


def _limits(
    session: Session,
    campaign: CampaignRow,
    figures: CampaignFigures,
    said: dict[Statement, str],
    draws: tuple[DrawFacts, ...],
) -> Limits:
    changes = [
        CampaignChange(version.at, "rules", f"v{version.number}, {version.instructions_digest[:16]}", None)
        for version in version_facts(session, campaign_id=campaign.id)
    ]
    changes += [CampaignChange(draw.at, "items", f"{draw.n_items} ({draw.source})", draw.by) for draw in draws]
    changes += [
        CampaignChange(saved.at, "statements", ", ".join(saved.changed), saved.by)
        for saved in saved_statements(session, campaign_id=campaign.id)
    ]
    if campaign.ended_at is not None:
        changes.append(CampaignChange(campaign.ended_at, "ended", "", None))
    return Limits(
        limits=said.get(Statement.LIMITS),
        n_open_disputes=figures.n_disputed,
        contest=said.get(Statement.CONTEST),
        changes=tuple(sorted(changes, key=lambda change: change.at)),
        command=f"neuron-audit report {campaign.id} --format json --output report.json",
    )
