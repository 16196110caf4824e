import re

import numpy as np
import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from app.domain.activations import SampleKind, Split
from app.domain.authors import AuthorKind
from app.domain.results import ExplanationResult, SimulatedExcerpt, SimulationResult
from app.models import Neuron, Sample, Subject
from app.queries.explanations.standing import refresh_current
from app.queries.explanations.store import Author, store_explanation
from tests.factories import Make, texts
from tests.web.conftest import HTMX, Context
from tests.web.neurons import explain


def test_excerpts_with_the_same_tokens_are_folded_with_their_number(
    client: TestClient, neuron: Neuron, context: Context
) -> None:
    answer = client.get("/tiny/1/2")
    assert [row.n_copies for row in context().samples[0].rows] == [2, 1]
    assert "×2" in answer.text


def test_of_a_band_five_excerpts_are_shown_with_the_number_they_represent(
    client: TestClient, make: Make, subject: Subject, neuron: Neuron, context: Context
) -> None:
    make.collected(neuron, subject)
    rows = [(0.0, i / 10) for i in range(14)]
    make.sample(neuron, subject, SampleKind.BAND_1, rows, [(0, i % 10) for i in range(14)])

    answer = client.get("/tiny/1/2")

    band = context().samples[1]
    assert (band.kind, band.n_excerpts, band.population) == (SampleKind.BAND_1, 14, 30)
    assert [row.peak for row in band.rows] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4], abs=1e-3)
    assert "peaks in the 50 to 90% quantile: 5 of 30 excerpts" in " ".join(answer.text.split())


def test_a_sample_that_was_simulated_is_read_whole(
    client: TestClient, make: Make, neuron: Neuron, subject: Subject
) -> None:
    rows = [(0.0, float(i)) for i in range(8)]
    stored = make.sample(neuron, subject, SampleKind.BAND_1, rows, [(0, i) for i in range(8)])
    expected = np.array([0, 7], dtype=np.float32)
    excerpts = (SimulatedExcerpt(stored.excerpt_ids[7], 2, expected),)
    simulation = SimulationResult("fake", SampleKind.BAND_1, Split.VALIDATION, excerpts, unit=1.0)
    result = ExplanationResult("x", (simulation,))
    author = Author(AuthorKind.IMPORT, "gpt-4", collection_id=subject.collection_id)
    explanation_id = store_explanation(make.session, neuron_id=neuron.id, result=result, author=author)
    refresh_current(make.session, neuron_id=neuron.id)
    row = client.get(f"/tiny/1/2.json?explanation={explanation_id}").json()["simulations"][0]["rows"][0]
    assert (row["activations"], row["failure"]) == ([0, 7], None)


def test_the_strongest_tokens_are_shown_with_mean_and_count(
    client: TestClient, make: Make, subject: Subject, neuron: Neuron, context: Context
) -> None:
    make.collected(neuron, subject, token_ids=[4, 10], token_means=[3.0, -0.5], token_counts=[1200, 1])

    html = client.get("/tiny/1/2").text

    assert [(t.text, t.mean, t.count, t.step) for t in context().tokens] == [
        (" import", 3.0, 1200, 7),
        ("�", -0.5, 1, 0),
    ]
    assert 'title="Neurons that this token drives, mean 3, 1,200 occurrences"' in html
    assert "−0.50 <small>×1</small>" in html
    assert "<var>E2</var><var>82</var>" in html
    assert client.get("/tiny/1/2.json").json()["tokens"][0] == {
        "text": " import",
        "mean": 3.0,
        "count": 1200,
        "step": 7,
        "address": "/tiny?token=+import",
    }


def test_a_token_is_escaped(client: TestClient, make: Make, subject: Subject) -> None:
    subject.tokenizer_id = make.tokenizer([b"<script>"]).id
    neuron = make.neuron(subject, layer=1, index=3)
    make.collected(neuron, subject, token_ids=[0], token_means=[1.0], token_counts=[1])
    html = client.get("/tiny/1/3").text
    assert "<script>" not in html.split("<main")[1]
    assert "&lt;script&gt;" in html


