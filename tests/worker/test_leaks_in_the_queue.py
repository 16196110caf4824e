"""What provenance names as shown, calibrated on and scored never meets, by id and by text, whatever the method."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from sqlalchemy import select

from app.db import Sessions, transaction
from app.domain.activations import ActivationRecord, NeuronRecords
from app.domain.copies import alike
from app.domain.methods import LEXICAL, MethodDefinition
from app.domain.splits import HELD_OUT, Split
from app.models import Explanation, Neuron, Subject
from app.queries.neurons.records import neuron_records
from tests.llm_server import Answer, Behaviour, Body, LlmServer
from tests.worker.collecting import corpus_of
from tests.worker.llm_site import SETTINGS, Site, method_named
from tests.worker.test_leaks import CONTEXT, full_of_copies
from tests.worker.tiny_models import save_tiny
from worker.collection.run import CollectOptions, collect
from worker.run.services import WorkerServices
from worker.subjects.load import LoadOptions, load_subject

N_NEURONS = 8
CALIBRATED = replace(LEXICAL, name="lexical-calibrated", parameters={"calibration": "linear"})
METHODS = [LEXICAL, CALIBRATED, method_named("pairs-structured")]


@dataclass
class Lists:
    """The records that one stored explanation's provenance names, by what they served for."""

    shown: set[int]
    calibrated_on: set[int]
    scored: set[int]
    records: NeuronRecords

    def of_split(self, *splits: Split) -> set[int]:
        return {r.excerpt_id for kind in self.records.samples for s in splits for r in self.records.of(kind, s)}

    def listed(self, ids: set[int]) -> list[ActivationRecord]:
        by_id = {r.excerpt_id: r for rows in self.records.samples.values() for r in rows}
        return [by_id[i] for i in sorted(ids)]

    def share_a_text(self, left: set[int], right: set[int]) -> bool:
        rows = self.listed(left) + self.listed(right)
        near = alike([r.token_ids for r in rows], [r.peak_index for r in rows])
        return bool(near[: len(left), len(left) :].any())


def brain(body: Body) -> Behaviour:
    """Explains everything alike, and expects 1 on the last token of each excerpt."""
    text = body["messages"][-1]["content"]
    if "tokens." not in text:
        return Answer(json.dumps({"explanation": 'the letter "e"'}))
    n = len(text.partition("⟪text⟫\n")[2].partition("\n⟪/text⟫")[0].split("\n"))
    return Answer(json.dumps({"activations": [0] * (n - 1) + [1]}))


@pytest.fixture(params=[6, 24, 90])
def site(request: pytest.FixtureRequest, fresh_sessions: Sessions, tmp_path: Path) -> Iterator[Site]:
    """A collection of so many documents full of copies, with a worker and a language model."""
    subject = load_subject(str(save_tiny(tmp_path / "model")), LoadOptions(device="cpu"))
    corpus = corpus_of("copies", full_of_copies(request.param))
    collect(fresh_sessions, subject, corpus, tmp_path / "work", CollectOptions("tiny", context_length=CONTEXT))
    with LlmServer(brain=brain) as server:
        services = WorkerServices(SETTINGS, fresh_sessions)
        yield Site(fresh_sessions, services, server.url)
        services.close()


def stored(site: Site, method: MethodDefinition) -> list[Lists]:
    """What every explanation says that the method makes of some neurons in the queue."""
    with transaction(site.sessions) as session:
        subject_id = session.scalars(select(Subject.id)).one()
        ids = session.scalars(select(Neuron.id).where(Neuron.max > 0).order_by(Neuron.id).limit(N_NEURONS)).all()
    site.provider()
    site.enqueue(subject_id, list(ids), method)
    loop = site.loop()
    while loop.run_one():
        pass
    with transaction(site.sessions) as session:
        return [
            Lists(
                {i for found in e.provenance["shown"].values() for i in found},
                set(e.provenance["simulator"].get("calibrated_on", ())),
                {i for found in e.provenance["scored"].values() for i in found},
                neuron_records(session, neuron_id=e.neuron_id),
            )
            for e in session.scalars(select(Explanation))
        ]


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_no_list_of_the_provenance_meets_what_is_held_out(site: Site, method: MethodDefinition) -> None:
    found = stored(site, method)
    assert len(found) > N_NEURONS / 2
    assert any(lists.scored for lists in found)
    if method is not LEXICAL:
        assert any(lists.calibrated_on for lists in found)
    for lists in found:
        assert lists.shown
        validation, test = lists.of_split(Split.VALIDATION), lists.of_split(Split.TEST)
        assert lists.scored <= validation
        assert not validation & test
        assert not lists.share_a_text(validation, test)
        for opened in (lists.shown, lists.calibrated_on):
            assert not opened & lists.of_split(*HELD_OUT)
            assert not lists.share_a_text(opened, validation | test)
