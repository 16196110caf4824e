from sqlalchemy import func, select

from app.db import Sessions, transaction
from app.domain.activations import SampleKind
from app.models import Neuron, Run, Sample, Simulation, Subject
from app.queries.neurons.listing import NeuronsQuery, count_neurons, neurons_page
from app.queries.neurons.records import neuron_records, vocabulary
from benchmarks.synthetic import fill
from benchmarks.synthetic_activations import SAMPLE_SIZES
from tests.truth import assert_counts_are_true


def test_synthetic_neurons_read_like_collected_ones(fresh_database: str, fresh_sessions: Sessions) -> None:
    fill(fresh_database, 30, n_excerpts=400)

    with transaction(fresh_sessions) as session:
        subject = session.scalars(select(Subject)).one()
        assert count_neurons(session, query=NeuronsQuery(subject.id)).number == 30
        assert session.scalar(select(func.count()).select_from(Sample)) == 30 * len(SAMPLE_SIZES)
        best = neurons_page(session, query=NeuronsQuery(subject.id), size=1).rows[0]
        assert best.interval is not None
        records = neuron_records(session, neuron_id=best.id)
        assert {kind: len(records.of(kind)) for kind in SAMPLE_SIZES} == SAMPLE_SIZES
        top = records.of(SampleKind.TOP)
        assert [r.peak for r in top] == sorted((r.peak for r in top), reverse=True)
        words = vocabulary(session, tokenizer_id=subject.tokenizer_id)
        assert words.text(top[0].token_ids)
        assert set(session.scalars(select(func.cardinality(Simulation.excerpt_ids)))) == {5}
        assert session.scalar(select(func.count()).where(Run.batch_id.is_not(None))) == 60
        assert_counts_are_true(session)
        assert session.scalar(select(func.max(Neuron.id))) == 30
