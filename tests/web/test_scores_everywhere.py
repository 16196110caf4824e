"""One neuron through the queue, the worker and the store, and the same numbers of it on every page and JSON twin.

Two methods with a simulator each run on it once and find two texts each; every text is then scored twice by either
simulator. Both simulators draw noise, so that every number is another one.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from app.db import Sessions
from app.domain.activations import IntArray, SampleKind
from app.domain.methods import MethodDefinition
from app.domain.results import ExplanationResult, SimulatedExcerpt
from app.domain.standing import SCORE_2023
from app.domain.tokens import Vocabulary
from app.localization.formats import ENGLISH
from app.models import Account, Batch, Explanation, Method, Neuron, Run, Score
from app.queries.review.flags import open_flag
from app.work.enqueue import enqueue_batch, enqueue_scoring
from tests.factories import Make
from tests.worker.looping import work_off
from worker.method.contracts import Candidate, NeuronTask, Simulator
from worker.method.pipeline import Report, run_method
from worker.method.registry import BuiltMethod
from worker.run.runs import Work
from worker.scorers.correlation import CorrelationScorer
from worker.simulators.calibration import linear_calibration

Context = Callable[[], Any]
LogIn = Callable[[str], Account]

IMPORT = 4
FIRST, SECOND = "sharp", "blunt+linear"
"""The simulators, as scores name them."""


@dataclass
class Noisy:
    """A simulator that expects 10 on the token " import", with noise that is drawn anew each time."""

    name: str
    noise: float
    version: int = 1
    drawn: np.random.Generator = field(default_factory=lambda: np.random.default_rng(7))

    def simulate(
        self, text: str, excerpts: Sequence[tuple[int, IntArray]], vocabulary: Vocabulary
    ) -> tuple[SimulatedExcerpt, ...]:
        """More noise for a text that is "lucky", so that the two texts of a run differ."""
        noise = self.noise / (1 + text.startswith("lucky"))
        return tuple(
            SimulatedExcerpt(
                excerpt_id,
                len(ids),
                (10 * (ids == IMPORT) + self.drawn.normal(0, noise, len(ids))).astype(np.float32),
            )
            for excerpt_id, ids in excerpts
        )


@dataclass
class TwoTexts:
    """An explainer that prefers its first text; the second one scores higher."""

    name: str
    version: int = 1

    def explain(self, task: NeuronTask) -> tuple[Candidate, ...]:
        """Two texts that name their method."""
        shown = {"train": tuple(record.excerpt_id for record in task.train[:5])}
        return tuple(Candidate(f"{word} text of {self.name}", shown=shown) for word in ("preferred", "lucky"))


@dataclass
class Story:
    """The neuron, the two methods, the explanations in the order of their making."""

    session: Session
    neuron: Neuron
    methods: tuple[Method, Method]
    explanations: list[Explanation]

    def score(self, explanation: Explanation, simulator: str) -> Score:
        """The newest 2023 score of an explanation by a simulator, read from the table itself."""
        return self.session.scalars(
            select(Score)
            .where(Score.explanation_id == explanation.id, Score.simulator == simulator)
            .where(Score.scorer == SCORE_2023.scorer, Score.sample == SCORE_2023.sample)
            .order_by(Score.id.desc())
            .limit(1)
        ).one()

    @property
    def standing(self) -> dict[int, Score]:
        """The score that represents each explanation: by its own method's simulator, the newest."""
        simulators = (FIRST, FIRST, SECOND, SECOND)
        return {e.id: self.score(e, s) for e, s in zip(self.explanations, simulators, strict=True)}

    @property
    def current(self) -> Explanation:
        """What the neuron shows first: the preferred text of the newer method."""
        return self.explanations[2]


@pytest.fixture
def story(session: Session, sessions: Sessions, make: Make) -> Story:
    subject = make.subject()
    neuron, peer = make.neuron(subject, index=1), make.neuron(subject, index=2)
    drawn = np.random.default_rng(0)
    for made in (neuron, peer):
        for kind in (SampleKind.TOP, SampleKind.RANDOM):
            tokens = drawn.integers(0, 10, (20, 6))
            tokens[:, 2] = IMPORT
            rows = np.where(tokens == IMPORT, drawn.uniform(1, 4, tokens.shape), drawn.normal(0, 0.2, tokens.shape))
            make.sample(made, subject, kind, rows.tolist(), tokens.tolist())
    methods = make.method("one"), make.method("two")
    methods[0].simulator, methods[1].simulator = "sharp", "blunt"
    methods[1].parameters = {"calibration": "linear"}
    session.commit()
    simulators: Mapping[str, Simulator] = {"one": Noisy("sharp", 1.0), "two": linear_calibration(Noisy("blunt", 6.0))}

    def build(definition: MethodDefinition) -> Work:
        catalogued = replace(definition, explainer="lexical", simulator="lexical", parameters={})
        explainer, simulator = TwoTexts(definition.name), simulators[definition.name]
        built = BuiltMethod(catalogued, explainer, simulator, (CorrelationScorer(),))

        def work(task: NeuronTask, report: Report) -> tuple[ExplanationResult, ...]:
            return run_method(built, task, report)

        return work

    for method in methods:
        enqueue_batch(session, subject_id=subject.id, neuron_ids=[neuron.id], method_id=method.id, account_id=None)
        session.commit()
        work_off(sessions, build)
    explanations = list(session.scalars(select(Explanation).order_by(Explanation.id)))
    for _ in range(2):
        for explanation in explanations:
            for method in methods:
                enqueue_scoring(session, explanation_id=explanation.id, method_id=method.id, account_id=None)
                session.commit()
                work_off(sessions, build)
    session.expire_all()
    return Story(session, neuron, methods, explanations)


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
    for row in (context().rows[0], Row(client.get("/tiny.json").json()["rows"][0])):
        assert (row.explanation, row.score, row.simulator) == (story.current.text, expected.value, SECOND)
        assert list(row.interval) == [expected.interval_low, expected.interval_high]
    assert f"<b>{ENGLISH.score(expected.value)}</b>" in html


