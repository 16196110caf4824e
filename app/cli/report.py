"""``neuron-audit report`` and ``neuron-audit campaign-table``: a campaign's results as files."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from app.cli.common import opened, settings
from app.formats.tables import TableFormat, write_table
from app.localization.languages import Language
from app.queries.audit.export import ROW_TYPES, ExportedTable, exported_lines
from app.queries.review.campaigns import campaign_head

Campaign = Annotated[int, typer.Argument(help="The campaign's number in addresses.")]
Output = Annotated[Path, typer.Option(help="File to write.", dir_okay=False)]


class ReportFormat(StrEnum):
    """The forms of a report."""

    HTML = "html"
    PDF = "pdf"
    JSON = "json"


def report_command(
    campaign: Campaign,
    output: Output,
    format: Annotated[ReportFormat, typer.Option(help="html, pdf or json.")] = ReportFormat.HTML,
    language: Annotated[Language, typer.Option(help="en or fr; JSON has no language.")] = Language.ENGLISH,
) -> None:
    """Write the audit report of a campaign: one file, the same for the same state of the database."""
    from app.web.heat.vocabularies import Vocabularies  # other commands need no web framework
    from app.web.rendering.templating import Renderer
    from app.web.report.document import audit_report, report_json
    from app.web.report.pdf import pdf_of, standalone_html

    with opened(settings()) as session:
        report = audit_report(session, campaign_id=campaign, known=Vocabularies())
    if format is ReportFormat.JSON:
        content = report_json(report)
    else:
        html = Renderer().render("report/report.html", report, language=language)
        content = pdf_of(html) if format is ReportFormat.PDF else standalone_html(html).encode()
    output.write_bytes(content)
    typer.echo(f"{output}: report {report.identity.id}, digest {report.identity.digest}")


def campaign_table_command(
    campaign: Campaign,
    table: Annotated[ExportedTable, typer.Argument(help="verdicts, items, flags or samples.")],
    output: Output,
    format: Annotated[TableFormat, typer.Option(help="jsonl, csv or parquet.")] = TableFormat.JSONL,
) -> None:
    """Write every line of a campaign's table to a file."""
    with opened(settings()) as session:
        campaign_head(session, campaign_id=campaign)
        lines = exported_lines(session, campaign_id=campaign, table=table)
    output.write_bytes(write_table(lines, ROW_TYPES[table], format=format))
    typer.echo(f"{output}: {len(lines)} lines")
