from sqlalchemy.orm import Session

from app.queries.language_models.calls import budget_of_run


def test_a_run_that_does_not_exist_has_no_budget(session: Session) -> None:
    assert budget_of_run(session, run_id=999) is None
