import re
from html import unescape

import pytest
from starlette.testclient import TestClient

from tests.factories import Make, WholeCorpus
from tests.web.conftest import Context


@pytest.fixture
def _subject(make: Make) -> None:
    """Four explained neurons in two layers, three of them with a whole-corpus score."""
    subject = make.subject(n_layers=2, neurons_per_layer=4)
    for index, (headline, score, rate) in enumerate([(0.55, 0.75, 0.05), (0.57, 0.72, 0.002), (-0.1, 0.3, 0.02)]):
        make.explained(make.neuron(subject, index=index, firing_rate=rate), "cats", score, whole=WholeCorpus(headline))
    make.explained(make.neuron(subject, layer=1, firing_rate=None), "dogs", 0.25)


@pytest.mark.usefixtures("_subject")
def test_every_mark_lists_as_many_neurons_as_it_counts(client: TestClient, context: Context) -> None:
    page = client.get("/tiny/plots")
    assert page.status_code == 200
    marks = re.findall(r'<a href="(/tiny\?[^"]+)" aria-label="[^"]*: ([\d,]+)"', page.text)
    assert len(marks) >= 10
    for address, n in marks:
        assert client.get(unescape(address)).status_code == 200
        assert context().matches.number == int(n), address


@pytest.mark.usefixtures("_subject")
def test_pairs_of_values_have_their_correlation(client: TestClient, context: Context) -> None:
    client.get("/tiny/plots")
    grids = context().plots.grids
    assert [(grid.x.name, grid.y.name, grid.n) for grid in grids] == [
        ("headline", "score", 3),
        ("rate", "headline", 3),
        ("rate", "score", 3),
    ]
    assert grids[0].correlation == pytest.approx(0.5)


def test_a_subject_without_values_says_so(client: TestClient, make: Make) -> None:
    make.subject()
    assert "No neuron of this subject has a score or a firing rate yet" in client.get("/tiny/plots").text


@pytest.mark.usefixtures("_subject")
@pytest.mark.parametrize("page", ["plots", "atlas"])
def test_the_pages_say_that_scores_of_different_simulators_are_not_comparable(client: TestClient, page: str) -> None:
    assert "not comparable" in client.get(f"/tiny/{page}").text


@pytest.mark.usefixtures("_subject")
def test_the_twin_holds_what_is_drawn(client: TestClient) -> None:
    found = client.get("/tiny/plots.json").json()["plots"]
    assert found["grids"][0]["cells"] == [{"x": 0, "y": 4, "n": 1}, {"x": 6, "y": 8, "n": 2}]
