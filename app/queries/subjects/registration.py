"""Look up or create a subject, its tokenizer and its corpus."""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.domain.collections import CollectionStatus
from app.domain.tokens import Vocabulary
from app.errors import Conflict, NotFound
from app.models import Collection, Corpus, Neuron, Subject, Tokenizer
from app.queries.common.bulk import copy_into

_MUST_AGREE = (
    "weights_digest",
    "site",
    "n_layers",
    "neurons_per_layer",
    "activation_function",
    "bos_policy",
    "permutation_seed",
)


def register_tokenizer(session: Session, *, name: str, vocabulary: Vocabulary) -> int:
    """The id of the tokenizer with this vocabulary's digest; created if new."""
    known = session.scalar(select(Tokenizer.id).where(Tokenizer.digest == vocabulary.digest))
    if known is not None:
        return known
    tokenizer = Tokenizer(digest=vocabulary.digest, name=name)
    session.add(tokenizer)
    session.flush()  # the vocabulary's rows need the id
    copy_into(
        session,
        "vocabulary",
        {"tokenizer_id": "int8", "token_id": "int4", "bytes": "bytea"},
        ((tokenizer.id, token_id, token) for token_id, token in enumerate(vocabulary.tokens)),
    )
    return tokenizer.id


def register_subject(session: Session, *, slug: str, tokenizer_id: int, values: Mapping[str, Any]) -> int:
    """The id of the subject with this slug; created if new.

    ``values`` are the other columns. The source of a known subject's model is updated, since the model may have been
    moved. A subject of which nothing was ever collected is replaced by a new one with its slug. Raises Conflict if the
    slug belongs to another model, or to the same one with other settings or another site.
    """
    subject = session.scalar(select(Subject).where(Subject.slug == slug))
    if subject is not None:
        differing = _differing(subject, tokenizer_id, values)
        if not differing:
            subject.source, subject.revision = values["source"], values["revision"]
            return subject.id
        if not _delete_unused(session, subject):
            raise Conflict(
                f"There is another subject {slug!r}, which differs in {', '.join(differing)}. Choose another --slug."
            )
    subject = Subject(slug=slug, tokenizer_id=tokenizer_id, **values)
    session.add(subject)
    session.flush()  # the caller needs the id
    return subject.id


def _differing(subject: Subject, tokenizer_id: int, values: Mapping[str, Any]) -> list[str]:
    """The values in which the stored subject differs, so that it is another one."""
    differing = [name for name in _MUST_AGREE if getattr(subject, name) != values[name]]
    return differing if subject.tokenizer_id == tokenizer_id else [*differing, "tokenizer"]


def _delete_unused(session: Session, subject: Subject) -> bool:
    """Delete a subject without neurons that no process collects; returns whether it was deleted.

    After a wrong model or module was named and stopped, the slug must remain usable.
    """
    neurons = select(Neuron.id).where(Neuron.subject_id == subject.id)
    alive = select(Collection.id).where(
        Collection.subject_id == subject.id,
        Collection.status == CollectionStatus.RUNNING,
        Collection.lease_until > func.now(),
    )
    if subject.collection_id is not None or session.scalar(select(neurons.exists() | alive.exists())):
        return False
    try:
        with session.begin_nested():
            session.execute(delete(Collection).where(Collection.subject_id == subject.id))
            session.execute(delete(Subject).where(Subject.id == subject.id))
    except IntegrityError:  # it is the model of a control, or events refer to it
        return False
    session.expunge(subject)
    return True


def null_twin_values(
    session: Session,
    *,
    of_slug: str,
    tokenizer_id: int,
    values: Mapping[str, Any],
    permuted_digest: Callable[[str], str],
) -> dict[str, Any]:
    """The columns that make a subject with these values the null twin of another one.

    ``permuted_digest`` computes the digest of the twin's permuted weights from the digest of the original weights.

    Raises NotFound if the other one is not collected yet, Conflict if this is not its model at the same site.
    """
    subject = session.scalar(select(Subject).where(Subject.slug == of_slug, Subject.null_twin_of_id.is_(None)))
    if subject is None:
        raise NotFound(
            f"There is no subject {of_slug!r} to make a null twin of. Collect it first, without --null-twin."
        )
    wanted = {**values, "permutation_seed": subject.permutation_seed}
    if subject.weights_digest and permuted_digest(subject.weights_digest) == values["weights_digest"]:
        wanted["weights_digest"] = subject.weights_digest
    differing = _differing(subject, tokenizer_id, wanted)
    if differing:
        raise Conflict(
            f"A null twin of {of_slug!r} is the same model with permuted weights, and this one differs in "
            f"{', '.join(differing)}. Give the model and the options (--module-path, --bos) of {of_slug!r}."
        )
    return {"null_twin_of_id": subject.id}


def register_corpus(session: Session, *, digest: str, name: str, source: str) -> int:
    """The id of the corpus with this digest; created if new."""
    known = session.scalar(select(Corpus.id).where(Corpus.digest == digest))
    if known is not None:
        return known
    corpus = Corpus(digest=digest, name=name, source=source)
    session.add(corpus)
    session.flush()  # the caller needs the id
    return corpus.id
