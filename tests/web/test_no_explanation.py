"""A neuron of which a method has found nothing worth saying: on its page, in the list, and in its batch."""

import json
import uuid

import pytest
from starlette.testclient import TestClient

from app.domain.neurons import NeuronState
from app.domain.work import WorkStatus
from app.models import Neuron, Subject
from app.queries.exports.neurons import exported_subject, neuron_chunk
from app.queries.lists.kept import add_to_list, create_list
from app.queries.neurons.facets import FacetKind, facets_of
from app.queries.neurons.listing import NeuronsQuery, neurons_page
from app.queries.neurons.selection import NeuronSelection
from app.queries.runs.progress import batch_summary
from app.work.begin import Taker, begin_run
from app.work.enqueue import enqueue_batch, retry_run
from app.work.lease import end_without_explanation
from tests.factories import Make
from tests.web.conftest import Context, LogIn

REASON = "No explanation found: nothing says where this neuron fires. The table of its tokens' means correlates 0.12."


@pytest.fixture
def run(make: Make, subject: Subject) -> tuple[Neuron, int, int]:
    """A neuron, the batch and the run that has found nothing; two other neurons, one of them explained."""
    neuron = make.neuron(subject, index=1)
    make.neuron(subject, index=2)
    make.explained(make.neuron(subject, index=3))
    batch = enqueue_batch(
        make.session, subject_id=subject.id, neuron_ids=[neuron.id], method_id=make.method().id, account_id=None
    )
    lease = begin_run(make.session, taker=Taker(uuid.uuid4(), uuid.uuid4(), 3600.0))
    assert lease is not None
    assert end_without_explanation(make.session, lease=lease, reason=REASON)
    return neuron, batch.batch_id, lease.id


def test_a_neurons_page_says_that_nothing_was_found_and_why(
    client: TestClient, run: tuple[Neuron, int, int], context: Context
) -> None:
    html = client.get("/tiny/0/1").text
    assert context().neuron.found_nothing
    assert "No explanation found: a method has looked" in html
    assert "correlates 0.12" in html
    assert ">no explanation found</span>" in html
    assert client.get("/tiny/0/1.json").json()["neuron"]["found_nothing"] is True
    assert "No explanation found" not in client.get("/tiny/0/2").text


def test_the_list_shows_and_filters_the_state(
    client: TestClient, run: tuple[Neuron, int, int], context: Context
) -> None:
    html = client.get("/tiny?state=no_explanation").text
    assert [row.index for row in context().rows] == [1]
    assert "no explanation found" in html
    assert 'value="no_explanation"' in html
    assert "not explained yet" not in html


def test_files_tables_counts_and_facets_have_the_state(
    client: TestClient, make: Make, run: tuple[Neuron, int, int], context: Context
) -> None:
    for address in ("/tiny/neurons.jsonl", "/api/subjects/tiny/neurons"):
        lines = [json.loads(line) for line in client.get(address).text.splitlines()]
        assert {line["index"]: line["no_explanation_found"] for line in lines} == {1: True, 2: False, 3: False}
    home = client.get("/").text
    assert context().subjects[0].n_no_explanation == 1
    assert '<a href="/tiny?state=no_explanation">1</a>' in home
    facets = facets_of(make.session, query=NeuronsQuery(run[0].subject_id))
    assert [c.n for c in facets.counts if (c.kind, c.value) == (FacetKind.STATE, "no_explanation")] == [1]


def test_what_is_explained_by_another_is_in_no_count_of_the_state(
    client: TestClient, make: Make, run: tuple[Neuron, int, int], context: Context
) -> None:
    make.explained(run[0])
    lines = [json.loads(line) for line in client.get("/api/subjects/tiny/neurons").text.splitlines()]
    assert not any(line["no_explanation_found"] for line in lines)
    client.get("/")
    assert context().subjects[0].n_no_explanation == 0


def test_an_export_says_why_nothing_was_found(make: Make, run: tuple[Neuron, int, int]) -> None:
    found = neuron_chunk(make.session, subject=exported_subject(make.session, slug="tiny"), after=None)
    assert [(record.index, list(record.failures)) for record in found] == [(1, [REASON]), (2, []), (3, [])]


def test_a_kept_list_shows_the_state(
    client: TestClient, make: Make, subject: Subject, run: tuple[Neuron, int, int], log_in_as: LogIn
) -> None:
    alice = log_in_as("alice").id
    kept = create_list(make.session, slug="tiny", name="to look at", account_id=alice)
    add_to_list(make.session, list_id=kept, selection=NeuronSelection.of(subject.id, [run[0].id]), account_id=alice)
    html = client.get(f"/lists/{kept}").text
    assert "no explanation found" in html
    assert "not explained yet" not in html


def test_an_explanation_ends_the_state(make: Make, subject: Subject, run: tuple[Neuron, int, int]) -> None:
    make.explained(run[0])
    rows = neurons_page(make.session, query=NeuronsQuery(subject.id), size=9, matches=None).rows
    assert not any(row.found_nothing for row in rows)
    assert NeuronState.NO_EXPLANATION in NeuronState


def test_a_batch_counts_and_filters_such_runs_and_shows_no_failure(
    client: TestClient,
    make: Make,
    run: tuple[Neuron, int, int],
    context: Context,
    log_in_as: LogIn,
) -> None:
    _, batch_id, run_id = run
    log_in_as("bob")
    assert batch_summary(make.session, batch_id=batch_id).counts[WorkStatus.NO_EXPLANATION] == 1
    html = client.get(f"/batches/{batch_id}?status=no_explanation").text
    assert [row.id for row in context().runs] == [run_id]
    assert "no explanation <small>1</small>" in html
    assert 'class="bad"' not in html
    assert "Nothing worth saying" in client.get(f"/runs/{run_id}").text


def test_such_a_run_may_be_queued_again(make: Make, run: tuple[Neuron, int, int]) -> None:
    retry_run(make.session, run_id=run[2], account_id=None)
    assert batch_summary(make.session, batch_id=run[1]).counts[WorkStatus.QUEUED] == 1
