"""One neuron whose headline is on every page and JSON twin: the same number, kind and verdict line.

It is explained by a run, then estimated for the whole corpus, then executed; each time another score speaks.
"""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from app.domain.authors import AuthorKind
from app.domain.doubts import Doubt
from app.domain.executed import LevelCounts, NeuronTotals, execution
from app.domain.results import ExplanationResult, ScoreResult
from app.localization.formats import ENGLISH
from app.models import Batch, Flag, Neuron, Run, Score, Subject
from app.queries.checks.store import CheckResult, collection_to_check, store_checks
from app.queries.explanations.standing import refresh_current
from app.queries.explanations.store import Author, store_explanation
from app.queries.review.flags import open_flag, resolve_flag
from app.queries.review.taking import Reviewer
from app.queries.subjects.null_twins import rank_against_null_twins
from tests.factories import Make, WholeCorpus
from tests.web.conftest import Context, LogIn
from tests.web.twins import both

OLD = (
    ScoreResult("correlation", "top_and_random", 0.8, 10, 0, simulator="lexical", token_lookup_baseline=0.5),
    ScoreResult("correlation", "random", 0.86, 5, 0, simulator="lexical", interval=(0.0, 0.95)),
    ScoreResult("correlation_margin", "top_and_random", 0.2, 10, 0, simulator="lexical", interval=(0.1, 0.3)),
)
LINES = {
    "score_2023": "2023 score only; beats its token table by 0.20; doubtful on random text (0.86, 0.00 to 0.95)",
    "estimated": "perhaps better than its token table (−0.02 to +0.18); too broad (true on 10% of what it claims)",
    "executed": "beats its token table by 0.07; too broad (true on 9% of what it claims)",
}
PERCENTILES = {"score_2023": 0.5, "estimated": 1.0, "executed": None}
"""Of the twin's two neurons, whose 2023 scores are .75 and .9, their estimates .2 and .3; nothing of it is executed."""


@dataclass
class Told:
    """The neuron's only explanation, with the score that speaks for it."""

    kind: str
    value: float
    simulator: str
    run: Run
    flag_id: int
    explanation_id: int

    @property
    def old(self) -> float:
        """The 2023 score, which is shown beside the headline."""
        return 0.8


@pytest.fixture(params=LINES)
def told(request: pytest.FixtureRequest, make: Make) -> Told:
    """A run that has explained a neuron, and whose explanation is flagged."""
    kind: str = request.param
    subject, twin, method = make.subject(), make.subject("tiny-null-twin"), make.method()
    twin.null_twin_of_id = subject.id
    for index, (of_2023, estimate) in enumerate(((0.75, 0.2), (0.9, 0.3))):
        make.explained(make.neuron(twin, index=index), value=of_2023, whole=WholeCorpus(estimate))
    neuron = make.neuron(subject)
    make.collected(neuron, subject, token_ids=[4], token_means=[0.12], token_counts=[100])
    batch = Batch(subject_id=subject.id, method_id=method.id, n_runs=1)
    make.session.add(batch)
    make.session.flush()
    run = Run(batch_id=batch.id, neuron_id=neuron.id, method_id=method.id, status="succeeded")
    make.session.add(run)
    make.session.flush()
    whole = () if kind == "score_2023" else WholeCorpus(0.4, precision=0.1, margin=0.08).scores("lexical")
    author = Author(AuthorKind.METHOD, method.name, method.id, run.id, collection_id=subject.collection_id)
    result = ExplanationResult('fires on " import"', scores=(*OLD, *whole))
    explanation_id = store_explanation(make.session, neuron_id=neuron.id, result=result, author=author)
    value, simulator = (0.8, "lexical") if kind == "score_2023" else (0.4, "lexical")
    if kind == "executed":
        value, simulator = _execute(make, subject, explanation_id)
    refresh_current(make.session, neuron_id=neuron.id)
    rank_against_null_twins(make.session)
    flag_id = open_flag(
        make.session, explanation_id=explanation_id, account_id=make.account().id, reason="wrong", note=""
    )
    make.session.flush()
    return Told(kind, value, simulator, run, flag_id, explanation_id)


