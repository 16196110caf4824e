"""Reviewers that are not persons: language models and simulated reviewers. Their accounts cannot log in."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.domain.activations import ActivationRecord, unpack_activations
from app.domain.events import EventKind
from app.domain.review import ReviewerKind
from app.domain.roles import Role
from app.errors import Conflict
from app.models import Account, Neuron, Subject
from app.queries.history.events import record_event
from app.queries.neurons.records import excerpt_tokens
from app.queries.review.evidence import item_evidence
from app.queries.review.shown import item_shown


@dataclass(frozen=True, slots=True)
class ItemForProgram:
    """An item as a program sees it: the same text and excerpts as a person, and no more."""

    text: str
    records: tuple[ActivationRecord, ...]
    maximum: float
    """The activation, in the model's units, of level 10."""
    tokenizer_id: int
    question: str


def reviewer_account(session: Session, *, name: str, kind: ReviewerKind) -> int:
    """The id of the account of a reviewer that is not a person; created if there is none.

    Raises Conflict if a person, or a reviewer of another kind, has this name.
    """
    found = session.scalar(select(Account).where(Account.name == name))
    if found is not None:
        if found.kind != kind:
            raise Conflict(f"There is an account named {name} already, and it is no {kind.replace('_', ' ')}'s.")
        return found.id
    account = Account(name=name, role=Role.REVIEWER, kind=kind)
    session.add(account)
    session.flush()  # its event and callers need its id
    detail = {"name": name, "role": Role.REVIEWER, "kind": kind}
    record_event(session, kind=EventKind.ACCOUNT_ADDED, account_id=account.id, detail=detail)
    return account.id


def item_for_program(session: Session, *, item_id: int) -> ItemForProgram:
    """An item as a program that holds it sees it. Raises NotFound."""
    item = item_shown(session, item_id=item_id)
    evidence = item_evidence(session, item=item)
    tokens = excerpt_tokens(session, excerpt_ids=evidence.excerpt_ids)
    rows = unpack_activations(evidence.activations, [len(tokens[i]) for i in evidence.excerpt_ids])
    records = tuple(
        ActivationRecord(i, np.array(tokens[i], dtype=np.int32), row)
        for i, row in zip(evidence.excerpt_ids, rows, strict=True)
    )
    maximum, tokenizer_id = session.execute(
        select(Neuron.max, Subject.tokenizer_id)
        .join(Subject, Subject.id == Neuron.subject_id)
        .where(Neuron.id == item.neuron_id)
    ).one()
    return ItemForProgram(
        text=item.text,
        records=records,
        maximum=maximum if maximum is not None else _highest(records),
        tokenizer_id=tokenizer_id,
        question=item.rules.question,
    )


def _highest(records: Sequence[ActivationRecord]) -> float:
    return max((record.peak for record in records if record.activations.size), default=0.0)
