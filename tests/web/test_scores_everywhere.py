"""The same scores of one neuron on every page and JSON twin that shows them."""

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from app.db import Sessions
from app.domain.standing import SCORE_2023
from app.localization.formats import ENGLISH
from app.models import Batch, Explanation, Run, Score
from app.queries.review.flags import open_flag
from tests.factories import Make
from tests.web.conftest import Context, LogIn
from tests.web.scored import FIRST, SECOND, Story, scored_neuron
from tests.web.twins import Json, both


@pytest.fixture
def story(session: Session, sessions: Sessions, make: Make) -> Story:
    return scored_neuron(session, sessions, make)


def test_the_scenario_can_make_the_other_tests_fail(story: Story) -> None:
    """Makes the other tests able to fail: all numbers differ, and no representative is the highest."""
    scores = story.session.scalars(
        select(Score).where(Score.scorer == SCORE_2023.scorer, Score.sample == SCORE_2023.sample)
    ).all()
    values = [score.value for score in scores if score.value is not None]
    assert len(scores) == 4 * 5 == len({round(value, 4) for value in values})
    assert [(e.text, e.rank) for e in story.explanations] == [
        ("preferred text of one", 0),
        ("lucky text of one", 1),
        ("preferred text of two", 0),
        ("lucky text of two", 1),
    ]
    standing = story.standing[story.current.id].value
    assert standing is not None
    assert standing < max(values)
    assert set(story.session.scalars(select(Run.status))) == {"succeeded"}


def test_the_list_shows_the_standing_score_of_the_first_text(
    client: TestClient, story: Story, context: Context
) -> None:
    html = client.get("/tiny").text
    expected = story.standing[story.current.id]
    for row in (context().rows[0], Json(client.get("/tiny.json").json()["rows"][0])):
        assert (row.explanation, row.score, row.simulator) == (story.current.text, expected.value, SECOND)
        assert list(row.interval) == [expected.interval_low, expected.interval_high]
    assert f"<b>{ENGLISH.score(expected.value)}</b>" in html


def test_a_neurons_page_shows_each_explanation_with_the_score_that_represents_it(
    client: TestClient, story: Story, context: Context
) -> None:
    for page in both(client, "/tiny/0/1", context):
        assert page.claim.shown.id == page.claim.current_id == story.current.id
        assert page.claim.score_2023.value == story.standing[story.current.id].value
        assert page.claim.score_2023.simulator == SECOND
        assert page.neuron.current_score == story.standing[story.current.id].value
        ids = [row.id for row in page.claim.explanations]
        assert ids == [story.current.id] + [e.id for e in reversed(story.explanations) if e is not story.current]
    html = client.get("/tiny/0/1").text
    for explanation in story.explanations:
        shown = html.partition(f'href="/tiny/0/1?explanation={explanation.id}"')[0].rpartition('<b class="mono">')[2]
        assert shown.startswith(f"{ENGLISH.score(story.standing[explanation.id].value)}<")


def test_each_explanation_can_be_shown_with_its_own_standing_score(
    client: TestClient, story: Story, context: Context
) -> None:
    for explanation in story.explanations:
        expected = story.standing[explanation.id]
        for page in both(client, f"/tiny/0/1?explanation={explanation.id}", context):
            assert (page.claim.score_2023.id, page.claim.score_2023.value) == (expected.id, expected.value)
        assert f"<b>{ENGLISH.score(expected.value)}</b>" in client.get(f"/tiny/0/1?explanation={explanation.id}").text


def test_progress_brings_the_same_claim(client: TestClient, story: Story, context: Context) -> None:
    for page in both(client, "/tiny/0/1/progress", context):
        assert page.claim.score_2023.value == story.standing[story.current.id].value


def test_only_what_the_shown_simulator_expected_is_drawn_once(
    client: TestClient, story: Story, context: Context
) -> None:
    client.get("/tiny/0/1")
    shown = {(s.simulator, len(s.rows)) for s in context().simulations}
    assert shown == {(FIRST, 10), (SECOND, 10)}


def test_an_explanations_page_names_the_simulator_of_every_score(
    client: TestClient, story: Story, context: Context
) -> None:
    for explanation in story.explanations:
        for page in both(client, f"/explanations/{explanation.id}", context):
            found = [s for s in page.explanation.row.scores if SCORE_2023.names(s)]
            assert sorted(s.simulator for s in found).count(SECOND) + [s.simulator for s in found].count(FIRST) == 5
        html = client.get(f"/explanations/{explanation.id}").text
        marked = html.partition("<small>2023 score</small>")[2].partition("</tr>")[0]
        assert f">{ENGLISH.score(story.standing[explanation.id].value)}</td>" in marked


