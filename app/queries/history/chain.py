"""The chain of events: its links, its head, and events that are not part of it."""

from collections.abc import Iterator

from sqlalchemy import exists, select, text
from sqlalchemy.orm import Session

from app.domain.history import Link
from app.models import Event, EventLink

_LINKS = text("""
    SELECT link.position, link.event_id, link.hash,
        CASE WHEN event.id IS NULL THEN NULL ELSE concat('[',
            event.id, ', ',
            (extract(epoch FROM event.at) * 1000000)::bigint, ', ',
            to_json(event.kind), ', ',
            coalesce(event.account_id::text, 'null'), ', ',
            coalesce(event.subject_id::text, 'null'), ', ',
            coalesce(event.neuron_id::text, 'null'), ', ',
            event.detail, ']') END
    FROM event_link AS link LEFT JOIN event ON event.id = link.event_id
    ORDER BY link.position
""")
"""The text is built here and not by the trigger's function, which a person who edits rows could edit as well."""
_CHUNK = 5_000


def chain_links(session: Session) -> Iterator[Link]:
    """Every link with its event's text, in the order of the chain. Read in chunks, whatever the length."""
    rows = session.connection().execution_options(yield_per=_CHUNK).execute(_LINKS)
    for position, event_id, stored, words in rows:
        yield Link(position, event_id, bytes(stored), words)


def unlinked_events(session: Session) -> list[int]:
    """The ids of events that no link covers: they were added behind the back of the triggers."""
    linked = exists().where(EventLink.event_id == Event.id)
    return list(session.scalars(select(Event.id).where(~linked).order_by(Event.id)))


def chain_head(session: Session) -> str:
    """The hash of the newest link in hexadecimal; empty before the first event."""
    newest = session.scalar(select(EventLink.hash).order_by(EventLink.position.desc()).limit(1))
    return "" if newest is None else bytes(newest).hex()
