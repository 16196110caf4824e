"""Every page has the same line about a score's meaning under it."""

from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from app.domain.authors import AuthorKind
from app.domain.doubts import Doubt
from app.domain.results import ExplanationResult, ScoreResult
from app.models import Batch, Neuron, Run
from app.queries.explanations.standing import refresh_current
from app.queries.explanations.store import Author, store_explanation
from app.queries.review.flags import open_flag
from tests.factories import Make

LINE = "beats its token table by 0.20; doubtful on random text (0.86, 0.00 to 0.95)"
SCORES = (
    ScoreResult("correlation", "top_and_random", 0.8, 10, 0, simulator="lexical", token_lookup_baseline=0.5),
    ScoreResult("correlation", "random", 0.86, 5, 0, simulator="lexical", interval=(0.0, 0.95)),
    ScoreResult("correlation_margin", "top_and_random", 0.2, 10, 0, simulator="lexical", interval=(0.1, 0.3)),
)


@pytest.fixture
def run(make: Make) -> Run:
    """A run that has explained a neuron, and whose explanation is flagged."""
    subject, method = make.subject(), make.method()
    neuron = make.neuron(subject)
    batch = Batch(subject_id=subject.id, method_id=method.id, n_runs=1)
    make.session.add(batch)
    make.session.flush()
    run = Run(batch_id=batch.id, neuron_id=neuron.id, method_id=method.id, status="succeeded")
    make.session.add(run)
    make.session.flush()
    author = Author(AuthorKind.METHOD, method.name, method.id, run.id)
    result = ExplanationResult('fires on " import"', scores=SCORES)
    explanation_id = store_explanation(make.session, neuron_id=neuron.id, result=result, author=author)
    refresh_current(make.session, neuron_id=neuron.id)
    open_flag(make.session, explanation_id=explanation_id, account_id=make.account().id, reason="wrong", note="")
    return run


@pytest.mark.parametrize(
    "path", ["/tiny", "/tiny/0/0", "/tiny/0/0/compare", "/flags", "/batches/{batch}", "/runs/{run}"]
)
def test_the_same_line_is_on_every_page(
    client: TestClient, run: Run, log_in_as: Callable[[str], object], path: str
) -> None:
    log_in_as("bob")
    answer = client.get(path.format(batch=run.batch_id, run=run.id))
    assert answer.status_code == 200
    assert f'<p class="verdict-line doubtful">{LINE}</p>' in answer.text


def test_a_neurons_page_explains_its_doubts(
    client: TestClient, run: Run, make: Make, context: Callable[[], Any]
) -> None:
    answer = client.get("/tiny/0/0")
    assert [raised.doubt for raised in context().claim.shown.doubts] == [Doubt.NOT_ON_RANDOM]
    assert Doubt.NOT_ON_RANDOM.sentence in answer.text
    assert make.session.get_one(Neuron, run.neuron_id).current_score == 0.8
