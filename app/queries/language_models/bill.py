"""The cost of language models, from stored sums: see ``app.models.CallCount``."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Literal

from sqlalchemy import SQLColumnExpression, func, select
from sqlalchemy.orm import Session

from app.models import Account, CallCount, Method

BillBy = Literal["day", "provider", "method", "person"]


@dataclass(frozen=True, slots=True)
class BillLine:
    """Sums over the calls of one day, provider, method or person."""

    name: str
    calls: int
    tokens_in: int
    tokens_cached: int
    tokens_out: int
    price: float
    price_estimated: float
    """The part of the price that is estimated by this program, since the endpoint reported no token counts."""


def bill(session: Session, *, by: BillBy, since: date, until: date | None = None) -> list[BillLine]:
    """The spending from ``since`` to ``until`` (UTC days, both included), the most expensive first; days in order."""
    keys: dict[BillBy, SQLColumnExpression[Any]] = {
        "day": CallCount.day,
        "provider": CallCount.provider,
        "method": func.coalesce(Method.name, "none"),
        "person": func.coalesce(Account.name, "none"),
    }
    key, price = keys[by], func.sum(CallCount.price)
    statement = (
        select(
            key,
            func.sum(CallCount.calls),
            func.sum(CallCount.tokens_in),
            func.sum(CallCount.tokens_cached),
            func.sum(CallCount.tokens_out),
            price,
            func.sum(CallCount.price_estimated),
        )
        .outerjoin(Method, Method.id == CallCount.method_id)
        .outerjoin(Account, Account.id == CallCount.account_id)
        .where(CallCount.day >= since, CallCount.day <= (until or datetime.now(UTC).date()))
        .group_by(key)
        .having(func.sum(CallCount.calls) != 0)
        .order_by(key if by == "day" else price.desc(), key)
    )
    return [_bill_line(row) for row in session.execute(statement)]


def _bill_line(row: Sequence[Any]) -> BillLine:
    return BillLine(str(row[0]), int(row[1]), int(row[2]), int(row[3]), int(row[4]), float(row[5]), float(row[6]))
