from sqlalchemy.orm import Session

from app.queries.language_models.calls import budget_of_run, without_nul


def test_a_run_that_does_not_exist_has_no_budget(session: Session) -> None:
    assert budget_of_run(session, run_id=999) is None


def test_json_is_made_fit_for_the_database() -> None:
    assert without_nul({"a\x00": ["\ud800", 1, None, {"b": "ok"}]}) == {"a\u2400": ["\ufffd", 1, None, {"b": "ok"}]}