def _execute(make: Make, subject: Subject, explanation_id: int) -> tuple[float, str]:
    """Store a check as the pass over the corpus does; the executed score and its simulator."""
    tokens, firing, sums = np.zeros(11, dtype=np.int64), np.zeros(11, dtype=np.int64), np.zeros(11)
    tokens[5], firing[5], sums[5] = 100, 9, 20.0
    totals = NeuronTotals(n_tokens=800, mean=0.1, variance=0.2, n_firing=10)
    result = CheckResult(explanation_id, '" import"', execution(totals, LevelCounts(tokens, firing, sums)), {})
    checked = collection_to_check(make.session, slug=subject.slug)
    store_checks(make.session, checked=checked, results=[result], unreadable=[], code_version="test")
    score = make.session.query(Score).filter_by(explanation_id=explanation_id, scorer="executed").one()
    assert score.value is not None
    return score.value, score.simulator or ""


def shown_by(headline: Any) -> tuple[str, float, str]:
    return headline.kind, headline.score.value, headline.score.simulator


def test_the_list_shows_it(client: TestClient, told: Told, context: Context) -> None:
    for page in both(client, "/tiny", context):
        (row,) = page.rows
        assert (row.headline_kind, row.headline, row.simulator) == (told.kind, told.value, told.simulator)
        assert (row.score, row.twin_percentile) == (told.old, PERCENTILES[told.kind])
        assert "; ".join(row.verdict.phrases) == LINES[told.kind]
    cells = client.get("/tiny").text.partition('<td class="score">')[2].partition('<td class="text">')[0]
    whole, old = cells.split('<td class="number" data-label="2023 score">')
    assert (f"<b>{ENGLISH.score(told.value)}</b>" in whole) == (told.kind != "score_2023")
    assert ("<b>0.80</b>" in old) == (told.kind == "score_2023")


@pytest.mark.parametrize("path", ["/tiny/0/0", "/tiny/0/0?explanation={id}"])
def test_a_neurons_page_shows_it(client: TestClient, told: Told, context: Context, path: str) -> None:
    path = path.format(id=told.explanation_id)
    for page in both(client, path, context):
        assert shown_by(page.claim.headline) == (told.kind, told.value, told.simulator)
        assert page.claim.score_2023.value == told.old
        share = PERCENTILES[told.kind]
        assert (page.claim.twin is None) == (share is None)
        if share is not None:
            assert 1 - page.claim.twin.n_at_least / page.claim.twin.n_scored == share
    html = " ".join(client.get(path).text.split())
    big = html.partition('<p class="big">')[2].partition("</p>")[0]
    assert f"<b>{ENGLISH.score(told.value)}</b>" in big
    assert ("2023 score" in big) == (told.kind == "score_2023")
    assert "<b>0.80</b>" in html
    assert ("The precision side is unknown" in html) == (told.kind == "score_2023")


def test_the_explanations_own_page_marks_it(client: TestClient, told: Told, context: Context) -> None:
    path = f"/explanations/{told.explanation_id}"
    client.get(path)
    row = context().explanation.row
    assert shown_by(row.headline) == (told.kind, told.value, told.simulator)
    html = client.get(path).text
    marked = html.partition("<small>headline</small>")[2].partition("</tr>")[0]
    assert f">{ENGLISH.score(told.value)}</td>" in marked


def test_comparison_shows_it(client: TestClient, told: Told, context: Context) -> None:
    for page in both(client, "/tiny/0/0/compare", context):
        (column,) = page.columns
        assert shown_by(column.headline) == (told.kind, told.value, told.simulator)


def test_the_batch_and_the_run_show_it(client: TestClient, told: Told, log_in_as: LogIn, context: Context) -> None:
    log_in_as("bob")
    for page in both(client, f"/batches/{told.run.batch_id}", context):
        (run,) = page.runs
        assert shown_by(run.result.headline) == (told.kind, told.value, told.simulator)
    for page in both(client, f"/runs/{told.run.id}", context):
        assert shown_by(page.run.result.headline) == (told.kind, told.value, told.simulator)
        assert page.run.result.score == told.old