@pytest.mark.parametrize(
    ("n_alike", "said"),
    [(0, None), (1, "1 of the 20 excerpts with the highest peaks is a near-copy of another"), (17, "17 of the 20")],
)
def test_copies_among_the_highest_peaks_are_mentioned(
    client: TestClient, make: Make, subject: Subject, neuron: Neuron, n_alike: int, said: str | None
) -> None:
    make.collected(neuron, subject, n_alike=n_alike)
    html = " ".join(client.get("/tiny/1/2").text.split())
    assert ("of the 20 excerpts with" in html) is (said is not None)
    assert said is None or said in html


def test_strips_have_steps_and_joined_characters(client: TestClient, neuron: Neuron) -> None:
    html = client.get("/tiny/1/2").text
    assert "<i class=h10><s> </s>import</i>" in html
    assert "<i class=n1><u>↵</u></i>" in html
    assert "<i class=h5>€</i>" in html


def test_a_folded_row_is_named_by_its_peak_and_loads_its_numbers(client: TestClient, neuron: Neuron) -> None:
    html = client.get("/tiny/1/2").text
    assert '<span class="visually-hidden">on import: the import</span>' in html
    address = re.findall(r'hx-get="(/tiny/1/2/excerpts/\d+)"', html)[0]
    part = client.get(address, headers=HTMX).text
    assert "<th scope=row role=rowheader><i class=h10><s> </s>import</i><td role=cell>4" in part
    whole = client.get(address).text
    assert part.strip() in whole
    assert client.get(f"{address}.json").json()["activations"] == [0.0, 4.0, -0.5]


def test_numbers_of_an_excerpt_that_the_neuron_has_no_record_of_are_not_found(
    client: TestClient, make: Make, subject: Subject, neuron: Neuron
) -> None:
    other = make.sample(make.neuron(subject, layer=0, index=0), subject)
    assert client.get(f"/tiny/1/2/excerpts/{other.excerpt_ids[0]}").status_code == 404
    assert client.get("/tiny/1/2/excerpts/999999999").status_code == 404
    assert client.get("/tiny/1/2/excerpts/0").status_code == 404
    assert client.get(f"/tiny/1/2/excerpts/{other.excerpt_ids[0]}?explanation=x").status_code == 422


def test_eight_rows_are_shown_and_more_on_demand(
    client: TestClient, make: Make, subject: Subject, context: Context
) -> None:
    rows = [(0.0, 4.0 - i / 10) for i in range(20)]
    neuron = make.neuron(subject, layer=0, index=1)
    make.sample(neuron, subject, rows=rows, token_ids=texts(20, 2))
    html = client.get("/tiny/0/1").text
    assert html.count('<details class="x">') == 8
    assert "12 more" in html
    assert 'href="/tiny/0/1?more=top#top"' in html
    whole = client.get("/tiny/0/1?more=top", headers=HTMX).text
    assert whole.count('<details class="x">') == 20
    assert whole.lstrip().startswith('<section id="_evidence"')
    assert len(client.get("/tiny/0/1.json").json()["samples"][0]["rows"]) == 20


def test_what_the_rows_show_is_a_link_that_keeps_the_explanation(
    client: TestClient, make: Make, neuron: Neuron
) -> None:
    explain(make, neuron, ExplanationResult("the best"))
    other = explain(make, neuron, ExplanationResult("the other"))
    html = client.get(f"/tiny/1/2?explanation={other}&show=expected").text
    assert f'href="/tiny/1/2?explanation={other}&amp;show=failures#_evidence"' in html
    assert f'href="/tiny/1/2?explanation={other}#_evidence"' in html
    assert "Nothing has been simulated for this explanation" in html
    assert client.get("/tiny/1/2?show=everything").status_code == 422