def test_comparison_holds_scores_of_one_simulator_against_each_other(
    client: TestClient, story: Story, context: Context
) -> None:
    first, second = story.explanations[0], story.explanations[2]
    for page in both(client, f"/tiny/0/1/compare?explanation={first.id}&explanation={second.id}", context):
        assert [column.simulator for column in page.columns] == [FIRST, SECOND]
        lines = {line.simulator: line.cells for line in page.scores if SCORE_2023.names(line)}
        assert set(lines) == {FIRST, SECOND}
        for simulator, cells in lines.items():
            values = [story.score(e, simulator).value for e in (first, second)]
            assert [cell.score.value for cell in cells] == values
            assert cells[1].difference == pytest.approx(values[1] - values[0])  # type: ignore[operator]  # both defined


def test_without_a_choice_the_runs_representatives_are_compared(
    client: TestClient, story: Story, context: Context
) -> None:
    for page in both(client, "/tiny/0/1/compare", context):
        assert [c.id for c in page.columns] == [story.explanations[0].id, story.explanations[2].id]


def test_methods_count_their_preferred_text_once(client: TestClient, story: Story, context: Context) -> None:
    expected = {
        method.name: story.standing[explanation.id].value
        for method, explanation in zip(story.methods, story.explanations[::2], strict=True)
    }
    for page in both(client, "/methods", context):
        # JSON has an object where a context has a mapping.
        needing = page.needing.values if isinstance(page.needing, Json) else page.needing
        listed = [m for own in (page.usable, *needing.values()) for m in own]
        shown = {each.method.name: each.method for each in listed}
        for name, value in expected.items():
            method = shown[name]
            assert (method.n_neurons, method.score_2023.n, method.score_2023.mean.interval) == (1, 1, None)
            assert method.score_2023.mean.value == pytest.approx(value)
    for method in story.methods:
        for page in both(client, f"/methods/{method.id}", context):
            assert page.method.score_2023.mean.value == pytest.approx(expected[method.name])
    first, second = story.methods
    for page in both(client, f"/methods/compare?first={first.id}&second={second.id}", context):
        assert page.comparison.n == 1
        (pair,) = page.comparison.pairs
        assert (pair.first, pair.second) == (expected["one"], expected["two"])
        assert page.comparison.difference.value == pytest.approx(expected["two"] - expected["one"])  # type: ignore[operator]  # both defined
    assert "The simulators differ" in client.get(f"/methods/compare?first={first.id}&second={second.id}").text


def test_batches_and_runs_show_the_runs_representative_and_its_own_score(
    client: TestClient, story: Story, log_in_as: LogIn, context: Context
) -> None:
    log_in_as("bob")
    batches = story.session.scalars(select(Batch).order_by(Batch.id)).all()
    runs = story.session.scalars(select(Run).order_by(Run.id)).all()
    for batch, run in zip(batches, runs, strict=True):
        speaking = (
            run.explanation_id
            or story.session.scalars(
                select(Explanation.id).where(Explanation.run_id == run.id, Explanation.rank == 0)
            ).one()
        )
        measured = story.session.scalars(
            select(Score)
            .where(Score.run_id == run.id, Score.explanation_id == speaking)
            .where(Score.sample == SCORE_2023.sample, Score.scorer == SCORE_2023.scorer)
        ).one()
        for page in both(client, f"/batches/{batch.id}", context):
            (shown,) = page.runs
            assert (shown.result.explanation_id, shown.result.score) == (speaking, measured.value)
        for page in both(client, f"/runs/{run.id}", context):
            assert (page.run.result.score, page.run.result.simulator) == (measured.value, measured.simulator)


def test_the_first_page_counts_the_neuron_once_under_its_simulator(
    client: TestClient, story: Story, context: Context
) -> None:
    assert client.get("/").status_code == 200
    for page in (context(), Json(client.get("/index.json").json())):
        (subject,) = page.subjects
        (scores,) = subject.scores
        assert (subject.n_explained, scores.simulator, scores.n_scored) == (1, SECOND, 1)


def test_a_flag_shows_the_score_that_represents_its_explanation(
    client: TestClient, make: Make, story: Story, context: Context
) -> None:
    flagged = story.explanations[1]
    open_flag(story.session, explanation_id=flagged.id, account_id=make.account("dora").id, reason="wrong", note="")
    story.session.flush()
    for page in both(client, "/flags", context):
        (flag,) = page.flags
        assert (flag.score, flag.simulator) == (story.standing[flagged.id].value, FIRST)
