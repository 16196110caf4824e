"""The headline of an explanation on its neuron's page: the whole corpus, both sides, and the null twin."""

from starlette.testclient import TestClient

from app.models import Subject
from tests.factories import Make, WholeCorpus
from tests.web.conftest import Context


def test_the_whole_corpus_speaks_with_both_sides_and_the_2023_score_stands_beside_it(
    client: TestClient, make: Make, subject: Subject, context: Context
) -> None:
    make.explained(make.neuron(subject, index=5), value=0.9, whole=WholeCorpus(0.3, precision=0.1, recall=0.7))
    html = " ".join(client.get("/tiny/0/5").text.split())
    claim = context().claim
    assert (claim.headline.score.value, claim.headline.precision.value, claim.score_2023.value) == (0.3, 0.1, 0.9)
    assert '<p class="big"> <b>0.30</b>' in html
    assert "<small> 0.20 to 0.40 </small>" in html
    assert "too broad" in html
    assert "<b>0.90</b>" in html
    assert "estimated from 35 excerpts of known probability" in html
    assert client.get("/tiny/0/5.json").json()["claim"]["headline"]["precision"]["value"] == 0.1


def test_where_only_the_2023_score_is_known_the_precision_side_is_unknown(
    client: TestClient, make: Make, subject: Subject
) -> None:
    make.explained(make.neuron(subject, index=5), value=0.9)
    html = client.get("/tiny/0/5").text
    assert "The precision side is unknown" in html
    assert "<b>0.90</b>" in html


def test_an_explanation_that_was_never_scored_says_that_nothing_is_known_of_its_claims(
    client: TestClient, make: Make, subject: Subject
) -> None:
    explanation = make.explanation(make.neuron(subject, index=5), author_kind="import", author="somebody")
    assert "The precision side is unknown" in client.get(f"/tiny/0/5?explanation={explanation.id}").text


def test_where_a_score_ranks_in_the_null_twin_is_shown(client: TestClient, make: Make, subject: Subject) -> None:
    twin = make.subject("tiny-null-twin")
    twin.null_twin_of_id = subject.id
    make.explained(make.neuron(subject, index=5), whole=WholeCorpus(0.3))
    for index, value in enumerate((0.1, 0.2, 0.25, 0.4)):
        make.explained(make.neuron(twin, index=index), whole=WholeCorpus(value))
    html = " ".join(client.get("/tiny/0/5").text.split())
    assert 'higher than 75.0% of 4 neurons of layer 0 of <a href="/tiny-null-twin?layer=0">' in html
