"""What one person did, with its outcomes."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Form
from fastapi.responses import RedirectResponse, Response

from app.domain.bounds import BIGGEST_ID
from app.queries.people.news import NewsItem, news_of, see_news
from app.queries.review.flags_shown import FlagRow, FlagsWanted, flags_page
from app.queries.review.own import OwnVerdict, own_verdicts
from app.queries.runs.progress import BatchSummary, batches_page
from app.web.deps import DbSession, MayReadOperations, Owner
from app.web.http.routing import PageRouter
from app.web.neuron.choices import MethodChoice, choices_of, may_queue
from app.web.rendering.templating import CurrentView, page

router = PageRouter()

SHOWN = 10


@dataclass(frozen=True, slots=True)
class MinePage:
    """One's own flags, batches and verdicts, and the news about them."""

    name: str
    news: tuple[NewsItem, ...]
    flags: tuple[FlagRow, ...]
    batches: tuple[BatchSummary, ...]
    verdicts: tuple[OwnVerdict, ...]
    methods: tuple[MethodChoice, ...]
    """With which the person may queue a neuron again."""

    @property
    def n_new(self) -> int:
        """News since the last visit, as far as they are listed."""
        return sum(item.is_new for item in self.news)

    @property
    def newest_id(self) -> int:
        """The id of the newest piece of news."""
        return self.news[0].id if self.news else 0


@page(router, "/mine", template="mine/page.html")
def mine(session: DbSession, viewer: MayReadOperations) -> MinePage:
    """The outcomes of one's flags, batches and verdicts."""
    told = news_of(session, account_id=viewer.id, limit=3 * SHOWN, with_methods=may_queue(viewer))
    return MinePage(
        name=viewer.name,
        news=told.news,
        flags=flags_page(session, size=SHOWN, wanted=FlagsWanted(is_open=None, by=viewer.name)).rows,
        batches=batches_page(session, size=SHOWN, by=viewer.name).rows,
        verdicts=own_verdicts(session, account_id=viewer.id, size=SHOWN).rows,
        methods=choices_of(told.methods),
    )


@router.post("/mine/seen", include_in_schema=False)
def seen(
    session: DbSession,
    view: CurrentView,
    viewer: Owner,
    newest_id: Annotated[int, Form(ge=0, le=BIGGEST_ID)],
) -> Response:
    """Note that the news up to an id were seen."""
    see_news(session, account_id=viewer.id, up_to=newest_id)
    return Response(status_code=204) if view.wants_part else RedirectResponse("/mine", status_code=303)
