"""A person's own explanation of a neuron: stored at once, then scored like any other."""

from typing import Annotated

from fastapi import Form
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel, Field

from app.domain.bounds import BIGGEST_ID, LONGEST_EXPLANATION
from app.errors import Invalid
from app.queries.common.inputs import plain_text
from app.web.deps import DbSession, MayQueue
from app.web.http.routing import PageRouter
from app.web.neuron.address import ROUTE, Head, path_of
from app.web.neuron.claim import queued_run
from app.web.rendering.templating import CurrentView
from app.work.explanations import write_explanation

router = PageRouter()


class OwnForm(BaseModel):
    """What a person sends: a claim, and the method whose simulator and scorers judge it."""

    text: str
    method_id: int = Field(ge=1, le=BIGGEST_ID)


@router.post(f"{ROUTE}/explanations", include_in_schema=False)
def write(
    session: DbSession,
    view: CurrentView,
    head: Head,
    viewer: MayQueue,
    form: Annotated[OwnForm, Form()],
) -> Response:
    """Store a person's explanation and queue it to be scored."""
    text = plain_text(form.text.replace("\r\n", "\n"), what="explanation", limit=LONGEST_EXPLANATION)
    if not text:
        raise Invalid("The explanation is empty. Say what the neuron fires on, and send the form again.")
    explanation_id = write_explanation(
        session, neuron_id=head.id, subject_id=head.subject_id, text=text, by=viewer, method_id=form.method_id
    )
    if view.wants_part:
        return view.html("neuron/_progress.html", queued_run(session, head))
    return RedirectResponse(f"{path_of(head)}?explanation={explanation_id}#_progress", status_code=303)
