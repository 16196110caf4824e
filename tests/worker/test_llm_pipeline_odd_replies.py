"""Whole runs on endpoints whose replies are odd: what a run makes of them, and how many calls it takes."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest
from sqlalchemy import select

from app.db import Sessions, transaction
from app.models import Explanation, LlmCall, Run, Score, Simulation
from tests.llm_server import Answer, Behaviour, Body, Edited, LlmServer, raw_json
from tests.worker.llm_site import SETTINGS, Site, method_named
from worker.run.services import WorkerServices

CALLS = 1 + 2
"""One for the explanation, one for each of two scored excerpts."""


@dataclass
class Endpointed(Site):
    """A site whose language model is the loopback server."""

    server: LlmServer

    def run(self, answered: Callable[[str], Behaviour]) -> Run:
        """The run of one neuron, whose calls are answered with what ``answered`` makes of the right answer."""
        self.server.brain = lambda body: answered(right(body))
        subject_id, ids = self.neurons(1, records=4)
        method = replace(method_named("pairs-structured"), parameters={"baselines": ["token_lookup"]})
        self.enqueue(subject_id, ids, method)
        self.loop().run_one()
        with transaction(self.sessions) as session:
            return session.scalars(select(Run)).one()

    def explanation(self) -> str:
        with transaction(self.sessions) as session:
            return session.scalars(select(Explanation.text)).one()


def right(body: Body) -> str:
    """An explanation, or numbers for the tokens that are asked about."""
    asked = body["messages"][-1]["content"]
    if "tokens." not in asked:
        return '{"explanation": "the word import"}'
    lines = asked.partition("⟪text⟫\n")[2].partition("\n⟪/text⟫")[0].split("\n")
    return json.dumps({"activations": [10 if line.endswith("\t import") else 0 for line in lines]})


@pytest.fixture
def site(fresh_sessions: Sessions) -> Iterator[Endpointed]:
    with LlmServer() as server:
        services = WorkerServices(SETTINGS, fresh_sessions)
        site = Endpointed(fresh_sessions, services, server.url, server)
        site.provider(capabilities=["chat"])
        yield site
        services.close()


THINKING: dict[str, Callable[[str], Behaviour]] = {
    "in the text": lambda answer: Answer(f"<think>first {{1}}, {{2}}, then</think>\n{answer}"),
    "closed alone": lambda answer: Answer(f"first {{1}}, {{2}}, then</think>\n\n{answer}"),
    "apart": lambda answer: Edited(with_thoughts, Answer(answer)),
    "in a fence": lambda answer: Answer(f"<think>hm</think>\n```json\n{answer}\n```"),
}


def with_thoughts(reply: Body) -> Body:
    reply["choices"][0]["message"]["reasoning_content"] = "first {1}, {2}"
    return reply


@pytest.mark.parametrize("name", THINKING)
def test_a_model_that_thinks_is_asked_once_for_each_answer(site: Endpointed, name: str) -> None:
    run = site.run(THINKING[name])
    assert (run.status, site.server.n_requests) == ("succeeded", CALLS)
    with transaction(site.sessions) as session:
        value = session.scalars(select(Score.value).where(Score.scorer == "correlation")).first()
        stored = str(session.scalars(select(LlmCall.reply)).all())
    assert value == pytest.approx(1.0)
    assert "first" in stored or "hm" in stored


def test_a_filtered_excerpt_is_missing_and_the_run_goes_on(site: Endpointed) -> None:
    refused = raw_json({"error": {"message": "The prompt was filtered", "code": "content_filter"}}, 400)
    filtered: set[str] = set()

    def brain(answer: str) -> Behaviour:
        asked = site.server.requests[-1]["messages"][-1]["content"]
        if "activations" in answer and not filtered:
            filtered.add(asked)
        return refused if asked in filtered else Answer(answer)

    run = site.run(brain)
    assert run.status == "succeeded"
    with transaction(site.sessions) as session:
        failures = [text for row in session.scalars(select(Simulation.failures)) for text in row.values()]
        counts = session.execute(select(Score.n_valid, Score.n_failed).where(Score.sample == "top_and_random")).all()
    assert failures == ["HTTP 400: The prompt was filtered"]
    assert (1, 1) in [tuple(count) for count in counts]


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (raw_json({"error": {"message": "Invalid API key", "code": 401}}), "Invalid API key"),
        (
            raw_json({"error": {"message": "No quota is left", "code": "insufficient_quota"}}, 429),
            "quota",
        ),
    ],
)
def test_what_no_call_can_pass_fails_the_run_after_one(site: Endpointed, reply: Behaviour, said: str) -> None:
    run = site.run(lambda _answer: reply)
    assert (run.status, site.server.n_requests) == ("failed", 1)
    assert said in str(run.error)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ('{"explanation": "the emoji 👩‍💻"}', "the emoji 👩‍💻"),
        (r'{"explanation": "fires on the byte \xe2\x82"}', r"fires on the byte \xe2\x82"),
        (r'{"explanation": "fires on \"\n\" after a colon"}', r'fires on "\n" after a colon'),
    ],
)
def test_an_explanation_is_kept_as_it_was_meant_at_the_first_call(site: Endpointed, written: str, meant: str) -> None:
    run = site.run(lambda answer: Answer(written if "explanation" in answer else answer))
    assert (run.status, site.server.n_requests) == ("succeeded", CALLS)
    assert site.explanation() == meant


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (Answer(""), "the reply is empty (finish reason: stop)"),
        (Answer("It fires on cats."), "the reply is not JSON: it begins with 'It fires on cats.'"),
        (
            Answer("<think>and so on", finish_reason="length"),
            "cut short in the model's reasoning",
        ),
    ],
)
def test_a_run_without_an_explanation_says_what_came_instead(site: Endpointed, reply: Behaviour, said: str) -> None:
    run = site.run(lambda _answer: reply)
    assert run.status == "failed"
    assert said in str(run.error)
