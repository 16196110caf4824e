from typing import Any

import pytest
from sqlalchemy import Engine, select
from starlette.testclient import TestClient

from app.domain.doubts import Doubt
from app.models import Batch, Collection, Event, Method, Neuron, Run, Subject
from app.queries.subjects.null_twins import rank_against_null_twins
from tests.factories import Make, WholeCorpus
from tests.queries import counted_queries
from tests.web.conftest import HTMX, Context, LogIn


@pytest.fixture
def subject(make: Make) -> Subject:
    """Five neurons in two layers; the first three are explained."""
    subject = make.subject(n_layers=2, neurons_per_layer=4)
    for index, text in enumerate(["fires on cats", 'fires on " import"', "<b>bold</b> \u202eback"]):
        neuron = make.neuron(subject, index=index, current_score=0.9 - index / 10, current_text=text, n_explanations=1)
        neuron.current_explanation_id = make.explanation(neuron, text).id
    make.neuron(subject, layer=1, index=0)
    make.neuron(subject, layer=1, index=1)
    make.session.flush()
    return subject


def places(context: Context) -> list[tuple[int, int]]:
    return [(row.layer, row.index) for row in context().rows]


def test_the_best_scores_are_first_and_the_unexplained_last(
    client: TestClient, subject: Subject, context: Context
) -> None:
    answer = client.get("/tiny")
    assert answer.status_code == 200
    assert places(context) == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]
    assert 'href="/tiny/0/1?list=sort%3D-score"' in answer.text
    assert "fires on <code><s> </s>import</code>" in answer.text


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("layer=1", [(1, 0), (1, 1)]),
        ("words=cat", [(0, 0)]),
        ("score_max=0.85&score_min=0,75", [(0, 1)]),
        ("rate_min=4.9 %25&rate_max=0.06&state=unexplained", [(1, 0), (1, 1)]),
        ("rate_min=&layer=&state=&words=&sort=score", [(0, 2), (0, 1), (0, 0), (1, 0), (1, 1)]),
        ("layer_min=1&layer_max=1&index_max=0", [(1, 0)]),
        ("index_min=1&index_max=2&sort=position", [(0, 1), (0, 2), (1, 1)]),
        ("sort=-position&layer=0", [(0, 2), (0, 1), (0, 0)]),
        ("doubt=too_broad", []),
    ],
)
def test_the_form_filters_and_sorts(
    client: TestClient, subject: Subject, context: Context, query: str, expected: list[tuple[int, int]]
) -> None:
    assert client.get(f"/tiny?{query}").status_code == 200
    assert places(context) == expected
    assert context().matches.number == len(expected)


def test_pages_are_linked_both_ways_and_keep_the_filters(
    client: TestClient, subject: Subject, context: Context, app: Any
) -> None:
    app.state.settings = app.state.settings.model_copy(update={"page_size": 2})
    client.get("/tiny?sort=position&words=&layer=0")
    first, address = places(context), context().next
    assert address.startswith("/tiny?layer=0&sort=position&after=")

    answer = client.get(address)
    assert (first, places(context)) == ([(0, 0), (0, 1)], [(0, 2)])
    assert 'rel="prev"' in answer.text
    client.get(context().previous)
    assert places(context) == first


def test_notes_on_the_collection_are_above_the_list(client: TestClient, make: Make, subject: Subject) -> None:
    assert "on the collection" not in client.get("/tiny").text
    collection = make.session.get_one(Collection, subject.collection_id)
    collection.notes = [
        "left out <b>.pdf: a PDF",
        "1 weights in the files are not used by this architecture: score.weight",
    ]
    make.session.flush()
    html = client.get("/tiny").text
    assert "2 notes on the collection" in html
    assert "left out &lt;b&gt;.pdf: a PDF" in html


def test_htmx_gets_the_results_alone(client: TestClient, subject: Subject) -> None:
    part = client.get("/tiny?layer=1", headers=HTMX)
    assert part.text.lstrip().startswith('<section id="_results"')
    assert "HX-Request" in part.headers["vary"]


