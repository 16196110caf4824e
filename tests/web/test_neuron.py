import re
from dataclasses import replace

import pytest
from sqlalchemy import Engine, func, select
from starlette.testclient import TestClient

from app.domain.activations import SampleKind
from app.domain.results import ExplanationResult
from app.models import Event, Explanation, Flag, Neuron, Run, Subject
from tests.factories import Make
from tests.queries import counted_queries
from tests.web.conftest import HTMX, Context, LogIn
from tests.web.neurons import SCORE, explain


def test_a_neurons_page_shows_claim_and_evidence(
    client: TestClient, make: Make, neuron: Neuron, context: Context
) -> None:
    explain(make, neuron, ExplanationResult("fires on imports", scores=(SCORE,)))

    answer = client.get("/tiny/1/2")

    page = context()
    assert page.claim.score_2023.value == 0.62
    assert page.samples[0].kind is SampleKind.TOP
    assert (page.trail.previous, page.trail.next) == ("/tiny/1/1", "/tiny/1/3")
    for fact in ("fires on imports", "0.62", "0.50 to 0.70", "9 valid, 1 failed", "0.58", "0.03"):
        assert fact in answer.text


def test_text_of_models_and_corpora_is_escaped(client: TestClient, make: Make, subject: Subject) -> None:
    evil = make.neuron(subject, index=3)
    explain(make, evil, ExplanationResult("<script>alert(1)</script>", provenance={"raw": "</pre><img src=x>"}))
    html = client.get("/tiny/0/3").text
    assert "<script>alert" not in html
    assert "<img" not in html


def test_the_number_of_queries_does_not_grow_with_what_is_shown(
    client: TestClient, make: Make, subject: Subject, neuron: Neuron, engine: Engine
) -> None:
    bare = make.neuron(subject, index=0)
    for kind in list(SampleKind)[1:]:
        make.sample(neuron, subject, kind, rows=[(0.0, 1.0)] * 20)
    for number in range(5):
        explain(make, neuron, ExplanationResult(f"number {number}", scores=(SCORE, replace(SCORE, scorer="other"))))
    client.get("/tiny/1/2")  # the vocabulary is loaded once per process
    with counted_queries(engine) as full:
        client.get("/tiny/1/2")
    with counted_queries(engine) as empty:
        client.get(f"/tiny/{bare.layer}/{bare.index}")
    assert len(full) == 2
    assert len(empty) <= len(full)


def test_the_percentile_counts_the_neurons_of_the_layer(
    client: TestClient, make: Make, subject: Subject, context: Context
) -> None:
    for index, score in enumerate((0.1, 0.3, 0.5)):
        make.explained(make.neuron(subject, layer=0, index=index), value=score)
    make.explained(make.neuron(subject, layer=0, index=3), value=0.2, simulator="structured")
    make.explained(make.neuron(subject, layer=1, index=0), value=0.0)
    client.get("/tiny/0/1")
    assert context().neuron.percentile == pytest.approx(1 / 3)


def test_another_explanation_can_be_shown(client: TestClient, make: Make, neuron: Neuron, context: Context) -> None:
    explain(make, neuron, ExplanationResult("the best", scores=(SCORE,)))
    other = explain(make, neuron, ExplanationResult("the other"))
    client.get("/tiny/1/2")
    assert context().claim.shown.text == "the best"
    client.get(f"/tiny/1/2?explanation={other}")
    assert context().claim.shown.text == "the other"
    assert client.get("/tiny/1/2?explanation=999999999").status_code == 404


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/none/0/0", 404),
        ("/tiny/9/0", 404),
        ("/tiny/0/99999999999999999999", 404),
        ("/tiny/99999/0", 404),
        ("/tiny/-1/0", 404),
        ("/tiny/x/0", 404),
        ("/ti%00ny/0/0", 404),
        ("/tiny/1/2?explanation=x", 422),
        ("/tiny/1/2?explanation=99999999999999999999", 422),
    ],
)
def test_missing_and_malformed_addresses_have_different_errors(
    client: TestClient, neuron: Neuron, path: str, status: int
) -> None:
    assert client.get(path).status_code == status
    assert client.get(path.replace("?", ".json?") if "?" in path else f"{path}.json").status_code == status


def test_an_index_out_of_range_says_what_there_is(client: TestClient, subject: Subject) -> None:
    assert "layers 0 to 1 with neurons 0 to 3" in client.get("/tiny/0/9").text


def test_the_first_and_the_last_neuron_have_one_neighbour(
    client: TestClient, make: Make, subject: Subject, context: Context
) -> None:
    make.neuron(subject, layer=0, index=0)
    make.neuron(subject, layer=1, index=3)
    client.get("/tiny/0/0")
    assert (context().trail.previous, context().trail.next) == (None, "/tiny/0/1")
    client.get("/tiny/1/3")
    assert (context().trail.previous, context().trail.next) == ("/tiny/1/2", None)


@pytest.mark.parametrize("name", [None, "charlie"])
def test_a_flag_needs_an_account(
    client: TestClient, make: Make, neuron: Neuron, log_in_as: LogIn, name: str | None
) -> None:
    explanation_id = explain(make, neuron, ExplanationResult("x"))
    if name is not None:
        log_in_as(name)
    answer = client.post("/tiny/1/2/flags", data={"explanation_id": explanation_id, "reason": "wrong"})
    assert answer.status_code == (401 if name is None else 303)


