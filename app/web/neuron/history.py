"""A neuron's history as sentences, from what is stored about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.domain.events import EventKind
from app.queries.neurons.claims import HISTORY_LENGTH, EventShown, ExplanationRow, RunShown

SENTENCES = {
    EventKind.EXPLANATION_WRITTEN: "Wrote an explanation",
    EventKind.FLAG_OPENED: "Flagged as {reason}",
    EventKind.FLAG_WITHDRAWN: "Flag as {reason} withdrawn",
    EventKind.ITEM_SENT_BACK: "Sent back for another look",
    EventKind.VERDICT_GIVEN: "Judged in a campaign",
    EventKind.VERDICT_UNDONE: "A verdict undone in a campaign",
    EventKind.RUN_FAILED: "Run {run_id} failed: {error}",
    EventKind.RUN_QUARANTINED: "Run {run_id} put in quarantine: {error}",
    EventKind.RUN_NO_EXPLANATION: "Run {run_id}: {error}",
    EventKind.RUN_CANCELLED: "Run {run_id} cancelled",
    EventKind.RUN_RETRIED: "Run {run_id} queued again",
}


@dataclass(frozen=True, slots=True)
class HistoryLine:
    """One thing that happened."""

    at: datetime
    text: str
    note: str
    by: str | None
    href: str | None


def history_lines(
    events: Sequence[EventShown], explanations: Sequence[ExplanationRow], runs: Sequence[RunShown]
) -> tuple[HistoryLine, ...]:
    """Events, new explanations and queued runs in one list, the newest first."""
    lines = [
        *(HistoryLine(e.at, sentence(e), _note(e), e.by, _run_address(e)) for e in events),
        *(
            HistoryLine(row.created_at, f"New explanation by {row.by}", "", None, f"?explanation={row.id}")
            for row in explanations
        ),
        *(HistoryLine(r.queued_at, f"Queued with {r.method}", "", r.by, f"/batches/{r.batch_id}") for r in runs),
    ]
    lines.sort(key=lambda line: line.at, reverse=True)
    return tuple(lines[:HISTORY_LENGTH])


def sentence(event: EventShown) -> str:
    """An event in words; its name where there are no words for it."""
    if event.kind == EventKind.VERDICT_GIVEN and "flag" in event.detail:
        return f"Flag {event.detail['flag']}"
    words = SENTENCES.get(event.kind)
    if words is None:
        return event.kind.label
    return words.format_map(_Detail(event.detail)).replace("_", " ")


def _note(event: EventShown) -> str:
    """What was written with it. Notes to verdicts are shown where campaigns end; here they would undo the blinding."""
    is_told = not event.kind.startswith("verdict.") or "flag" in event.detail
    return str(event.detail.get("note", "")) if is_told else ""


def _run_address(event: EventShown) -> str | None:
    run_id = event.detail.get("run_id")
    return f"/runs/{run_id}" if run_id is not None else None


class _Detail(dict[str, Any]):
    """Details of an event; a missing one is a dash."""

    def __missing__(self, key: str) -> str:
        return "–"
