"""News: outcomes of a person's flags, verdicts and batches since they last looked."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import BigInteger, ScalarSelect, bindparam, func, literal, select, text, update
from sqlalchemy.orm import Session

from app.domain.flags import FlagVerdict
from app.domain.news import MOST_COUNTED, NewsKind
from app.domain.review import ItemState, Verdict, flag_verdict
from app.models import Account, Batch, Explanation, Flag, Neuron, News, ReviewItem, Subject
from app.queries.common.prepared import PreparedSelect, one_statement
from app.queries.methods.definitions import NEWEST_METHODS, NewestMethod, offered


@dataclass(frozen=True, slots=True)
class FlagNews:
    """A flag that was settled, with its outcome."""

    flag_id: int
    subject: str
    layer: int
    index: int
    explanation: str
    verdict: FlagVerdict | None
    """None if the item has been opened again."""
    needs_explanation: bool
    """Whether no explanation is shown for the neuron now."""

    @property
    def address(self) -> str:
        """The page of the flag."""
        return f"/flags/{self.flag_id}"


@dataclass(frozen=True, slots=True)
class BatchNews:
    """A batch that has ended."""

    batch_id: int
    title: str

    @property
    def address(self) -> str:
        """The page of the batch."""
        return f"/batches/{self.batch_id}"


@dataclass(frozen=True, slots=True)
class NewsItem:
    """One piece of news."""

    id: int
    created_at: datetime
    is_new: bool
    flag: FlagNews | None
    batch: BatchNews | None


_FLAGS = text("""
    INSERT INTO news (account_id, kind, flag_id)
    SELECT flag.account_id, :kind, flag.id FROM flag WHERE flag.item_id = :item_id AND flag.account_id <> :by
    ORDER BY flag.id
""")
_ENDED = text("""
    WITH ended AS (
        UPDATE batch SET ended_at = now() WHERE ended_at IS NULL AND n_runs > 0 AND (
            SELECT coalesce(sum(queued + running), 0) = 0 FROM run_count WHERE run_count.batch_id = batch.id
        )
        RETURNING id, account_id
    )
    INSERT INTO news (account_id, kind, batch_id)
    SELECT account_id, :kind, id FROM ended WHERE account_id IS NOT NULL ORDER BY id
""")


def tell_of_flags(session: Session, *, item_id: int, by: int) -> None:
    """Notify everybody who has flagged an explanation, except the account ``by``, that the flag was settled."""
    session.execute(_FLAGS, {"kind": NewsKind.FLAG_SETTLED, "item_id": item_id, "by": by})


def end_batches(session: Session) -> None:
    """Record which batches have ended since the last call, and notify those who queued them.

    Workers call it every few seconds, since the run that ends a batch cannot know that it is the last.
    """
    session.execute(_ENDED, {"kind": NewsKind.BATCH_ENDED})


def n_unseen() -> ScalarSelect[int]:
    """The number of news that the account of the enclosing statement has not seen, up to ``MOST_COUNTED + 1``."""
    some = (
        select(literal(1))
        .where(News.account_id == Account.id, News.id > Account.news_seen_id)
        .limit(MOST_COUNTED + 1)
        .correlate(Account)
        .subquery()
    )
    return select(func.count()).select_from(some).scalar_subquery()


@dataclass(frozen=True, slots=True)
class _NewsRow:
    """A piece of news with its flag or batch."""

    id: int
    created_at: datetime
    is_new: bool
    batch_id: int | None
    title: str | None
    flag_id: int | None
    state: ItemState | None
    outcome: Verdict | None
    text: str | None
    layer: int | None
    index: int | None
    needs_explanation: bool
    slug: str | None


_NEWEST = PreparedSelect(
    _NewsRow,
    select(
        News.id,
        News.created_at,
        (News.id > Account.news_seen_id).label("is_new"),
        News.batch_id,
        Batch.title,
        News.flag_id,
        ReviewItem.state,
        ReviewItem.outcome,
        Explanation.text,
        Neuron.layer,
        Neuron.index,
        Neuron.current_explanation_id.is_(None).label("needs_explanation"),
        Subject.slug,
    )
    .join(Account, Account.id == News.account_id)
    .outerjoin(Batch, Batch.id == News.batch_id)
    .outerjoin(Flag, Flag.id == News.flag_id)
    .outerjoin(ReviewItem, ReviewItem.id == Flag.item_id)
    .outerjoin(Explanation, Explanation.id == Flag.explanation_id)
    .outerjoin(Neuron, Neuron.id == Explanation.neuron_id)
    .outerjoin(Subject, Subject.id == Neuron.subject_id)
    .where(News.account_id == bindparam("account_id", type_=BigInteger))
    .order_by(News.id.desc())
    .limit(bindparam("limit", type_=BigInteger)),
)


@dataclass(frozen=True, slots=True)
class NewsAndMethods:
    """An account's newest news, and the methods that may be queued; empty unless requested."""

    news: tuple[NewsItem, ...]
    methods: tuple[NewestMethod, ...]


def news_of(session: Session, *, account_id: int, limit: int, with_methods: bool = False) -> NewsAndMethods:
    """The newest news of an account, the newest first. One query."""
    with one_statement(session) as asked:
        rows = asked.send(_NEWEST.given(account_id=account_id, limit=limit))
        methods = asked.send(NEWEST_METHODS.given()) if with_methods else None
    return NewsAndMethods(
        tuple(_item(row) for row in rows.rows), () if methods is None else tuple(offered(methods.rows))
    )


def see_news(session: Session, *, account_id: int, up_to: int) -> None:
    """Record that an account has seen its news up to an id. Newer news stay unseen."""
    newest = select(func.max(News.id)).where(News.account_id == account_id, News.id <= up_to).scalar_subquery()
    session.execute(
        update(Account)
        .where(Account.id == account_id)
        .values(news_seen_id=func.greatest(Account.news_seen_id, func.coalesce(newest, 0)))
    )


def _item(row: _NewsRow) -> NewsItem:
    if row.batch_id is not None:
        return NewsItem(
            row.id, row.created_at, row.is_new, None, BatchNews(row.batch_id, row.title or f"batch {row.batch_id}")
        )
    flag = FlagNews(
        flag_id=row.flag_id or 0,
        subject=row.slug or "",
        layer=row.layer or 0,
        index=row.index or 0,
        explanation=row.text or "",
        verdict=None if row.state is None else flag_verdict(row.state, row.outcome),
        needs_explanation=row.needs_explanation,
    )
    return NewsItem(row.id, row.created_at, row.is_new, flag, None)
