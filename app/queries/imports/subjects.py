"""The subject, the corpus and the collection that an import stores into."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.domain.sites import LAYER, Site, SiteKind
from app.errors import Invalid
from app.models import Collection, Corpus, Subject, Tokenizer
from app.queries.subjects.collection_state import start_collection

UNKNOWN = "not known"
"""The value of columns that an imported subject cannot fill but every collected subject has."""


@dataclass(frozen=True, slots=True)
class Target:
    """The target of an import. ``widths`` has the neurons of each layer of a collected subject."""

    subject_id: int
    tokenizer_id: int
    corpus_id: int
    collection_id: int
    widths: tuple[int, ...] | None
    source_set: str | None = None
    """The set of neurons, with ``{layer}`` for the layer; None if no file has named one."""


def import_target(session: Session, *, slug: str, collection: str, values: Mapping[str, Any]) -> Target:
    """The subject of this slug with its collection of this name; each is created if new.

    ``values`` are columns of a new subject. A collected subject keeps its site: records of neurons that it does not
    have are refused. Raises Invalid for a null twin.
    """
    subject = session.scalar(select(Subject).where(Subject.slug == slug))
    if subject is None:
        subject = _new_subject(session, slug, values)
    if subject.null_twin_of_id is not None:
        raise Invalid(f"{slug} is a null twin: nothing is imported into a control.")
    corpus_id, collection_id = _collection(session, subject, collection)
    site = Site.from_json(subject.site)
    widths = None if site.kind is SiteKind.IMPORTED else site.widths
    return Target(subject.id, subject.tokenizer_id, corpus_id, collection_id, widths, source_set_of(subject))


def source_set_of(subject: Subject) -> str | None:
    """The set of neurons that a subject's files have named, with ``{layer}`` for the layer; None if none has."""
    site = Site.from_json(subject.site)
    return site.module_path if site.kind is SiteKind.IMPORTED and LAYER in site.module_path else None


def set_of(source: str, layer: int) -> str:
    """The set of neurons to which a one-layer source belongs: ``{layer}-res-jb`` for ``5-res-jb``."""
    return re.sub(rf"(?<!\d){layer}(?!\d)", LAYER, source, count=1)


def _new_subject(session: Session, slug: str, values: Mapping[str, Any]) -> Subject:
    tokenizer = Tokenizer(digest=f"import:{slug}", name="tokens of imported files")
    session.add(tokenizer)
    session.flush()  # the subject needs its id
    unknown = {"architecture": UNKNOWN, "dtype": UNKNOWN, "bos_policy": UNKNOWN, "n_layers": 0, "neurons_per_layer": 0}
    subject = Subject(slug=slug, tokenizer_id=tokenizer.id, **{**unknown, **values})
    session.add(subject)
    session.flush()  # the collection needs its id
    return subject


def _collection(session: Session, subject: Subject, name: str) -> tuple[int, int]:
    digest = f"import:{subject.slug}:{name}"
    corpus = session.scalar(select(Corpus).where(Corpus.digest == digest))
    if corpus is None:
        corpus = Corpus(digest=digest, name=name, source="import")
        session.add(corpus)
        session.flush()  # the collection needs its id
    found = session.scalar(
        select(Collection.id).where(Collection.subject_id == subject.id, Collection.corpus_id == corpus.id)
    )
    if found is None:
        found = start_collection(
            session,
            subject_id=subject.id,
            corpus_id=corpus.id,
            context_length=0,
            seed=0,
            dtype=UNKNOWN,
            device="import",
            code_version=UNKNOWN,
            tokens_planned=0,
        )
    return corpus.id, found


def imported_site(widths: Mapping[int, int], *, named: str) -> Site:
    """The site of a subject known from imports only; ``widths`` has the neurons of each layer."""
    n_layers = max(widths, default=-1) + 1
    return Site(SiteKind.IMPORTED, named, tuple(widths.get(layer, 0) for layer in range(n_layers)))


def widen_subject(
    session: Session,
    *,
    subject_id: int,
    widths: Mapping[int, int],
    source_set: str | None = None,
    model: str | None = None,
) -> None:
    """Widen an imported subject to at least ``widths`` neurons per layer; set its source set, and its model if unknown.

    The subject's row stays locked until the commit.
    """
    subject = session.scalars(select(Subject).where(Subject.id == subject_id).with_for_update()).one()
    site = Site.from_json(subject.site)
    if site.kind is not SiteKind.IMPORTED:
        return
    if model is not None and subject.source == UNKNOWN:
        subject.source = model
    known = dict(enumerate(site.widths))
    wider = {layer: max(known.get(layer, 0), widths.get(layer, 0)) for layer in {*known, *widths}}
    named = source_set or site.module_path
    if wider == known and named == site.module_path:
        return
    widened = imported_site(wider, named=named)
    subject.site = widened.as_json()
    subject.n_layers, subject.neurons_per_layer = len(widened.widths), max(widened.widths)