def test_a_flag_is_stored_counted_and_in_the_history(
    client: TestClient, make: Make, neuron: Neuron, log_in_as: LogIn, context: Context
) -> None:
    explanation_id = explain(make, neuron, ExplanationResult("x"))
    log_in_as("charlie")
    form = {"explanation_id": explanation_id, "reason": "too_broad", "note": "it also fires on <b>"}
    client.post("/tiny/1/2/flags", data=form)

    answer = client.get("/tiny/1/2")

    assert context().neuron.n_open_flags == 1
    assert context().history[0].text == "Flagged as too broad"
    assert "it also fires on &lt;b&gt;" in answer.text
    assert make.session.scalar(select(func.count()).where(Event.kind == "flag.opened")) == 1


def test_htmx_gets_the_flags_alone(client: TestClient, make: Make, neuron: Neuron, log_in_as: LogIn) -> None:
    explanation_id = explain(make, neuron, ExplanationResult("x"))
    log_in_as("charlie")
    answer = client.post(
        "/tiny/1/2/flags",
        data={"explanation_id": explanation_id, "reason": "wrong"},
        headers=HTMX,
    )
    assert answer.text.lstrip().startswith('<div id="_flags"')


def test_what_is_flagged_is_listed_with_the_form_folded(
    client: TestClient, make: Make, neuron: Neuron, log_in_as: LogIn
) -> None:
    explanation_id = explain(make, neuron, ExplanationResult("x"))
    for name in ("charlie", "bob", "alice"):
        log_in_as(name)
        client.post("/tiny/1/2/flags", data={"explanation_id": explanation_id, "reason": "wrong", "note": name})
    folded, unfolded = (re.sub(r"\s+", " ", client.get(f"/tiny/1/2{query}").text) for query in ("", "?flagging=true"))
    form = '<details class="act with-explanation" {}> <summary id="flag-summary"'
    assert form.format("") in folded
    assert form.format("open") in unfolded
    assert "<q>charlie</q>" in folded
    assert "1 more open flag</summary>" in folded


def test_a_neuron_without_an_explanation_offers_to_make_one(
    client: TestClient, neuron: Neuron, log_in_as: LogIn
) -> None:
    log_in_as("alice")
    page = client.get("/tiny/1/2").text
    assert 'href="#explain-summary"' in page
    assert 'href="#flag-summary"' not in page
    assert "Queue it for a method, or write an explanation yourself" in page
    assert "Compare with another neuron" in page
    assert "Queue it for a method or write one" in client.get("/tiny/1/2/compare").text


@pytest.mark.parametrize(
    "change", [{"reason": "because"}, {"note": "x" * 5000}, {"note": "\0"}, {"explanation_id": "x"}, {"reason": ""}]
)
def test_a_malformed_flag_is_refused(
    client: TestClient, make: Make, neuron: Neuron, log_in_as: LogIn, change: dict[str, str]
) -> None:
    explanation_id = explain(make, neuron, ExplanationResult("x"))
    log_in_as("charlie")
    form = {"explanation_id": str(explanation_id), "reason": "wrong"} | change
    assert client.post("/tiny/1/2/flags", data=form).status_code == 422
    assert make.session.scalar(select(func.count()).select_from(Flag)) == 0


def test_an_explanation_of_another_neuron_is_not_flagged_here(
    client: TestClient, make: Make, subject: Subject, neuron: Neuron, log_in_as: LogIn
) -> None:
    elsewhere: Explanation = make.explanation(make.neuron(subject))
    log_in_as("charlie")
    answer = client.post("/tiny/1/2/flags", data={"explanation_id": elsewhere.id, "reason": "wrong"})
    assert answer.status_code == 404


@pytest.mark.parametrize(
    ("name", "status"), [(None, 401), ("charlie", 403), ("bob", 403), ("adam", 403), ("olga", 303), ("alice", 303)]
)
def test_reviewers_and_administrators_queue_a_neuron(
    client: TestClient, make: Make, neuron: Neuron, log_in_as: LogIn, name: str | None, status: int
) -> None:
    method = make.method()
    if name is not None:
        log_in_as(name)
    assert client.post("/tiny/1/2/runs", data={"method_id": method.id}).status_code == status
    n_runs = make.session.scalar(select(func.count()).where(Run.neuron_id == neuron.id))
    assert n_runs == (1 if status == 303 else 0)


def test_progress_polls_while_the_run_is_active_and_then_brings_the_new_explanation(
    client: TestClient, make: Make, neuron: Neuron, log_in_as: LogIn
) -> None:
    method = make.method()
    log_in_as("olga")
    queued = client.post("/tiny/1/2/runs", data={"method_id": method.id}, headers=HTMX).text
    assert "1 active run" in queued
    address = re.findall(r'hx-get="([^"]+)"', queued)[0]
    assert 'hx-trigger="every' in client.get(address, headers=HTMX).text

    run = make.session.scalars(select(Run)).one()
    run.status = "succeeded"
    explain(make, neuron, ExplanationResult("a new explanation", scores=(SCORE,)))
    make.session.flush()

    finished = client.get(address, headers=HTMX).text
    assert "hx-trigger" not in finished
    assert 'id="_claim"' in finished
    assert 'hx-swap-oob="true"' in finished
    assert "a new explanation" in finished
    assert "1 explanation<" in finished
    assert "active run" not in finished


def test_progress_is_a_page_too(client: TestClient, neuron: Neuron) -> None:
    assert "has had no run yet" in client.get("/tiny/1/2/progress").text
    assert client.get("/tiny/1/2/progress.json").json()["state"] == "none"
    assert client.get("/tiny/1/2/progress?run=5").status_code == 404


def test_visitors_see_where_to_log_in_rather_than_forms(client: TestClient, make: Make, neuron: Neuron) -> None:
    explain(make, neuron, ExplanationResult("x"))
    html = client.get("/tiny/1/2").text
    assert "<select" not in html
    assert html.count('href="/login"') == 4
