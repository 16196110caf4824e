import json
import shlex

import pytest
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from app.domain.authors import AuthorKind
from app.domain.results import ExplanationResult
from app.formats import records
from app.models import Batch, Explanation, LlmCall, Neuron, Provider, Run, Score
from app.queries.explanations.store import Author, store_explanation
from app.queries.imports.judgements import store_judgements
from tests.factories import Make
from tests.web.conftest import Context, LogIn

REQUEST = {"model": "m", "messages": [{"role": "user", "content": "it's <b>\u202e"}], "seed": 1}


@pytest.fixture(autouse=True)
def reader(log_in_as: LogIn) -> None:
    """These pages need an account; a reader's is enough."""
    log_in_as("charlie")


@pytest.fixture
def explained(make: Make) -> tuple[Explanation, LlmCall]:
    """An explanation whose run asked a language model once."""
    subject, method = make.subject(), make.method("asking")
    neuron = make.neuron(subject)
    session = make.session
    batch = Batch(subject_id=subject.id, method_id=method.id, n_runs=1)
    session.add(batch)
    session.add(
        Provider(
            name="house", kind="openai_compatible", model="m", base_url="http://localhost:1/v1", key_variable="KEY"
        )
    )
    session.flush()
    run = Run(batch_id=batch.id, neuron_id=neuron.id, method_id=method.id, status="succeeded")
    session.add(run)
    session.flush()
    explanation = make.explanation(neuron, "fires on <cats>", run_id=run.id, method_id=method.id)
    call = LlmCall(
        run_id=run.id,
        step="explain",
        request_digest="d",
        provider="house",
        request=REQUEST,
        reply={"raw": "yes"},
        outcome="ok",
        attempt=1,
        tokens_in=10,
        tokens_out=2,
        price=0.25,
    )
    session.add_all(
        [
            call,
            Score(
                explanation_id=explanation.id,
                scorer="detection",
                sample="all",
                value=0.7,
                n_valid=9,
                n_failed=1,
                chance=0.5,
            ),
        ]
    )
    session.flush()
    return explanation, call


def test_an_explanation_shows_scores_with_baselines_and_its_calls(
    client: TestClient, explained: tuple[Explanation, LlmCall], context: Context
) -> None:
    explanation, call = explained
    answer = client.get(f"/explanations/{explanation.id}")
    assert context().price == 0.25
    assert [c.id for c in context().explanation.calls] == [call.id]
    assert "fires on &lt;cats&gt;" in answer.text
    assert f'href="/tiny/0/0?explanation={explanation.id}"' in answer.text
    assert ">0.50</td>" in answer.text


def test_the_shuffled_baseline_is_named_as_what_it_is(client: TestClient, make: Make) -> None:
    explanation_id = make.explained(make.neuron(make.subject()), "fires on cats")
    said = {
        f"/explanations/{explanation_id}": "Shuffled baseline: this text on another neuron",
        "/tiny/0/0": "<b>Shuffled baseline</b> What this text reaches on another neuron of the subject.",
    }
    for address, words in said.items():
        page = client.get(address).text
        assert words in page
        assert "neuron's text" not in page
        assert "neuron&#39;s text" not in page


def test_a_call_is_shown_as_it_went_over_the_wire(client: TestClient, explained: tuple[Explanation, LlmCall]) -> None:
    answer = client.get(f"/calls/{explained[1].id}")
    assert "&lt;b&gt;" in answer.text
    assert "\u202e" not in answer.text.split("<h2>Reply</h2>")[0]


def test_the_command_sends_the_same_request_without_the_key(
    client: TestClient, explained: tuple[Explanation, LlmCall], context: Context
) -> None:
    client.get(f"/calls/{explained[1].id}")
    words = shlex.split(context().curl.replace("\\\n", ""))
    assert words[1] == "http://localhost:1/v1/chat/completions"
    assert "Authorization: Bearer $KEY" in words
    assert json.loads(words[-1]) == REQUEST


def test_an_estimated_price_is_marked_wherever_it_is_shown(
    client: TestClient, explained: tuple[Explanation, LlmCall], context: Context, session: Session
) -> None:
    explanation, call = explained
    assert "estimated:" not in client.get(f"/calls/{call.id}").text
    call.is_estimated = True
    session.flush()
    assert "estimated: the endpoint reported no token counts" in client.get(f"/calls/{call.id}").text
    page = client.get(f"/explanations/{explanation.id}")
    assert "in part estimated" in page.text
    assert context().is_price_estimated
    client.get("/bill")
    assert [line.price_estimated for line in context().lines] == [0.25]


@pytest.mark.parametrize("by", ["day", "provider", "method", "person"])
def test_the_bill_sums_up_calls(
    client: TestClient, explained: tuple[Explanation, LlmCall], context: Context, by: str
) -> None:
    assert client.get(f"/bill?by={by}").status_code == 200
    assert [(line.calls, line.price) for line in context().lines] == [(1, 0.25)]


@pytest.mark.parametrize(
    ("address", "status"),
    [("/explanations/99999", 404), ("/calls/99999", 404), ("/bill?by=mood", 422), ("/bill?since=tomorrow", 422)],
)
def test_what_is_not_there_is_refused_with_a_page(client: TestClient, address: str, status: int) -> None:
    answer = client.get(address)
    assert answer.status_code == status
    assert "<h1>" in answer.text


def test_provenance_is_facts_with_links_and_json_on_demand(client: TestClient, make: Make) -> None:
    neuron = make.neuron(make.subject(), layer=1, index=2)
    provenance = {"seed": 5, "shown": {"train": [7]}, "raw": {"deep": {"er": [1, 2, [3]]}}}
    result = ExplanationResult("fires on cats", provenance=provenance)
    author = Author(AuthorKind.IMPORT, "gpt-4")
    explanation_id = store_explanation(make.session, neuron_id=neuron.id, result=result, author=author)
    make.session.flush()
    html = client.get(f"/explanations/{explanation_id}").text
    assert '<a href="/tiny/1/2/excerpts/7">7</a>' in html
    assert html.index("Seed") < html.index("All of it as JSON") < html.index("&#34;deep&#34;")
    assert f"explanation {explanation_id} of neuron tiny 1/2 by gpt-4 (import)" in html
    assert f"http://localhost/explanations/{explanation_id}" in html


def test_what_was_judged_elsewhere_is_shown_as_such(client: TestClient, session: Session, neuron: Neuron) -> None:
    explanation = Explanation(neuron_id=neuron.id, text="cats", author_kind="import", author="file")
    session.add(explanation)
    session.flush()
    flag = records.Flag("wrong", "No <b>cat</b>.", "zoë", "2026-01-02", "upheld")
    verdict = records.Verdict("March", "yan", "holds", None, "sure", "", "2026-01-03")
    store_judgements(session, found={explanation.id: records.Explanation("cats", flags=[flag], verdicts=[verdict])})
    page = client.get(f"/explanations/{explanation.id}").text
    assert "Judged elsewhere" in page
    assert "No &lt;b&gt;cat&lt;/b&gt;." in page
    assert "March" in page
    found = client.get(f"/explanations/{explanation.id}.json").json()["explanation"]["elsewhere"]
    assert [each["is_imported"] for each in (*found["flags"], *found["verdicts"])] == [True, True]
