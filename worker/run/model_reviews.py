"""The handler of a language model's reviews."""

from dataclasses import asdict
from functools import partial

from app.db import Sessions, transaction
from app.domain.tokens import Vocabulary
from app.queries.review.judging import Judgement, give_verdict
from app.queries.review.reviewers import ItemForProgram, item_for_program
from app.queries.review.taking import LeaseExpired, Reviewer, TakenSlot, skip, take_next
from app.work.lease import TaskLease
from worker.method.prompts import load
from worker.method.reviewer import PROMPT, judge
from worker.run.held import Done, HeldWork
from worker.run.opening import Providers
from worker.run.vocabularies import Vocabularies, biggest_token


class ModelReviewHandler:
    """Takes items, shows them to a language model and gives its verdicts. Each verdict is stored at once."""

    def __init__(self, sessions: Sessions, providers: Providers) -> None:
        self._sessions, self._providers = sessions, providers
        self._vocabularies = Vocabularies()

    def __call__(self, held: HeldWork[TaskLease]) -> Done:
        """Return the numbers of items judged and skipped. Raises NotFound, Conflict, ProviderError, CapReached.

        An item whose replies could not be used is skipped. Verdicts survive an interruption of the task: the next
        execution continues with the rest.
        """
        asked = held.lease.parameters
        who, campaign_id = Reviewer(asked["reviewer_id"]), asked["campaign_id"]
        provider = self._providers.for_task(asked["provider"], held.lease.id, held.live)
        held.doing = f"reviews of campaign {campaign_id} by {provider.name}"
        n_judged = n_put_off = 0
        for number in range(asked["n_items"]):
            taken = held.through_outages(partial(self._take, campaign_id, who))
            if taken is None:
                break
            slot, item, words = taken
            answer = judge(
                provider, item.text, item.records, words, maximum=item.maximum, step=f"review/{slot.item_id}"
            )
            if answer.value is None:
                held.through_outages(partial(self._put_off, slot, who))
                n_put_off += 1
            else:
                detail = {"provider": provider.name, "model": answer.model, "prompt": load(PROMPT).provenance}
                found = asdict(answer.value)
                judgement = Judgement(found["kind"], found["confidence"], found["note"], detail)
                n_judged += held.through_outages(partial(self._give, slot, who, judgement))
            held.report("judging", (number + 1) / asked["n_items"])
        return Done(result={"n_judged": n_judged, "n_put_off": n_put_off})

    def _take(self, campaign_id: int, who: Reviewer) -> tuple[TakenSlot, ItemForProgram, Vocabulary] | None:
        with transaction(self._sessions) as session:
            slot = take_next(session, campaign_id=campaign_id, reviewer=who)
            if slot is None:
                return None
            item = item_for_program(session, item_id=slot.item_id)
            biggest = biggest_token(item.records)
            words = self._vocabularies.get(session, tokenizer_id=item.tokenizer_id, biggest_token=biggest)
            return slot, item, words

    def _give(self, slot: TakenSlot, who: Reviewer, judgement: Judgement) -> bool:
        """Return whether the verdict was stored; it is not if the model took longer than the lease."""
        try:
            with transaction(self._sessions) as session:
                give_verdict(session, slot_id=slot.id, lease_token=slot.lease_token, reviewer=who, judgement=judgement)
        except LeaseExpired:
            return False
        return True

    def _put_off(self, slot: TakenSlot, who: Reviewer) -> None:
        try:
            with transaction(self._sessions) as session:
                skip(session, slot_id=slot.id, lease_token=slot.lease_token, reviewer=who)
        except LeaseExpired:
            return
