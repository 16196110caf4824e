import re
from html import unescape

import pytest
from starlette.testclient import TestClient

from app.domain.results import ExplanationResult, ScoreResult
from app.models import Method, Neuron
from app.queries.explanations.standing import refresh_current
from app.queries.explanations.store import store_candidates
from tests.factories import Make
from tests.web.conftest import Context


@pytest.fixture
def pair(make: Make) -> tuple[Method, Method]:
    """Two methods that both explained three neurons: 0.1, 0.2, 0.3 against 0.3, 0.5, 0.1."""
    methods = make.method("first"), make.method("second")
    subject = make.subject()
    neurons = [make.neuron(subject, index=i) for i in range(3)]
    for method, scores in zip(methods, ((0.1, 0.2, 0.3), (0.3, 0.5, 0.1)), strict=True):
        for neuron, value in zip(neurons, scores, strict=True):
            make.explained(neuron, value=value, method=method, simulator=method.simulator)
    return methods


def test_methods_show_their_mean_score_with_its_interval(
    client: TestClient, pair: tuple[Method, Method], context: Context
) -> None:
    assert client.get("/methods").status_code == 200
    first = next(m.method for m in context().usable if m.method.name == "first")
    assert first.headline is first.score_2023
    assert first.score_2023.mean.value == pytest.approx(0.2)
    # standard deviation 0.1 over three neurons: t(.975, 2) = 4.3027, times 0.1 / sqrt(3)
    assert first.score_2023.mean.interval == pytest.approx((0.2 - 0.24841, 0.2 + 0.24841), abs=1e-4)


def test_methods_show_how_far_they_are_above_the_token_table(client: TestClient, make: Make, context: Context) -> None:
    method, subject = make.method("first"), make.subject()
    for index, (value, table) in enumerate(((0.5, 0.3), (0.2, 0.3), (0.9, None))):
        neuron: Neuron = make.neuron(subject, index=index)
        score = ScoreResult(
            "correlation", "top_and_random", value, 10, 0, simulator="lexical", token_lookup_baseline=table
        )
        result = ExplanationResult("fires on cats", scores=(score,))
        author = make.run_of(neuron, method)
        store_candidates(make.session, neuron_id=neuron.id, results=[result], author=author)
        refresh_current(make.session, neuron_id=neuron.id)
    client.get("/methods")
    (found,) = (m.method for m in context().usable if m.method.name == "first")
    assert found.score_2023.margin == pytest.approx(0.05)
    assert found.score_2023.share_above_table == 0.5


def test_methods_are_ranked_by_the_whole_corpus_with_the_2023_score_beside_it(
    client: TestClient, make: Make, context: Context
) -> None:
    """Two methods that the two scores order differently; both are named on each page."""
    subject, methods = make.subject(), (make.method("first"), make.method("second"))
    for index in range(3):
        neuron = make.neuron(subject, index=index)
        for method, corpus, old in zip(methods, (0.2, 0.3), (0.9, 0.6), strict=True):
            scores = tuple(
                ScoreResult(scorer, sample, value, 10, 0, simulator="lexical", token_lookup_baseline=table)
                for scorer, sample, value, table in (
                    ("correlation", "top_and_random", old, 0.5),
                    ("whole_corpus", "corpus", corpus, 0.25),
                    ("whole_corpus_margin", "corpus", corpus - 0.25, None),
                )
            )
            result = ExplanationResult("fires on cats", scores=scores)
            store_candidates(make.session, neuron_id=neuron.id, results=[result], author=make.run_of(neuron, method))
        refresh_current(make.session, neuron_id=neuron.id)
    html = unescape(client.get("/methods").text)
    found = {m.method.name: m.method for m in context().usable}
    assert [found[name].headline.mean.value for name in ("first", "second")] == pytest.approx([0.2, 0.3])
    assert [found[name].headline.margin for name in ("first", "second")] == pytest.approx([-0.05, 0.05])
    assert [found[name].score_2023.mean.value for name in ("first", "second")] == pytest.approx([0.9, 0.6])
    assert html.index(">Whole corpus</th>") < html.index(">2023 score</th>")
    page = unescape(client.get(f"/methods/{methods[0].id}").text)
    assert page.index("Mean whole-corpus score") < page.index("Mean 2023 score")
    compared = client.get(f"/methods/compare?first={methods[0].id}&second={methods[1].id}").text
    assert context().comparison.is_whole_corpus
    assert context().comparison.difference.value == pytest.approx(0.1)
    assert "of their whole-corpus scores" in compared


def test_methods_that_cannot_be_queued_stand_under_what_they_need(
    client: TestClient, make: Make, context: Context
) -> None:
    make.method("lexical")
    make.method("old"), make.method("old", version=2)
    make.method("asking").provider = "house"
    make.method("gone").explainer = "magic"
    make.session.flush()
    page = unescape(client.get("/methods").text)
    assert [(m.method.name, m.method.version) for m in context().usable] == [("lexical", 1), ("old", 2)]
    needs = {need: [m.method.name for m in own] for need, own in context().needing.items()}
    assert needs == {
        "A language model named “house”: neuron-audit provider add house": ["asking"],
        "Another version of the program, which knows their steps": ["gone"],
        "Nothing: newer versions of them are used": ["old"],
    }
    assert page.index("Ready to be queued") < page.index("Not usable yet")


