"""The chain of events and seals: its links, its head, and what is not part of it."""

from collections.abc import Iterator

from sqlalchemy import exists, select, text
from sqlalchemy.orm import Session

from app.domain.history import Link
from app.models import Event, EventLink, RowSeal

_LINKS = text("""
    SELECT link.position, link.hash,
        CASE WHEN link.seal_id IS NULL THEN 'event ' || link.event_id ELSE 'seal ' || link.seal_id END AS subject,
        CASE WHEN event.id IS NOT NULL THEN concat('[',
            event.id, ', ',
            (extract(epoch FROM event.at) * 1000000)::bigint, ', ',
            to_json(event.kind), ', ',
            coalesce(event.account_id::text, 'null'), ', ',
            coalesce(event.subject_id::text, 'null'), ', ',
            coalesce(event.neuron_id::text, 'null'), ', ',
            event.detail, ']')
        WHEN seal.id IS NOT NULL THEN concat('["seal", ',
            seal.id, ', ',
            to_json(seal.table_name), ', "',
            encode(sha256(convert_to(array_to_string(seal.keys, ';'), 'UTF8')), 'hex'), '", "',
            (SELECT encode(sha256(string_agg(digest, '' ORDER BY n)), 'hex')
                FROM unnest(seal.digests) WITH ORDINALITY AS of_row(digest, n)), '"]') END AS words
    FROM event_link AS link
    LEFT JOIN event ON event.id = link.event_id
    LEFT JOIN row_seal AS seal ON seal.id = link.seal_id
    ORDER BY link.position
""")
"""The text is not built by the trigger's function, which an attacker who edits rows could edit too."""
_CHUNK = 5_000


def chain_links(session: Session) -> Iterator[Link]:
    """Every link with the text of its event or seal, in the order of the chain. Read in chunks, whatever the length."""
    rows = session.execute(_LINKS, execution_options={"yield_per": _CHUNK})
    for position, stored, subject, words in rows:
        yield Link(position, subject, bytes(stored), words)


def unlinked(session: Session) -> list[str]:
    """Events and seals that no link covers, such as ``event 5``: they were added with the triggers off."""
    events = select(Event.id).where(~exists().where(EventLink.event_id == Event.id)).order_by(Event.id)
    seals = select(RowSeal.id).where(~exists().where(EventLink.seal_id == RowSeal.id)).order_by(RowSeal.id)
    return [f"event {id_}" for id_ in session.scalars(events)] + [f"seal {id_}" for id_ in session.scalars(seals)]


def chain_head(session: Session) -> str:
    """The hash of the newest link in hexadecimal; empty before the first event."""
    newest = session.scalar(select(EventLink.hash).order_by(EventLink.position.desc()).limit(1))
    return "" if newest is None else bytes(newest).hex()
