"""The choice of the collection that a subject's pages show. Switching keeps the statistics of both."""

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.domain.collections import CollectionStatus
from app.domain.events import EventKind
from app.errors import Conflict, NotFound
from app.models import Collection, Subject
from app.queries.history.events import record_event
from app.queries.imports.neurons import OTHER_STATISTICS, STATISTICS_FACT
from app.queries.subjects.collections import STATISTICS

_OBJECT = ", ".join(f"'{name}', to_jsonb(\"{name}\")" for name in OTHER_STATISTICS)
_KEEP = text(f"""
    INSERT INTO collected_neuron
        (neuron_id, collection_id, mean, variance, max, token_ids, token_means, token_counts, facts)
    SELECT id, :shown, mean, variance, max, '{{}}', '{{}}', '{{}}',
        jsonb_build_object('{STATISTICS_FACT}', jsonb_strip_nulls(jsonb_build_object({_OBJECT})))
    FROM neuron WHERE subject_id = :subject_id
    ON CONFLICT (neuron_id, collection_id) DO UPDATE
        SET facts = coalesce(collected_neuron.facts, '{{}}') || excluded.facts
""")  # noqa: S608 - names of columns


def _taken(name: str, kind: str) -> str:
    """A statistic of the collection to be shown, NULL if not known."""
    if name not in OTHER_STATISTICS:
        return f'"{name}" = kept.{name}'
    value = f"kept.facts -> '{STATISTICS_FACT}' -> '{name}'"
    if kind.endswith("[]"):
        items = f"SELECT item::{kind[:-2]} FROM jsonb_array_elements_text({value}) AS item"  # noqa: S608 - a column's
        return f"\"{name}\" = CASE WHEN jsonb_typeof({value}) = 'array' THEN ARRAY({items}) END"
    return f"\"{name}\" = (kept.facts -> '{STATISTICS_FACT}' ->> '{name}')::{kind}"


_TAKE = text(f"""
    UPDATE neuron SET {", ".join(_taken(name, kind) for name, kind in STATISTICS.items())}
    FROM neuron AS own
    LEFT JOIN collected_neuron AS kept ON kept.neuron_id = own.id AND kept.collection_id = :collection_id
    WHERE neuron.id = own.id AND own.subject_id = :subject_id
""")  # noqa: S608 - names of columns


def show_collection(session: Session, *, collection_id: int, account_id: int | None) -> str:
    """Make a subject's pages show this collection; returns the subject's slug. Does nothing if they already do.

    The statistics of the collection that was shown are kept with it. The caller recomputes doubts that follow from the
    records by ``refresh_subject``. Raises NotFound for an unknown collection, Conflict for one that is not complete.
    """
    collection = session.get(Collection, collection_id)
    if collection is None:
        raise NotFound("There is no such collection.")
    if collection.status != CollectionStatus.COMPLETE:
        raise Conflict("This collection is not complete yet.")
    subject = session.scalars(select(Subject).where(Subject.id == collection.subject_id).with_for_update()).one()
    before = subject.collection_id
    if before == collection_id:
        return subject.slug
    if before is not None:
        session.execute(_KEEP, {"subject_id": subject.id, "shown": before})
    session.execute(_TAKE, {"subject_id": subject.id, "collection_id": collection_id})
    subject.collection_id = collection_id
    detail = {"before": before, "after": collection_id}
    record_event(session, kind=EventKind.COLLECTION_SHOWN, account_id=account_id, subject_id=subject.id, detail=detail)
    session.flush()  # the caller's next queries bypass the ORM
    return subject.slug