def test_text_of_models_is_escaped_and_shows_what_would_hide(client: TestClient, subject: Subject) -> None:
    text = client.get("/tiny").text
    assert "&lt;b&gt;bold&lt;/b&gt; ⟨U+202E⟩back" in text
    assert "<b>bold" not in text


def test_the_twin_says_the_same(client: TestClient, subject: Subject) -> None:
    twin = client.get("/tiny.json?words=cats").json()
    assert [row["explanation"] for row in twin["rows"]] == ["fires on cats"]
    assert twin["matches"] == {"number": 1, "exact": True}


def test_a_search_for_punctuation_gets_advice(client: TestClient, subject: Subject, context: Context) -> None:
    answer = client.get("/tiny?words=!")
    assert answer.status_code == 200
    assert "only punctuation" in answer.text


def test_a_subject_without_neurons_says_when_they_come(client: TestClient, make: Make) -> None:
    make.subject("empty")
    assert "This subject has no neurons yet" in client.get("/empty").text


@pytest.mark.parametrize(
    "query",
    [
        "layer=x", "layer=-1", "layer=99999", "layer=1.5", "score_min=abc", "score_max=nan", "rate_min=%25",
        "state=happy", "sort=luck", "doubt=ugly", "twin_min=x", "margin_max=inf", "headline_min=-",
        "order=score", "scoremin=0.5", "layer=0&layer=1", "STATE=explained",
        "words=" + "x" * 201, "words=a%00b", "after=x", "before=%40", "after=1%401%4099",
        "layer=" + "1" * 50, "rate_max=1e999",
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/tiny", "/tiny.json"])
def test_what_cannot_be_used_is_refused_with_advice(
    client: TestClient, subject: Subject, path: str, query: str
) -> None:
    answer = client.get(f"{path}?{query}")
    assert answer.status_code == 422
    assert "Go back" in answer.text


@pytest.mark.parametrize("path", ["/nothing", "/nothing.json", "/TINY", "/nothing/queue?method=1&all=true"])
def test_an_unknown_subject_is_not_found(client: TestClient, log_in_as: LogIn, subject: Subject, path: str) -> None:
    log_in_as("olga")
    assert client.get(path).status_code == 404


def test_the_list_takes_few_queries_however_long_it_is(
    client: TestClient, subject: Subject, make: Make, engine: Engine, log_in_as: LogIn
) -> None:
    log_in_as("olga")
    for index in range(4, 40):
        make.neuron(subject, index=index)
    with counted_queries(engine) as sent:
        client.get("/tiny")
    assert len(sent) <= 5


class TestQueueing:
    """From the list over the confirmation to the batch."""

    @pytest.fixture
    def method(self, make: Make) -> Method:
        return make.method()

    def test_only_reviewers_see_the_boxes(
        self, client: TestClient, subject: Subject, method: Method, log_in_as: LogIn
    ) -> None:
        assert 'name="neuron"' not in client.get("/tiny").text
        log_in_as("olga")
        assert client.get("/tiny").text.count('name="neuron"') == 5

    def test_the_confirmation_shows_how_many_and_how_many_are_active(
        self, client: TestClient, subject: Subject, method: Method, log_in_as: LogIn, context: Context, make: Make
    ) -> None:
        log_in_as("olga")
        self.add_active_run(make, subject, method)
        answer = client.get(f"/tiny/queue?all=true&layer=0&method={method.id}")
        assert (context().n_neurons, context().n_active, context().neuron_ids) == (3, 1, ())
        assert "Queue 3 neurons again?" in answer.text
        assert 'value="layer=0"' in answer.text

    def test_all_that_match_are_queued_and_lead_to_the_batch(
        self, client: TestClient, subject: Subject, method: Method, log_in_as: LogIn, make: Make
    ) -> None:
        log_in_as("olga")
        sent = {"method_id": method.id, "n_neurons": 2, "filters": "state=unexplained"}
        answer = client.post("/tiny/queue", data=sent)
        batch = make.session.scalars(select(Batch)).one()
        assert (answer.status_code, answer.headers["location"]) == (303, f"/batches/{batch.id}")
        queued = select(Neuron.layer).join(Run, Run.neuron_id == Neuron.id)
        assert make.session.scalars(queued).all() == [1, 1]
        assert "batch.queued" in make.session.scalars(select(Event.kind)).all()

    def test_neurons_chosen_one_by_one_are_queued(
        self, client: TestClient, subject: Subject, method: Method, log_in_as: LogIn, make: Make, context: Context
    ) -> None:
        log_in_as("olga")
        ids = list(make.session.scalars(select(Neuron.id).where(Neuron.layer == 0).limit(2)))
        client.get("/tiny/queue", params={"neuron": ids, "method": method.id, "words": "cats"})
        assert (context().n_neurons, context().back) == (2, "/tiny?words=cats")
        client.post("/tiny/queue", data={"method_id": method.id, "n_neurons": 2, "neuron": ids})
        assert sorted(make.session.scalars(select(Run.neuron_id))) == sorted(ids)

    def test_a_number_that_has_changed_is_shown_again(
        self, client: TestClient, subject: Subject, method: Method, log_in_as: LogIn, make: Make
    ) -> None:
        log_in_as("olga")
        answer = client.post("/tiny/queue", data={"method_id": method.id, "n_neurons": 4, "filters": ""})
        assert answer.status_code == 409
        assert "The set of matching neurons has changed" in answer.text
        assert 'name="n_neurons" value="5"' in answer.text
        assert make.session.scalars(select(Run.id)).all() == []

    @pytest.mark.parametrize(
        ("sent", "status"),
        [
            ({}, 422),
            ({"n_neurons": 0, "filters": "words=zebra"}, 422),
            ({"n_neurons": 1, "filters": "layer=x"}, 422),
            ({"n_neurons": 1, "filters": "words=%00"}, 422),
            ({"n_neurons": 1, "filters": "&".join(["layer=1"] * 50)}, 422),
            ({"n_neurons": 1, "neuron": "x"}, 422),
            ({"n_neurons": 1, "neuron": str(2**70)}, 404),
            ({"n_neurons": 5, "method_id": 10**9}, 404),
            ({"n_neurons": 5, "method_id": 2**64}, 422),
        ],
    )
    def test_nothing_is_queued_from_what_cannot_be_used(
        self, client: TestClient, subject: Subject, method: Method, log_in_as: LogIn, make: Make,
        sent: dict[str, Any], status: int,
    ) -> None:  # fmt: skip
        log_in_as("olga")
        assert client.post("/tiny/queue", data={"method_id": method.id, **sent}).status_code == status
        assert make.session.scalars(select(Batch.id)).all() == []

    def test_an_empty_selection_gets_advice(
        self, client: TestClient, subject: Subject, method: Method, log_in_as: LogIn
    ) -> None:
        log_in_as("olga")
        answer = client.get(f"/tiny/queue?method={method.id}")
        assert answer.status_code == 422
        assert "Tick neurons in the list" in answer.text

    @pytest.mark.parametrize(("name", "status"), [(None, 401), ("charlie", 403)])
    def test_readers_may_not_queue(
        self, client: TestClient, subject: Subject, method: Method, log_in_as: LogIn, name: str | None, status: int
    ) -> None:
        if name is not None:
            log_in_as(name)
        assert client.get(f"/tiny/queue?all=true&method={method.id}").status_code == status
        sent = {"method_id": method.id, "n_neurons": 5}
        assert client.post("/tiny/queue", data=sent).status_code == status

    @staticmethod
    def add_active_run(make: Make, subject: Subject, method: Method) -> None:
        neuron = make.session.scalars(select(Neuron).where(Neuron.layer == 0).limit(1)).one()
        batch = Batch(subject_id=subject.id, method_id=method.id, n_runs=1)
        make.session.add(batch)
        make.session.flush()
        make.session.add(Run(batch_id=batch.id, neuron_id=neuron.id, method_id=method.id))
        make.session.flush()


@pytest.fixture
def judged(make: Make) -> Subject:
    """Five explained neurons with a null twin: good, too broad, too narrow, imported, and one that tokens explain."""
    subject, twin = make.subject(n_layers=1, neurons_per_layer=5), make.subject("tiny-null-twin")
    twin.null_twin_of_id = subject.id
    figures = (
        WholeCorpus(0.7),
        WholeCorpus(0.3, precision=0.1, recall=0.9),
        WholeCorpus(0.4, precision=0.9, recall=0.1),
        None,
        WholeCorpus(0.5, margin=-0.2),
    )
    for index, whole in enumerate(figures):
        make.explained(make.neuron(subject, index=index), f"text {index}", value=0.5 + index / 10, whole=whole)
    for index in range(4):
        make.explained(make.neuron(twin, index=index), whole=WholeCorpus(index / 10 + 0.05))
    rank_against_null_twins(make.session)
    return subject


def indices(context: Context) -> list[int]:
    return [row.index for row in context().rows]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", [0, 4, 2, 1, 3]),
        ("sort=headline", [1, 2, 4, 0, 3]),
        ("sort=-score", [4, 3, 2, 1, 0]),
        ("sort=margin", [4, 0, 1, 2, 3]),
        ("sort=-twin", [4, 3, 2, 0, 1]),  # the imported one by its 2023 score, against 2023 scores
        ("sort=twin", [1, 0, 2, 3, 4]),
        ("doubt=too_broad", [1]),
        ("doubt=too_narrow", [2]),
        ("headline_min=0.35&headline_max=0.6", [4, 2]),
        ("margin_max=0", [4]),
        ("twin_min=80%25", [0, 4, 2, 3]),
        ("twin_max=0.8", [1]),
        ("margin_min=0", [0, 2, 1]),
        ("score_min=0.65&sort=-headline", [4, 2, 3]),
        ("score_max=0.65", [0, 1]),
    ],
)
def test_lists_sort_and_filter_by_each_number(
    client: TestClient, judged: Subject, context: Context, query: str, expected: list[int]
) -> None:
    assert client.get(f"/tiny?{query}").status_code == 200
    assert indices(context) == expected
    assert [row["index"] for row in client.get(f"/tiny.json?{query}").json()["rows"]] == expected