def test_real_and_expected_rows_begin_with_the_largest_difference(
    client: TestClient, make: Make, neuron: Neuron, subject: Subject, context: Context
) -> None:
    rows = [(0.0, 4.0), (0.0, 2.0), (0.0, 1.0)]
    stored = make.sample(neuron, subject, SampleKind.RANDOM, rows, [(0, 4), (0, 1), (0, 2)])
    expected = [(0, 9), (0, 0), (8, 1)]
    excerpts = tuple(
        SimulatedExcerpt(i, 2, np.array(row, dtype=np.float32))
        for i, row in zip(stored.excerpt_ids, expected, strict=True)
    )
    simulation = SimulationResult("fake", SampleKind.RANDOM, Split.VALIDATION, excerpts, unit=0.4)
    author = Author(AuthorKind.IMPORT, "gpt-4", collection_id=subject.collection_id)
    result = ExplanationResult("x", (simulation,))
    store_explanation(make.session, neuron_id=neuron.id, result=result, author=author)
    refresh_current(make.session, neuron_id=neuron.id)

    client.get("/tiny/1/2?show=expected")
    (group,) = context().groups
    assert [row.difference for row in group.rows] == pytest.approx([-3.2, 2.0, 0.4])
    client.get("/tiny/1/2?show=failures")
    alarms, misses = context().groups
    assert [(row.token, row.difference) for row in alarms.rows] == [("the", pytest.approx(-3.2))]
    assert [(row.token, row.difference) for row in misses.rows] == [("cat", pytest.approx(2.0))]


def test_real_and_simulated_share_one_scale_and_failures_are_shown(
    client: TestClient, make: Make, neuron: Neuron, context: Context
) -> None:
    sample = make.session.scalars(select(Sample).where(Sample.neuron_id == neuron.id)).one()
    excerpts = (
        SimulatedExcerpt(sample.excerpt_ids[0], 3, np.array([0, 5, 0], dtype=np.float32)),
        SimulatedExcerpt(sample.excerpt_ids[1], 3, None, "the reply was cut off"),
    )
    simulation = SimulationResult("fake", SampleKind.TOP, Split.VALIDATION, excerpts, unit=0.4)
    author = Author(AuthorKind.IMPORT, "gpt-4", collection_id=sample.collection_id)
    store_explanation(
        make.session, neuron_id=neuron.id, result=ExplanationResult("x", simulations=(simulation,)), author=author
    )
    refresh_current(make.session, neuron_id=neuron.id)

    client.get("/tiny/1/2")

    first, second = context().simulations[0].rows
    assert (first.expected, second.expected) == ([0.0, 5.0, 0.0], None)
    html = client.get("/tiny/1/2?show=expected").text
    row = context().groups[0].rows[0]
    assert (row.real, row.expected) == (4.0, pytest.approx(2.0))
    assert "<i class=h10><s> </s>import</i>" in row.real_line
    assert "<i class=h5><s> </s>      </i>" in row.expected_line
    assert "is missing: the reply was cut off" in html


def test_the_twin_has_tokens_and_numbers_and_no_markup(client: TestClient, neuron: Neuron) -> None:
    row = client.get("/tiny/1/2.json").json()["samples"][0]["rows"][0]
    assert row["tokens"] == [" the", " import", "\n"]
    assert row["activations"] == [0.0, 4.0, -0.5]
    assert "line" not in row


def test_a_page_of_eighty_excerpts_stays_small(client: TestClient, make: Make, subject: Subject) -> None:
    drawn = np.random.default_rng(0)
    subject.tokenizer_id = make.tokenizer([f" {drawn.integers(10**6):x}".encode() for _ in range(4000)]).id
    neuron = make.neuron(subject, index=3, max=4.0)
    for kind, n_excerpts in ((SampleKind.TOP, 20), (SampleKind.RANDOM, 20), (SampleKind.HARD_NEGATIVE, 40)):
        rows = drawn.normal(0, 1, (n_excerpts, 64)).tolist()
        make.sample(neuron, subject, kind, rows, drawn.integers(0, 4000, (n_excerpts, 64)).tolist())
    answer = client.get("/tiny/0/3")
    assert answer.text.count('<details class="x">') == 24
    assert int(answer.headers["content-length"]) < 45_000
    whole = client.get("/tiny/0/3?more=top&more=random&more=hard_negative")
    assert whole.text.count('<details class="x">') == 80
    assert int(whole.headers["content-length"]) < 45_000