def test_flags_show_it(client: TestClient, told: Told, context: Context) -> None:
    for page in both(client, "/flags", context):
        (flag,) = page.flags
        assert (*shown_by(flag.headline), flag.score) == (told.kind, told.value, told.simulator, told.old)
    for page in both(client, f"/flags/{told.flag_id}", context):
        assert shown_by(page.flag.headline) == (told.kind, told.value, told.simulator)


PAGES = ("/tiny", "/tiny/0/0", "/tiny/0/0/compare", "/flags", "/flags/{flag}", "/batches/{batch}", "/runs/{run}")


@pytest.mark.parametrize("path", PAGES)
def test_the_same_line_is_on_every_page(client: TestClient, told: Told, log_in_as: LogIn, path: str) -> None:
    log_in_as("bob")
    response = client.get(path.format(batch=told.run.batch_id, run=told.run.id, flag=told.flag_id))
    assert response.status_code == 200
    assert f'<p class="verdict-line doubtful">{LINES[told.kind]}</p>' in response.text


def test_the_same_line_is_on_the_item_that_reviewers_have_judged(
    client: TestClient, make: Make, told: Told, log_in_as: LogIn, context: Context
) -> None:
    bob = log_in_as("bob")
    resolve_flag(make.session, flag_id=told.flag_id, reviewer=Reviewer(bob.id), kind="wrong", note="")
    item_id = make.session.get_one(Flag, told.flag_id).item_id
    for page in both(client, f"/items/{item_id}", context):
        assert shown_by(page.standing.headline) == (told.kind, told.value, told.simulator)
    assert f'<p class="verdict-line doubtful">{LINES[told.kind]}</p>' in client.get(f"/items/{item_id}").text


def test_a_neurons_page_explains_its_doubts(client: TestClient, told: Told, context: Context) -> None:
    html = client.get("/tiny/0/0").text
    expected = Doubt.NOT_ON_RANDOM if told.kind == "score_2023" else Doubt.TOO_BROAD
    assert [raised.doubt for raised in context().claim.shown.doubts] == [expected]
    assert expected.sentence in html


def test_it_is_what_is_kept_with_the_neuron(make: Make, told: Told) -> None:
    """A column of lists holds scores of one kind each, so that nothing of two kinds is ranked."""
    neuron = make.session.get_one(Neuron, told.run.neuron_id)
    assert neuron.current_score == told.old
    assert neuron.headline_score == (None if told.kind == "score_2023" else told.value)


def test_2023_scores_of_two_simulators_are_told_apart_beside_executed_headlines_of_one(
    client: TestClient, make: Make, context: Context
) -> None:
    subject = make.subject()
    own = {0: "structured", 1: "structured+linear"}
    for index, simulator in own.items():
        explanation_id = make.explained(make.neuron(subject, index=index), '" import"', simulator=simulator)
        _execute(make, subject, explanation_id)
    found = client.get("/search?words=import&sort=-score").text
    html = client.get("/tiny?sort=-score").text
    for shown in (html, found):
        assert "2023 scores of different simulators are shown" in shown
        assert all(f"<small>{simulator}</small>" in shown for simulator in own.values())
    assert (context().simulators, context().mixed) == (("lexical", *own.values()), ("score",))
    assert {row.index: (row.simulator, row.score_simulator) for row in context().rows} == {
        index: ("lexical", simulator) for index, simulator in own.items()
    }
    for address in ("/tiny/neurons.jsonl", "/api/subjects/tiny/neurons"):
        lines = [json.loads(line) for line in client.get(address).text.splitlines()]
        assert {x["index"]: (x["whole_corpus_simulator"], x["score_2023_simulator"]) for x in lines} == {
            index: ("lexical", simulator) for index, simulator in own.items()
        }
    assert "2023 scores of different" not in client.get("/tiny?sort=-score&simulator=structured").text
    for query, n in {
        "": 2,
        "&headline_min=-1": 2,
        "&score_min=0.2": 0,
        "&score_min=0.2&headline_min=-1": 2,
    }.items():
        assert len(client.get(f"/tiny.json?simulator=lexical{query}").json()["rows"]) == n, query
