"""What a batch will need, before a run of its method has succeeded."""

import pytest
from sqlalchemy.orm import Session

from app.domain.activations import SampleKind
from app.errors import Conflict, NotFound
from app.models import Method, Provider, Subject
from app.queries.language_models.estimates import batch_estimate, some_records
from tests.factories import Make, texts

ROW = (0.0, 4.0, 0.0, 1.0)


@pytest.fixture
def method(session: Session, make: Make) -> Method:
    """Simulates with a language model, calibrated."""
    method = make.method("asks")
    method.provider, method.explainer, method.simulator = "paid", "highlighted", "all_at_once"
    method.parameters = {"calibration": "linear"}
    session.add(Provider(name="paid", kind="openai_compatible", model="m", concurrency=4, price_in=1.0))
    session.flush()
    return method


@pytest.fixture
def subject(make: Make) -> Subject:
    """Two neurons with 20 top and 20 random records each, one that is silent, one without records."""
    subject = make.subject()
    for index in range(2):
        neuron = make.neuron(subject, index=index)
        for first, kind in ((0, SampleKind.TOP), (20, SampleKind.RANDOM)):
            make.sample(neuron, subject, kind, rows=[ROW] * 20, token_ids=texts(20, len(ROW), first=first))
    make.sample(make.neuron(subject, index=2, max=0.0), subject, rows=[(0.0, 0.0)])
    make.neuron(subject, index=3)
    return subject


def test_a_batch_of_a_method_that_was_never_run_is_estimated_from_its_steps_and_records(
    session: Session, subject: Subject, method: Method
) -> None:
    found = batch_estimate(session, method_id=method.id, subject_id=subject.id, n_neurons=7)
    assert found is not None
    # one explanation; 5 top and 7 random records to calibrate; 10 to score; 10 of another neuron
    assert (found.n_neurons, found.calls, found.calls_most, found.n_known) == (7, 7 * 33, 7 * 33, 0)
    assert found.price == pytest.approx((found.tokens_in - found.tokens_cached) / 1e6)
    assert found.seconds == pytest.approx(7 * 33 * 2.0 / 4)


def test_neurons_that_are_silent_or_have_no_records_are_not_looked_at(session: Session, subject: Subject) -> None:
    found = some_records(session, subject_id=subject.id)
    assert [len(records.of(SampleKind.TOP)) for records in found] == [20, 20]
    assert len(some_records(session, subject_id=subject.id, n=1)) == 1


def test_a_lone_neuron_has_no_other_one_to_be_compared_with(session: Session, make: Make, method: Method) -> None:
    subject = make.subject("lone")
    neuron = make.neuron(subject)
    make.sample(neuron, subject, rows=[ROW] * 8, token_ids=texts(8, len(ROW)))
    found = batch_estimate(session, method_id=method.id, subject_id=subject.id, n_neurons=1)
    assert found is not None
    assert found.calls == 1 + 2 + 2


def test_a_subject_without_records_needs_no_call(session: Session, make: Make, method: Method) -> None:
    subject = make.subject()
    make.neuron(subject)
    found = batch_estimate(session, method_id=method.id, subject_id=subject.id, n_neurons=7)
    assert found is not None
    assert (found.calls, found.price) == (0, 0)
    subject.collection_id = None
    session.flush()
    assert some_records(session, subject_id=subject.id) == []


def test_a_method_without_a_language_model_has_no_estimate(session: Session, make: Make) -> None:
    subject = make.subject()
    assert batch_estimate(session, method_id=make.method().id, subject_id=subject.id, n_neurons=7) is None


def test_an_unknown_method_has_no_estimate(session: Session, make: Make) -> None:
    with pytest.raises(NotFound):
        batch_estimate(session, method_id=999, subject_id=make.subject().id, n_neurons=7)


def test_a_method_whose_steps_do_not_exist_has_no_price(session: Session, subject: Subject, method: Method) -> None:
    method.explainer = "magic"
    session.flush()
    with pytest.raises(Conflict, match=r"cannot run\. There is no explainer called 'magic'"):
        batch_estimate(session, method_id=method.id, subject_id=subject.id, n_neurons=7)
