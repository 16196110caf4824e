import pytest
from sqlalchemy.orm import Session

from app.errors import NotFound
from app.models import Method, Provider
from app.queries.language_models.calls import batch_estimate, budget_of_run, without_nul
from tests.factories import Make


def asking_method(session: Session, make: Make) -> Method:
    method = make.method("asks")
    method.provider, method.simulator, method.parameters = "paid", "all_at_once", {"calibration": "linear"}
    session.add(Provider(name="paid", kind="openai_compatible", model="m", concurrency=4, price_in=1.0))
    session.flush()
    return method


def test_a_batch_of_a_method_that_was_never_run_is_guessed(session: Session, make: Make) -> None:
    subject, method = make.subject(), asking_method(session, make)
    found = batch_estimate(session, method_id=method.id, subject_id=subject.id, n_neurons=7)
    assert found is not None
    assert (found.n_neurons, found.calls, found.n_known) == (7, 7 * 31, 0)
    assert found.price == pytest.approx((found.tokens_in - found.tokens_cached) / 1e6)


def test_a_method_without_a_language_model_has_no_estimate(session: Session, make: Make) -> None:
    subject = make.subject()
    assert batch_estimate(session, method_id=make.method().id, subject_id=subject.id, n_neurons=7) is None


def test_an_unknown_method_has_no_estimate(session: Session, make: Make) -> None:
    with pytest.raises(NotFound):
        batch_estimate(session, method_id=999, subject_id=make.subject().id, n_neurons=7)


def test_a_run_that_does_not_exist_has_no_budget(session: Session) -> None:
    assert budget_of_run(session, run_id=999) is None


def test_json_is_made_fit_for_the_database() -> None:
    assert without_nul({"a\x00": ["\ud800", 1, None, {"b": "ok"}]}) == {"a\u2400": ["\ufffd", 1, None, {"b": "ok"}]}
