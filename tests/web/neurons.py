"""A score and an explanation for the neuron of the fixtures, stored as an import stores them."""

from app.domain.authors import AuthorKind
from app.domain.results import ExplanationResult, ScoreResult
from app.models import Neuron
from app.queries.explanations.standing import refresh_current
from app.queries.explanations.store import Author, store_explanation
from tests.factories import Make

SCORE = ScoreResult(
    "correlation",
    "top_and_random",
    0.62,
    n_valid=9,
    n_failed=1,
    interval=(0.5, 0.7),
    token_lookup_baseline=0.58,
    shuffled_baseline=0.03,
)


def explain(make: Make, neuron: Neuron, result: ExplanationResult) -> int:
    """Store it as the neuron's current explanation; its id."""
    explanation_id = store_explanation(
        make.session, neuron_id=neuron.id, result=result, author=Author(AuthorKind.IMPORT, "gpt-4")
    )
    refresh_current(make.session, neuron_id=neuron.id)
    make.session.refresh(neuron)
    return explanation_id
