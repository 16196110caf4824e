"""A person's own explanation: stored at once, and queued to be scored."""

from sqlalchemy.orm import Session

from app.domain.authors import AuthorKind
from app.domain.events import EventKind
from app.domain.results import ExplanationResult
from app.queries.explanations.standing import refresh_current
from app.queries.explanations.store import Author, store_explanation
from app.queries.history.events import record_event
from app.queries.people.accounts import Viewer
from app.work.enqueue import enqueue_scoring


def write_explanation(
    session: Session, *, neuron_id: int, subject_id: int, text: str, by: Viewer, method_id: int
) -> int:
    """Store a person's explanation and queue it to be scored by a method; returns its id.

    Raises NotFound for an unknown method, Conflict where the neuron already has an active run of it.
    """
    author = Author(AuthorKind.PERSON, by.name, account_id=by.id)
    explanation_id = store_explanation(session, neuron_id=neuron_id, result=ExplanationResult(text), author=author)
    record_event(
        session,
        kind=EventKind.EXPLANATION_WRITTEN,
        account_id=by.id,
        subject_id=subject_id,
        neuron_id=neuron_id,
        detail={"explanation_id": explanation_id},
    )
    enqueue_scoring(session, explanation_id=explanation_id, method_id=method_id, account_id=by.id)
    # Last, since it locks the neuron, and a run of the neuron that ends at the same time locks the run first.
    refresh_current(session, neuron_id=neuron_id)
    return explanation_id
