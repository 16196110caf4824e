"""Lists of neurons and saved searches as pages: made from a list, shared, exported, used as a selection."""

import pytest
from sqlalchemy import Engine, select
from starlette.testclient import TestClient

from app.formats.tables import TableFormat, read_table
from app.models import Batch, NeuronList, Run, SavedSearch, Subject
from app.web.pages.neuron_files import NeuronLine
from tests.factories import Make
from tests.queries import counted_queries
from tests.web.conftest import Context, LogIn


@pytest.fixture
def subject(make: Make) -> Subject:
    subject = make.subject()
    for index, text in enumerate(["on cats", "on <b>dogs</b>", "on mice"]):
        make.explained(make.neuron(subject, index=index), text, value=0.1 * index)
    return subject


@pytest.fixture
def made(client: TestClient, subject: Subject, make: Make, log_in_as: LogIn) -> str:
    """The address of charlie's list of all three neurons, which was made as a person does it."""
    log_in_as("charlie")
    answer = client.post("/tiny/lists", data={"name": "Odd <ones>", "filters": "layer=0"})
    assert answer.status_code == 303
    return str(answer.headers["location"])


def entries(make: Make, context: Context) -> list[tuple[int, int, str]]:
    return [(row.position, row.neuron.index, row.note) for row in context().rows]


def test_chosen_neurons_are_added_to_a_new_or_to_an_old_list(
    client: TestClient, subject: Subject, make: Make, made: str, context: Context
) -> None:
    html = client.get("/tiny/lists?all=true&layer=0").text
    assert "Add 3 neurons to a list" in html
    assert "Odd &lt;ones&gt; (3)" in html
    one = make.neuron(subject, layer=1)
    answer = client.post("/tiny/lists", data={"list_id": made.rpartition("/")[2], "neuron": str(one.id)})
    assert answer.headers["location"] == made
    html = client.get(made).text
    assert "on &lt;b&gt;dogs&lt;/b&gt;" in html
    assert "Added one neuron." in html
    assert entries(make, context) == [(1, 0, ""), (2, 1, ""), (3, 2, ""), (4, 0, "")]


def test_its_order_and_notes_are_changed_in_place(client: TestClient, make: Make, made: str, context: Context) -> None:
    client.get(made)
    ids = [row.neuron.id for row in context().rows]
    client.post(f"{made}/neurons/{ids[2]}", data={"act": "move", "to": "1"})
    client.post(f"{made}/neurons/{ids[0]}", data={"act": "note", "note": "look & see"})
    answer = client.post(f"{made}/neurons/{ids[1]}", data={"act": "remove", "back": f"{made}?after=0@1"})
    assert answer.headers["location"] == f"{made}?after=0@1"
    html = client.get(made).text
    assert entries(make, context) == [(1, 2, ""), (2, 0, "look & see")]
    assert 'value="look &amp; see"' in html


def test_everybody_reads_it_and_only_its_author_changes_it(
    client: TestClient, made: str, log_in_as: LogIn, context: Context
) -> None:
    client.cookies.clear()
    html = client.get(made).text
    assert "by charlie" in html
    assert "Rename" not in html
    assert client.post(f"{made}/delete").status_code == 401
    log_in_as("bob")
    assert "Rename" not in client.get(made).text
    assert client.post(f"{made}/name", data={"name": "mine"}).status_code == 409
    client.get("/lists")
    assert [each.name for each in context().lists] == ["Odd <ones>"]
    assert context().own_lists == ()


