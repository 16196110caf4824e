"""Whether the web server answers and reaches its database."""

from dataclasses import dataclass

from fastapi import APIRouter
from sqlalchemy import text

from app.web.deps import DbSession

router = APIRouter()


@dataclass(frozen=True, slots=True)
class Health:
    status: str


@router.get("/health")
def health(session: DbSession) -> Health:
    """Answers where the database does."""
    session.execute(text("SELECT 1"))
    return Health("ok")