def test_two_methods_are_compared_in_pairs(client: TestClient, pair: tuple[Method, Method], context: Context) -> None:
    first, second = pair
    answer = client.get(f"/methods/compare?first={first.id}&second={second.id}")
    found = context().comparison
    assert (found.n, found.n_second_better) == (3, 2)
    assert found.difference.value == pytest.approx(0.1)
    assert (found.pairs[0].first, found.pairs[0].second) == (0.2, 0.5)
    assert [(cell.x, cell.y, cell.n) for cell in found.grid.cells] == [(2, 4, 1), (3, 6, 1), (4, 2, 1)]
    marks = re.findall(r'<a href="(/methods/compare[^"]+)#pairs" aria-label', answer.text)
    assert len(marks) == 3
    client.get(unescape(marks[1]))
    assert [(each.first, each.second) for each in context().comparison.pairs] == [(0.2, 0.5)]


@pytest.mark.parametrize("cell", ["x", "1", "1-", "1-2-3", "100-1", "-1-2"])
def test_a_malformed_square_is_refused(client: TestClient, pair: tuple[Method, Method], cell: str) -> None:
    first, second = pair
    assert client.get(f"/methods/compare?first={first.id}&second={second.id}&cell={cell}").status_code == 422


def test_a_method_without_runs_says_so(client: TestClient, make: Make) -> None:
    method = make.method("unused")
    answer = client.get(f"/methods/{method.id}")
    assert answer.status_code == 200
    assert "there is nothing to average" in answer.text


def test_a_method_shows_each_step_with_its_blind_spot_and_its_needs(
    client: TestClient, make: Make, context: Context
) -> None:
    method = make.method("careful")
    method.explainer, method.simulator, method.scorers = "revise", "all_at_once", ["detection"]
    method.parameters = {"calibration": "linear"}
    make.session.flush()
    html = client.get(f"/methods/{method.id}").text
    assert [step.name for step in context().steps] == ["highlighted", "revise", "all_at_once", "linear", "detection"]
    assert [prompt.name for prompt in context().prompts][:2] == ["explain_highlighted", "write_sentences"]
    for step in context().steps:
        assert step.blind_spot in unescape(html)
    assert "prompt log-probabilities" in html
    assert "the subject itself" in html


def test_a_method_whose_steps_are_gone_is_still_shown(client: TestClient, make: Make, context: Context) -> None:
    method = make.method("old")
    method.explainer = "magic"
    make.session.flush()
    answer = client.get(f"/methods/{method.id}")
    assert answer.status_code == 200
    assert "cannot run the method. There is no explainer called" in answer.text
    assert context().steps == ()


def test_two_methods_without_a_common_neuron_are_no_error(client: TestClient, make: Make) -> None:
    first, second = make.method("first"), make.method("second")
    answer = client.get(f"/methods/compare?first={first.id}&second={second.id}")
    assert "No neuron has been explained and scored by both" in answer.text


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("/methods/999999", 404),
        ("/methods/compare?first=1&second=1", 422),
        ("/methods/compare?first=999998&second=999999", 404),
        ("/methods/compare", 422),
        ("/methods/x", 404),
    ],
)
def test_bad_addresses_are_refused_with_a_page(client: TestClient, address: str, status: int) -> None:
    answer = client.get(address)
    assert answer.status_code == status
    assert "<h1>" in answer.text


def test_methods_have_a_json_twin(client: TestClient, pair: tuple[Method, Method]) -> None:
    names = {m["method"]["name"] for m in client.get("/methods.json").json()["usable"]}
    assert names >= {"first", "second"}


def test_a_method_shows_its_prompts(client: TestClient, make: Make, context: Context) -> None:
    method = make.method("asking")
    method.explainer, method.simulator = "highlighted", "structured"
    make.session.flush()
    answer = client.get(f"/methods/{method.id}")
    assert [p.name for p in context().prompts] == ["explain_highlighted", "simulate_structured"]
    assert context().prompts[0].digest in answer.text


def test_the_methods_page_says_what_scores_detect_and_where_they_fall_short(
    client: TestClient, context: Context
) -> None:
    answer = client.get("/methods")
    truth = context().truth
    assert {"executed", "whole_corpus", "correlation"} <= {scorer.scorer for scorer in truth.scorers}
    assert truth.n_neurons >= 50
    for scorer in truth.scorers:
        assert all(0 <= own.share <= 1 and own.n > 0 for own in scorer.wins.values())
        for short in scorer.shortfalls:
            assert short.label in answer.text
            assert short.sentence in unescape(answer.text)
    assert truth.command in answer.text