def test_its_neurons_are_a_list_that_is_followed_filtered_and_exported(
    client: TestClient, make: Make, made: str, context: Context
) -> None:
    client.get(made)
    ids = [row.neuron.id for row in context().rows]
    client.post(f"{made}/neurons/{ids[2]}", data={"act": "move", "to": "1"})
    client.post(f"{made}/neurons/{ids[2]}", data={"act": "note", "note": "first"})
    client.get(made)
    follow, files, as_list = context().rows[1].address, context().files, context().list.as_filter
    client.get(follow)
    trail = context().trail
    assert (trail.position, trail.matches.number, trail.title) == (2, 3, "list “odd ones”")
    assert (trail.previous or "").startswith("/tiny/0/2?")
    html = client.get(as_list).text
    assert [row.index for row in context().rows] == [2, 0, 1]
    assert '<p class="own-note">first</p>' in html
    assert "In the list&#39;s own order" in html
    lines = read_table(client.get(files[TableFormat.JSONL]).content, NeuronLine, format=TableFormat.JSONL)
    assert [(line.index, line.note) for line in lines] == [(2, "first"), (0, None), (1, None)]


def test_it_is_the_selection_of_a_batch(
    client: TestClient, make: Make, made: str, context: Context, log_in_as: LogIn
) -> None:
    client.get(made)
    key, ids = context().list.key, {row.neuron.id for row in context().rows}
    client.cookies.clear()
    log_in_as("olga")
    method = make.method("another")
    client.get(f"/tiny/queue?all=true&in_list={key}&sort=listed&method={method.id}")
    assert context().n_neurons == 3
    sent = {"method_id": str(method.id), "n_neurons": "3", "filters": context().filters}
    assert client.post("/tiny/queue", data=sent).status_code == 303
    assert (
        set(
            make.session.scalars(
                select(Run.neuron_id).join(Batch, Batch.id == Run.batch_id).where(Batch.method_id == method.id)
            )
        )
        == ids
    )
    client.get(f"/tiny/bulk?all=true&in_list={key}")
    assert context().n_explanations == 3


def test_a_search_is_saved_under_a_name_and_opened_by_it(
    client: TestClient, subject: Subject, make: Make, log_in_as: LogIn, context: Context
) -> None:
    log_in_as("charlie")
    assert "Save this search" in client.get("/tiny?layer=0").text
    answer = client.post("/searches", data={"name": "First layer", "address": "/tiny?layer=0"})
    assert answer.headers["location"] == "/tiny?layer=0"
    html = client.get("/tiny?layer=0").text
    assert "Saved as “First layer”" in html
    assert [view.name for view in context().views if view.is_shown] == ["First layer"]
    search_id = make.session.scalars(select(SavedSearch.id)).one()
    client.cookies.clear()
    opened = client.get(f"/searches/{search_id}-first-layer")
    assert (opened.status_code, opened.headers["location"]) == (303, "/tiny?layer=0")
    assert client.get("/searches/x").status_code == 404
    assert client.get(f"/searches/{search_id + 1}-gone").status_code == 404


@pytest.mark.parametrize("address", ["//evil.example/x", "https://evil.example/", "javascript:alert(1)", "\\\\evil"])
def test_no_saved_search_leads_to_another_site(client: TestClient, make: Make, log_in_as: LogIn, address: str) -> None:
    log_in_as("charlie")
    client.post("/searches", data={"name": "n", "address": address})
    assert make.session.scalars(select(SavedSearch.address)).one() == "/"


@pytest.mark.parametrize("query", ["in_list=x", "sort=listed", "in_list=99999-gone"])
def test_an_address_that_names_no_list_is_told(client: TestClient, subject: Subject, query: str) -> None:
    assert client.get(f"/tiny?{query}").status_code in (404, 422)


def test_who_may_not_queue_can_still_choose_neurons(client: TestClient, subject: Subject, log_in_as: LogIn) -> None:
    assert "Add to a list" not in client.get("/tiny").text
    log_in_as("charlie")
    html = client.get("/tiny").text
    assert "Add to a list" in html
    assert "Queue again" not in html


def test_a_deleted_list_is_gone(client: TestClient, make: Make, made: str) -> None:
    assert client.post(f"{made}/delete").headers["location"] == "/lists"
    assert client.get(made).status_code == 404
    assert make.session.scalars(select(NeuronList.id)).all() == []


def test_a_list_sends_few_queries(client: TestClient, made: str, engine: Engine) -> None:
    client.cookies.clear()
    with counted_queries(engine) as sent:
        client.get(made)
    assert len(sent) <= 7
