"""The picture of a neuron that other sites show beside a link to it."""

import hashlib

from fastapi import Request
from fastapi.responses import Response

from app.localization.formats import LocaleFormat
from app.localization.languages import Language
from app.queries.neurons.claims import neuron_explanations
from app.web.deps import DbSession
from app.web.http.conditional import file_response
from app.web.http.routing import PageRouter
from app.web.neuron.address import ROUTE, Head
from app.web.neuron.claim import NeuronClaim, claim_of

router = PageRouter()


@router.get(f"{ROUTE}/preview.png", include_in_schema=False)
@router.head(f"{ROUTE}/preview.png", include_in_schema=False)
def preview(session: DbSession, request: Request, head: Head) -> Response:
    """The neuron's address, what is claimed of it, and how that scores."""
    from app.web.rendering.preview import Preview, preview_png  # Pillow, of this page alone: 2 MB of every process

    claim = claim_of(head, neuron_explanations(session, neuron_id=head.id), None)
    text = claim.shown.text if claim.shown else "Not explained yet."
    content = preview_png(Preview(f"{head.subject}  {head.layer}/{head.index}", text, _score(claim)))
    digest = hashlib.sha256(content).hexdigest()[:16]
    return file_response(request, content, None, digest, media_type="image/png")


def _score(claim: NeuronClaim) -> str:
    headline = claim.headline
    if headline is None or headline.score.value is None:
        return ""
    kind = "Whole-corpus score" if headline.is_whole_corpus else "2023 score"
    return f"{kind} {LocaleFormat(Language.ENGLISH).score(headline.score.value)}"
