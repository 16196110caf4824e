"""A campaign's figures, its report, the auditor's statements, and its tables."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import BaseModel, Field, create_model

from app.domain.audit.statements import LONGEST_STATEMENT, Statement
from app.domain.review import CampaignState
from app.domain.roles import Permission
from app.errors import Forbidden, LoginRequired
from app.formats.tables import TableFormat, write_table
from app.localization.languages import Language
from app.queries.audit.export import ROW_TYPES, ExportedTable, exported_lines
from app.queries.audit.figures import campaign_figures
from app.queries.audit.shapes import CampaignFigures
from app.queries.audit.statements import save_statements, statements_in_force
from app.queries.people.accounts import Viewer
from app.queries.review.campaigns import CampaignRow, campaign_row
from app.web.deps import CurrentViewer, DbSession, IdInPath, MayManageCampaigns
from app.web.http.routing import PageRouter
from app.web.neuron.evidence import KnownVocabularies
from app.web.rendering.templating import PROBLEMS, Renderer, page
from app.web.report.document import WIDTH, audit_report, report_json
from app.web.report.pdf import pdf_of
from app.web.report.sections import AuditReport

router = PageRouter()

WIDTHS = (0.05, 0.1, 0.15, 0.2)


@dataclass(frozen=True, slots=True)
class FiguresPage:
    """A campaign's results so far."""

    campaign: CampaignRow
    figures: CampaignFigures
    shows_controls: bool
    may_see_report: bool
    widths: tuple[float, ...]

    @property
    def here(self) -> str:
        """This very page."""
        width = self.figures.sample.width if self.figures.sample else WIDTH
        return f"/campaigns/{self.campaign.id}/figures?width={width:g}"


@dataclass(frozen=True, slots=True)
class FiguresStatements:
    """The form of the auditor's statements."""

    campaign: CampaignRow
    statements: dict[Statement, str]

    @property
    def statements_asked(self) -> tuple[Statement, ...]:
        """All of them, in the order of the report."""
        return tuple(Statement)

    @property
    def longest(self) -> int:
        """Characters that a statement may have."""
        return LONGEST_STATEMENT


_Text = Annotated[str, Field(max_length=2 * LONGEST_STATEMENT)]
StatementsForm: type[BaseModel] = create_model(
    "StatementsForm",
    **{str(each): (_Text, "") for each in Statement},  # type: ignore[call-overload]  # fields made from an enum
)


@page(router, "/campaigns/{campaign_id}/figures", template="figures/page.html", partial="figures/_figures.html")
def figures(
    session: DbSession,
    viewer: CurrentViewer,
    campaign_id: IdInPath,
    width: Annotated[float, Query(ge=0.01, le=1)] = WIDTH,
) -> FiguresPage:
    """A campaign's results so far: shares with intervals, agreement, controls, scores against verdicts."""
    campaign = campaign_row(session, campaign_id=campaign_id)
    sees_all = _sees_all(campaign, viewer)
    return FiguresPage(
        campaign=campaign,
        figures=campaign_figures(session, campaign_id=campaign_id, width=width, shows_controls=sees_all),
        shows_controls=sees_all,
        may_see_report=sees_all and campaign.subject_id is not None,
        widths=WIDTHS,
    )


@page(router, "/campaigns/{campaign_id}/statements", template="figures/statements.html")
def statements(session: DbSession, campaign_id: IdInPath, _viewer: MayManageCampaigns) -> FiguresStatements:
    """Statements of the report that only the auditor can make."""
    campaign = campaign_row(session, campaign_id=campaign_id)
    return FiguresStatements(campaign, statements_in_force(session, campaign_id=campaign_id))


@router.post("/campaigns/{campaign_id}/statements", include_in_schema=False)
def state(
    session: DbSession, viewer: MayManageCampaigns, campaign_id: IdInPath, form: Annotated[StatementsForm, Form()]
) -> Response:
    """Put statements in force."""
    said = {each: getattr(form, each) for each in Statement}
    save_statements(session, campaign_id=campaign_id, account_id=viewer.id, statements=said)
    return RedirectResponse(f"/campaigns/{campaign_id}/statements", status_code=303)


@router.get("/campaigns/{campaign_id}/report.json", responses={**PROBLEMS, 200: {"model": AuditReport}})
def report_as_json(
    session: DbSession, viewer: CurrentViewer, campaign_id: IdInPath, known: KnownVocabularies
) -> Response:
    """The audit report with the keys of its sections."""
    _require_all(campaign_row(session, campaign_id=campaign_id), viewer)
    report = audit_report(session, campaign_id=campaign_id, known=known)
    return _file(report_json(report), "application/json", f"{report.identity.id}.json")


@router.get("/campaigns/{campaign_id}/report", include_in_schema=False)
def report_as_html(
    request: Request,
    session: DbSession,
    viewer: CurrentViewer,
    campaign_id: IdInPath,
    known: KnownVocabularies,
    language: Language = Language.ENGLISH,
) -> HTMLResponse:
    """The audit report as a page that prints well."""
    html = _html(request, session, viewer, campaign_id, known, language)[1]
    return HTMLResponse(html)


@router.get("/campaigns/{campaign_id}/report.pdf", include_in_schema=False)
def report_as_pdf(
    request: Request,
    session: DbSession,
    viewer: CurrentViewer,
    campaign_id: IdInPath,
    known: KnownVocabularies,
    language: Language = Language.ENGLISH,
) -> Response:
    """The audit report as PDF."""
    name, html = _html(request, session, viewer, campaign_id, known, language)
    return _file(pdf_of(html), "application/pdf", f"{name}-{language}.pdf")


@router.get("/campaigns/{campaign_id}/export/{table}.{format}", include_in_schema=False)
def export(
    session: DbSession, viewer: CurrentViewer, campaign_id: IdInPath, table: ExportedTable, format: TableFormat
) -> Response:
    """Every line of a campaign's table."""
    _require_all(campaign_row(session, campaign_id=campaign_id), viewer)
    lines = exported_lines(session, campaign_id=campaign_id, table=table)
    content = write_table(lines, ROW_TYPES[table], format=format)
    return _file(content, format.media_type, f"campaign-{campaign_id}-{table}.{format}")


def _html(
    request: Request,
    session: DbSession,
    viewer: Viewer | None,
    campaign_id: int,
    known: KnownVocabularies,
    language: Language,
) -> tuple[str, str]:
    """The report's id and its page."""
    _require_all(campaign_row(session, campaign_id=campaign_id), viewer)
    report = audit_report(session, campaign_id=campaign_id, known=known)
    renderer: Renderer = request.app.state.renderer
    return report.identity.id, renderer.render("report/report.html", report, language=language)


def _sees_all(campaign: CampaignRow, viewer: Viewer | None) -> bool:
    """Whether controls and everybody's verdicts may be shown.

    To everybody once it has ended; before that to adjudicators whom it cannot ask for a verdict.
    """
    if campaign.state is CampaignState.ENDED:
        return True
    return viewer is not None and viewer.may(Permission.ADJUDICATE) and not campaign.keeps_blind(viewer.id)


def _require_all(campaign: CampaignRow, viewer: Viewer | None) -> None:
    if not _sees_all(campaign, viewer):
        if viewer is None:
            raise LoginRequired
        raise Forbidden(
            "You may be asked for a verdict, so you judge blind: verdicts, controls and the report are shown when the"
            " campaign has ended."
        )


def _file(content: bytes, media_type: str, name: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(content, media_type=media_type, headers=headers)
