"""An executed explanation on the page of its neuron, stored as a check stores it."""

import numpy as np
import pytest
from starlette.testclient import TestClient

from app.domain.executed import Execution, LevelCounts, Mistake, NeuronTotals, execution
from app.models import Collection, Neuron, Subject
from app.queries.checks.store import CheckResult, KeptMistakes, collection_to_check, store_checks
from tests.factories import Make
from tests.web.conftest import Context

N_TOKENS = 800


def executed(*, claims: int = 40, right: int = 10, fires: int = 50) -> Execution:
    """A text that expects level 5 of ``claims`` tokens, on ``right`` of which the neuron fires."""
    tokens, firing, sums = np.zeros(11, dtype=np.int64), np.zeros(11, dtype=np.int64), np.zeros(11)
    tokens[5], firing[5], sums[5] = claims, right, 3.0 * right
    return execution(NeuronTotals(N_TOKENS, 0.1, 0.2, fires), LevelCounts(tokens, firing, sums))


def mistakes(make: Make, subject: Subject, own: Execution) -> dict[Mistake, KeptMistakes]:
    """One excerpt of each kind; the false alarm is on " cat", the miss on the two tokens of one character."""
    alarm, miss = make.excerpt(subject, [0, 1, 2]), make.excerpt(subject, [0, 10, 11])
    silent, firing = (np.array(row, dtype=np.float32) for row in ([2.0, 0.25, 0.0], [0.0, 4.0, 0.0]))
    claimed, unclaimed = (np.array(row, dtype=np.float32) for row in ([5, 5, 0], [0, 0, 0]))
    return {
        Mistake.FALSE_ALARM: KeptMistakes(own.n_false_alarms, [(1, 29), (9, 1)], [alarm.id], [silent], [claimed]),
        Mistake.MISS: KeptMistakes(own.n_misses, [(10, 40)], [miss.id], [firing], [unclaimed]),
    }


def checked(make: Make, subject: Subject, explanation_id: int, own: Execution | None = None) -> None:
    """Store a check on the subject's newest collection."""
    own = own or executed()
    result = CheckResult(explanation_id, 'fires moderately on " cat"', own, mistakes(make, subject, own))
    collection = collection_to_check(make.session, slug=subject.slug)
    store_checks(make.session, checked=collection, results=[result], unreadable=[], code_version="test")


@pytest.fixture
def neuron(make: Make, subject: Subject) -> Neuron:
    return make.neuron(subject, layer=1, index=2, max=4.0)


def test_a_check_shows_its_figures_at_the_stated_threshold(
    client: TestClient, make: Make, subject: Subject, neuron: Neuron, context: Context
) -> None:
    checked(make, subject, make.explained(neuron, 'It likes " cat".'))

    html = client.get("/tiny/1/2").text

    check, own = context().check, executed()
    assert check.figures.correlation == own.correlation.value
    assert check.figures.average_precision == own.average_precision.value
    assert (check.figures.precision, check.figures.recall) == (0.25, 0.2)
    assert check.figures.f1 == pytest.approx(2 / 9)
    assert check.firing_threshold == pytest.approx(1.2)
    assert "counts as firing from 1.2 on: 3 tenths of its maximum" in html
    assert "Executed by version test of this program." in html
    assert 'Read as: <q dir="auto">fires moderately on &#34; cat&#34;</q>' in html


def test_mistakes_are_tokens_and_excerpts_centred_on_the_mistake(
    client: TestClient, make: Make, subject: Subject, neuron: Neuron, context: Context
) -> None:
    checked(make, subject, make.explained(neuron))

    html = client.get("/tiny/1/2").text

    alarms, misses = context().check.mistakes
    assert (alarms.title, alarms.n_tokens, alarms.share) == ("Claimed here, silent", 30, 0.75)
    assert (misses.title, misses.n_tokens, misses.share) == ("Fires here, not claimed", 40, 0.8)
    assert [(token.text, token.count) for token in alarms.tokens] == [(" cat", 29), (")", 1)]
    assert misses.tokens[0].glyphs == "<var>E2</var><var>82</var>"
    # Not on " the", whose activation is the row's highest: there the text is right.
    assert alarms.rows[0].at == 1
    assert html.index("Claimed here, silent") < html.index("Fires here, not claimed")


def test_excerpts_with_mistakes_are_shown_where_it_fails(
    client: TestClient, make: Make, subject: Subject, neuron: Neuron, context: Context
) -> None:
    checked(make, subject, make.explained(neuron))

    html = client.get("/tiny/1/2?show=failures").text

    row = context().groups[0].rows[0]
    assert (row.token, row.real, row.expected) == ("cat", 0.25, pytest.approx(2.0))
    assert row.real_line.startswith("<span class=l><span><i class=h5><s> </s>the</i></span></span><i>")
    assert row.expected_line.endswith("<i class=h5><s> </s>   </i><span class=r><s> </s>   </span>")
    assert "real 0.25, expected 2: the cat sat" in html
    numbers = client.get(f"/tiny/1/2/excerpts/{row.excerpt_id}?explanation={context().claim.shown.id}")
    assert numbers.status_code == 200
    assert "<th scope=col role=columnheader>Difference" in numbers.text


def test_the_twin_has_the_mistakes_without_markup(
    client: TestClient, make: Make, subject: Subject, neuron: Neuron
) -> None:
    checked(make, subject, make.explained(neuron))
    check = client.get("/tiny/1/2.json").json()["check"]
    assert check["figures"]["n_claimed"] == 40
    assert check["mistakes"][0]["tokens"][0] == {"text": " cat", "count": 29}
    row = check["mistakes"][0]["rows"][0]
    assert (row["tokens"], row["expected"]) == ([" the", " cat", " sat"], [5.0, 5.0, 0.0])
    assert row["activations"] == [2.0, 0.25, 0.0]
    assert "line" not in row


def test_an_explanation_that_was_never_checked_shows_no_check(
    client: TestClient, make: Make, neuron: Neuron, context: Context
) -> None:
    make.explained(neuron)
    assert "Executed on the whole corpus" not in client.get("/tiny/1/2").text
    assert context().check is None
    assert client.get("/tiny/1/2.json").json()["check"] is None


def test_the_check_is_that_of_the_explanation_shown(
    client: TestClient, make: Make, subject: Subject, neuron: Neuron, context: Context
) -> None:
    first, second = make.explained(neuron), make.explained(neuron, 'fires on "("', value=0.1)
    checked(make, subject, first)
    checked(make, subject, second, executed(right=0))
    client.get(f"/tiny/1/2?explanation={second}")
    assert context().check.figures.explanation_id == second
    assert context().check.figures.precision == 0


def test_what_is_undefined_says_why(client: TestClient, make: Make, subject: Subject, neuron: Neuron) -> None:
    checked(make, subject, make.explained(neuron), executed(claims=0, right=0))
    html = client.get("/tiny/1/2").text
    assert "it expects the same on every token" in html


def test_the_newest_collection_counts_and_an_older_one_is_named(
    client: TestClient, make: Make, subject: Subject, neuron: Neuron, context: Context
) -> None:
    explanation_id = make.explained(neuron)
    checked(make, subject, explanation_id)
    make.collection(subject)
    assert ", of an earlier collection" in " ".join(client.get("/tiny/1/2").text.split()).replace(" ,", ",")
    checked(make, subject, explanation_id, executed(right=20))
    client.get("/tiny/1/2")
    newest = make.session.get_one(Collection, subject.collection_id)
    assert context().check.figures.collection_id == newest.id
    assert [m.n_tokens for m in context().check.mistakes] == [20, 30]