class Row:
    """JSON's objects with attributes, so that one assertion serves a page and its twin."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.values = values

    def __getattr__(self, name: str) -> Any:
        value = self.values[name]
        return Row(value) if isinstance(value, dict) else value


def both(client: TestClient, path: str, context: Context) -> Iterator[Any]:
    """The context of a page and the JSON of its twin."""
    assert client.get(path).status_code == 200
    yield context()
    path, _, query = path.partition("?")
    yield Row(client.get(f"{path}.json?{query}").json())


def rows(values: Sequence[Any]) -> list[Any]:
    """JSON's objects as rows; a context's rows as they are."""
    return [Row(value) if isinstance(value, dict) else value for value in values]


def test_a_neurons_page_shows_each_explanation_with_the_score_that_represents_it(
    client: TestClient, story: Story, context: Context
) -> None:
    for page in both(client, "/tiny/0/1", context):
        assert page.claim.shown.id == page.claim.current_id == story.current.id
        assert page.claim.score_2023.value == story.standing[story.current.id].value
        assert page.claim.score_2023.simulator == SECOND
        assert page.neuron.current_score == story.standing[story.current.id].value
        ids = [row.id for row in rows(page.claim.explanations)]
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
            found = [s for s in rows(page.explanation.row.scores) if SCORE_2023.names(s)]
            assert sorted(s.simulator for s in found).count(SECOND) + [s.simulator for s in found].count(FIRST) == 5
        html = client.get(f"/explanations/{explanation.id}").text
        marked = html.partition("<small>2023 score</small>")[2].partition("</tr>")[0]
        assert f">{ENGLISH.score(story.standing[explanation.id].value)}</td>" in marked


def test_comparison_holds_scores_of_one_simulator_against_each_other(
    client: TestClient, story: Story, context: Context
) -> None:
    first, second = story.explanations[0], story.explanations[2]
    for page in both(client, f"/tiny/0/1/compare?explanation={first.id}&explanation={second.id}", context):
        assert [column.simulator for column in rows(page.columns)] == [FIRST, SECOND]
        lines = {line.simulator: rows(line.cells) for line in rows(page.scores) if SCORE_2023.names(line)}
        assert set(lines) == {FIRST, SECOND}
        for simulator, cells in lines.items():
            values = [story.score(e, simulator).value for e in (first, second)]
            assert [cell.score.value for cell in cells] == values
            assert cells[1].difference == pytest.approx(values[1] - values[0])  # type: ignore[operator]  # both defined


def test_without_a_choice_the_runs_representatives_are_compared(
    client: TestClient, story: Story, context: Context
) -> None:
    for page in both(client, "/tiny/0/1/compare", context):
        assert [c.id for c in rows(page.columns)] == [story.explanations[0].id, story.explanations[2].id]


def test_methods_count_their_preferred_text_once(client: TestClient, story: Story, context: Context) -> None:
    expected = {
        method.name: story.standing[explanation.id].value
        for method, explanation in zip(story.methods, story.explanations[::2], strict=True)
    }
    for page in both(client, "/methods", context):
        # JSON has plain objects where a context has a mapping.
        needing = page.needing.values if isinstance(page.needing, Row) else page.needing
        listed = rows([m for own in (page.usable, *needing.values()) for m in own])
        shown = {m.name: m for m in rows([each.method for each in listed])}
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
        (pair,) = rows(page.comparison.pairs)
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
            (shown,) = rows(page.runs)
            assert (shown.result.explanation_id, shown.result.score) == (speaking, measured.value)
        for page in both(client, f"/runs/{run.id}", context):
            assert (page.run.result.score, page.run.result.simulator) == (measured.value, measured.simulator)


def test_the_first_page_counts_the_neuron_once_under_its_simulator(
    client: TestClient, story: Story, context: Context
) -> None:
    assert client.get("/").status_code == 200
    for page in (context(), Row(client.get("/index.json").json())):
        (subject,) = rows(page.subjects)
        (scores,) = rows(subject.scores)
        assert (subject.n_explained, scores.simulator, scores.n_scored) == (1, SECOND, 1)


def test_a_flag_shows_the_score_that_represents_its_explanation(
    client: TestClient, make: Make, story: Story, context: Context
) -> None:
    flagged = story.explanations[1]
    open_flag(story.session, explanation_id=flagged.id, account_id=make.account("dora").id, reason="wrong", note="")
    story.session.flush()
    for page in both(client, "/flags", context):
        (flag,) = rows(page.flags)
        assert (flag.score, flag.simulator) == (story.standing[flagged.id].value, FIRST)