def test_one_click_lists_what_is_too_broad(client: TestClient, judged: Subject, context: Context) -> None:
    html = client.get("/tiny").text
    link = context().questions[Doubt.TOO_BROAD]
    assert f'href="{link}"' in html
    client.get(link)
    assert indices(context) == [1]
    assert context().questions[Doubt.TOO_BROAD] == "/tiny"


def test_a_row_shows_the_headline_with_its_sides_beside_the_2023_score(
    client: TestClient, judged: Subject, context: Context
) -> None:
    html = client.get("/tiny").text
    row = context().rows[0]
    assert (row.headline, row.precision, row.recall, row.margin, row.score) == (0.7, 0.8, 0.6, 0.1, 0.5)
    assert row.headline_interval == pytest.approx((0.6, 0.8))
    assert row.twin_percentile == 1.0
    assert "precision 0.80, recall 0.60" in " ".join(html.split())
    assert html.count("precision unknown") == 1  # of the imported one
    assert 'class="bad">−0.20' in html


def test_a_subject_stands_against_its_null_twin_layer_by_layer(
    client: TestClient, judged: Subject, context: Context
) -> None:
    html = client.get("/tiny").text
    (layer,) = context().twin_layers
    assert (layer.n_own, layer.n_scored, layer.n_above) == (4, 4, 3)
    assert layer.own_median == pytest.approx(0.45)
    assert "layer by layer" in html
    assert "The null twin of" in client.get("/tiny-null-twin").text


def test_without_any_headline_the_2023_score_decides(client: TestClient, subject: Subject, context: Context) -> None:
    html = client.get("/tiny").text
    assert (context().fields.sort, context().twin_layers) == ("-score", ())
    assert "Which explanations are doubtful" not in html
    assert "Over tokens" not in html.split("<tbody")[0].split("<thead")[1]
