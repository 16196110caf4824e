"""Hard negatives from a collection of a tiny random model, as they are in the database."""

from pathlib import Path

from sqlalchemy import select

from app.db import Sessions
from app.domain.activations import SampleKind
from app.models import Neuron, Sample
from app.queries.neurons.records import neuron_records
from tests.worker.collecting import corpus_of, some_text
from tests.worker.tiny_models import save_tiny
from worker.collection.hard_negatives import LOW_SHARE, driving_tokens
from worker.collection.run import CollectOptions, collect
from worker.subjects.load import LoadOptions, load_subject


def test_a_collection_stores_alike_excerpts_on_which_the_neuron_hardly_fires(
    sessions: Sessions, tmp_path: Path
) -> None:
    subject = load_subject(str(save_tiny(tmp_path / "model")), LoadOptions(device="cpu"))
    collect(sessions, subject, corpus_of("letters", some_text(200)), tmp_path, CollectOptions("tiny", context_length=8))
    with sessions() as session:
        found = session.scalars(
            select(Neuron.id)
            .join(Sample, Sample.neuron_id == Neuron.id)
            .where(Sample.kind == SampleKind.HARD_NEGATIVE)
            .order_by(Neuron.id)
        ).all()
        assert len(found) > 20
        for neuron_id in found[:20]:
            records = neuron_records(session, neuron_id=neuron_id)
            drivers = driving_tokens(records).keys()
            others = {
                r.excerpt_id for k, rows in records.samples.items() if k is not SampleKind.HARD_NEGATIVE for r in rows
            }
            for negative in records.of(SampleKind.HARD_NEGATIVE):
                assert negative.excerpt_id not in others
                assert negative.peak <= LOW_SHARE * records.maximum * 1.001
                assert drivers & set(negative.token_ids.tolist())
