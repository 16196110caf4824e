"""A campaign that is being judged, with all that its pages and those of its neurons lead to."""

from collections.abc import Mapping

from sqlalchemy import select

from app.domain.language_models import Outcome
from app.domain.review import VerdictKind
from app.models import CampaignDraw, Explanation, Neuron, Run, Task
from app.queries.language_models.calls import Call, store_call
from app.queries.lists.kept import create_list
from app.queries.lists.searches import save_search
from app.queries.review.flags import open_flag
from app.queries.review.taking import take_next
from app.work.enqueue import enqueue_batch
from app.work.trials import enqueue_trial
from tests.db.auditing import audited, judge
from tests.factories import Make
from tests.web.everything import imported_beside

Known = Mapping[str, int | str]
"""Values by the names of path parameters."""


def addressed(make: Make, *, reply: str = "words") -> Known:
    """A campaign with a verdict, a flag, a batch with its run and a call with this reply, a task, accounts."""
    session, audit = make.session, audited(make, judged=False)
    own = (Neuron.subject_id == audit.subject.id, Neuron.layer == 0, Neuron.index == 0)
    neuron_id = session.scalars(select(Neuron.id).where(*own)).one()
    explanation_id = session.scalars(select(Explanation.id).where(Explanation.neuron_id == neuron_id)).one()
    alice, bob = audit.alice.account_id, audit.bob.account_id
    slot = take_next(session, campaign_id=audit.campaign_id, reviewer=audit.bob)
    assert slot is not None
    judge(session, slot, audit.bob, VerdictKind.WRONG)
    flag_id = open_flag(session, explanation_id=explanation_id, account_id=bob, reason="wrong", note="no")
    method = make.method("another")
    batch = enqueue_batch(
        session, subject_id=audit.subject.id, neuron_ids=[neuron_id], method_id=method.id, account_id=alice
    )
    run_id = session.scalars(select(Run.id).where(Run.batch_id == batch.batch_id)).one()
    enqueue_trial(session, neuron_id=neuron_id, explanation_id=explanation_id, account_id=bob, words="a text")
    session.flush()
    return {
        "slug": audit.subject.slug,
        "layer": 0,
        "index": 0,
        "campaign_id": audit.campaign_id,
        "item_id": slot.item_id,
        "slot_id": slot.id,
        "flag_id": flag_id,
        "explanation_id": explanation_id,
        "method_id": method.id,
        "batch_id": batch.batch_id,
        "run_id": run_id,
        "call_id": store_call(session, run_id=run_id, call=_call(reply)),
        "task_id": session.scalars(select(Task.id)).one(),
        "draw_id": session.scalars(select(CampaignDraw.id).order_by(CampaignDraw.id).limit(1)).one(),
        "account_id": bob,
        "list_id": create_list(session, slug=audit.subject.slug, name="Seen", account_id=alice),
        "neuron_id": neuron_id,
        "search_id": save_search(session, account_id=alice, name="All", address=f"/{audit.subject.slug}"),
        "key": "1",
        "import_id": imported_beside(make, audit.subject.slug),
    }


def _call(reply: str) -> Call:
    request = {"messages": [{"role": "user", "content": f"words {reply}"}]}
    return Call(
        "explain", "digest", "default", request, {"text": reply}, reply, None, Outcome.OK, f"slow: {reply}", 1,
        (7, 0, 3), False, 0.1, 0.5,
    )  # fmt: skip
