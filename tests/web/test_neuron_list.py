"""How the list shows explanations, filters and scores, and all that match as a file."""

import pytest
from sqlalchemy import Engine
from starlette.testclient import TestClient

from app.formats.tables import TableFormat, read_table
from app.models import Subject
from app.web.pages.neuron_files import NeuronLine
from tests.factories import Make, WholeCorpus
from tests.queries import counted_queries
from tests.web.conftest import Context


@pytest.fixture
def subject(make: Make) -> Subject:
    """Four explained neurons and two without an explanation."""
    subject = make.subject(n_layers=2, neurons_per_layer=4)
    for index, text in enumerate(["fires on cats", 'on " import"', "imports of <b>", "=digits " + "x" * 450]):
        make.explained(make.neuron(subject, index=index), text, value=0.8 - index / 10, whole=WholeCorpus(0.5))
    for index in range(2):
        make.neuron(subject, layer=1, index=index)
    return subject


def test_the_words_of_a_search_are_marked_by_their_stem(client: TestClient, subject: Subject) -> None:
    html = client.get("/tiny?words=importing").text
    assert "on <code><mark><s> </s>import</mark></code>" in html or "<code><s> </s><mark>import</mark></code>" in html
    assert "<mark>imports</mark> of &lt;b&gt;" in html
    assert "<mark>" not in client.get("/tiny").text


def test_a_search_takes_as_many_queries_as_the_list(client: TestClient, subject: Subject, engine: Engine) -> None:
    with counted_queries(engine) as sent:
        client.get("/tiny?words=cats")
    with counted_queries(engine) as plain:
        client.get("/tiny")
    assert len(sent) == len(plain)


def test_filters_are_chips_that_can_be_removed_one_by_one(
    client: TestClient, subject: Subject, context: Context
) -> None:
    html = client.get("/tiny?layer=0&headline_min=0.1&doubt=too_broad&sort=score").text
    chips = {chip.label: chip.query for chip in context().chips}
    assert chips == {
        "layer 0": "?headline_min=0.1&doubt=too_broad&sort=score",
        "doubt: too broad": "?layer=0&headline_min=0.1&sort=score",
        "whole-corpus score from 0.1": "?layer=0&doubt=too_broad&sort=score",
    }
    assert 'href="/tiny?layer=0&amp;headline_min=0.1&amp;sort=score"' in html
    assert "Remove all" in html
    client.get("/tiny?sort=score")
    assert context().chips == ()


def test_an_order_goes_with_the_filter_that_it_is_of(client: TestClient, subject: Subject, context: Context) -> None:
    client.get("/tiny?words=cats&layer=0&sort=-relevance")
    (without_words, without_layer) = (chip.query for chip in context().chips)
    assert (without_layer, without_words) == ("?words=cats&sort=-relevance", "?layer=0")
    assert client.get(f"/tiny{without_words}").status_code == 200


def test_a_layer_that_does_not_exist_is_told(client: TestClient, subject: Subject) -> None:
    assert "There is no layer 7: Tiny has layers 0 to 1." in client.get("/tiny?layer=7").text


def test_a_score_stands_on_an_axis_with_its_token_table(client: TestClient, subject: Subject) -> None:
    html = client.get("/tiny").text
    # On an axis of 124 units from 3: the score .5, its interval .4 to .6, the table .1 below the score.
    assert '<path class="interval" d="M52.6 7H77.4"/><path class="lookup" d="M52.6 1V13"/>' in html
    assert '<circle cx="65.0" cy="7" r="3"/>' in html


def test_doubts_are_counted_beside_the_scores(client: TestClient, make: Make, context: Context) -> None:
    subject = make.subject("doubtful")
    make.explained(make.neuron(subject), "on cats", value=0.3, whole=WholeCorpus(0.2, precision=0.05, margin=-0.3))
    html = client.get("/doubtful").text
    doubts = context().rows[0].verdict.doubts
    assert len(doubts) >= 2
    assert f'title="{", ".join(doubt.label for doubt in doubts)}">{len(doubts)}</span>' in html


@pytest.mark.parametrize("format", TableFormat)
def test_all_that_match_are_a_file_in_the_order_of_the_list(
    client: TestClient, subject: Subject, monkeypatch: pytest.MonkeyPatch, format: TableFormat
) -> None:
    monkeypatch.setattr("app.web.pages.neuron_files.ROWS_AT_ONCE", 2)
    answer = client.get(f"/tiny/neurons.{format}?sort=score")
    assert answer.headers["content-disposition"] == f'attachment; filename="tiny-neurons.{format}"'
    lines = read_table(answer.content, NeuronLine, format=format)
    assert [(line.layer, line.index) for line in lines] == [(0, 3), (0, 2), (0, 1), (0, 0), (1, 0), (1, 1)]
    assert lines[0].explanation == "=digits " + "x" * 450
    assert (lines[3].whole_corpus_score, lines[3].score_2023, lines[3].subject) == (0.5, 0.8, "tiny")
    assert (lines[4].explanation, lines[4].score_2023, lines[4].doubts) == (None, None, None)


def test_a_file_holds_what_the_filters_match_and_refuses_what_the_list_refuses(
    client: TestClient, subject: Subject
) -> None:
    lines = read_table(client.get("/tiny/neurons.csv?words=cats").content, NeuronLine, format=TableFormat.CSV)
    assert [line.index for line in lines] == [0]
    assert read_table(client.get("/tiny/neurons.csv?layer=9").content, NeuronLine, format=TableFormat.CSV) == []
    assert client.get("/tiny/neurons.csv?state=happy").status_code == 422
    assert client.get("/tiny/neurons.xml").status_code in {404, 422}
    assert client.get("/none/neurons.csv").status_code == 404


def test_the_page_links_the_files_with_its_filters(client: TestClient, subject: Subject) -> None:
    html = client.get("/tiny?words=cats&sort=score").text
    for format in TableFormat:
        assert f'href="/tiny/neurons.{format}?words=cats&amp;sort=score"' in html
