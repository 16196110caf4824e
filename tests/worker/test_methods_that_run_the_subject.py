"""Revise, per meaning and ablation from the queue, with a collected tiny model that the worker loads itself."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from app.db import make_engine, make_sessions, transaction
from app.domain import sites as domain
from app.models import Explanation, Neuron, Run, Score, Subject
from tests.llm_server import Answer, Behaviour, Body, LlmServer, instance_of
from tests.worker.collecting import some_text
from tests.worker.llm_site import SETTINGS, Site, method_named
from tests.worker.tiny_models import save_tiny
from worker.collection.run import CollectOptions, collect
from worker.corpora.documents import corpus_of
from worker.run.services import WorkerServices
from worker.subjects.load import LoadOptions, load_subject


def plain(body: Body) -> Behaviour:
    """Every answer fits its schema; activations and ratings vary by place, sentences are letters."""
    schema = body["response_format"]["json_schema"]["schema"]
    wanted = schema["properties"]
    if "fires" in wanted:
        return Answer(json.dumps({"fires": ["abc def"] * 6, "silent": ["ghi jkl"] * 6}))
    for name in ("activations", "ratings"):
        if name in wanted:
            return Answer(json.dumps({name: [i % 11 for i in range(wanted[name]["minItems"])]}))
    return Answer(json.dumps(instance_of(schema)))


@pytest.fixture(params=[None, "model.layers.{layer}.self_attn.o_proj"])
def site(request: pytest.FixtureRequest, fresh_database: str, tmp_path: Path) -> Iterator[Site]:
    engine = make_engine(fresh_database)
    sessions = make_sessions(engine)
    subject = load_subject(str(save_tiny(tmp_path / "model")), LoadOptions("cpu", "float32", module_path=request.param))
    collect(sessions, subject, corpus_of("letters", some_text(120)), tmp_path, CollectOptions("tiny", context_length=8))
    with LlmServer(brain=plain) as server:
        services = WorkerServices(SETTINGS, sessions)
        yield Site(sessions, services, server.url)
        services.close()
    engine.dispose()


@pytest.mark.parametrize("name", ["revised", "per-meaning"])
def test_a_method_that_runs_the_subject_scores_by_ablation(site: Site, name: str) -> None:
    site.provider()
    with transaction(site.sessions) as session:
        subject_id = session.scalars(select(Subject.id)).one()
        neuron_id = session.scalars(select(Neuron.id).where(Neuron.max > 0).order_by(Neuron.id)).first()
    assert neuron_id is not None
    site.enqueue(subject_id, [neuron_id], method_named(name))
    assert site.loop().run_one()
    with transaction(site.sessions) as session:
        assert session.scalars(select(Run.error)).one() is None
        explanation = session.scalars(select(Explanation)).first()
        where = domain.Site.from_json(session.scalars(select(Subject.site)).one())
        layer = session.scalars(select(Neuron.layer).where(Neuron.id == neuron_id)).one()
        ablation = session.scalars(select(Score).where(Score.scorer == "ablation")).first()
        written = session.scalars(select(Score).where(Score.sample == "written")).first()
    assert explanation is not None
    assert ablation is not None
    assert ablation.value is not None
    assert ablation.value < 1
    assert (written is not None) == (name == "revised")
    assert ("revision" in explanation.provenance) == (name == "revised")
    assert explanation.provenance["site"] == {"kind": where.kind, "read": where.read_at(layer)}
