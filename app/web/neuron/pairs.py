"""Two neurons side by side: what is said of each, and what each does on the excerpts that drive one of them most."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy.orm import Session

from app.domain.arrays import Float32s
from app.domain.cofiring import cofiring, cofiring_words
from app.domain.explanation_states import ExplanationState
from app.domain.headlines import Headline
from app.domain.heat import heat_scale, heat_steps
from app.domain.samples import SampleKind
from app.domain.verdict_lines import VerdictLine
from app.errors import Invalid
from app.queries.neurons.claims import ExplanationRow, ScoreRow, neuron_explanations
from app.queries.neurons.head import NeuronHead, neuron_head
from app.queries.neurons.page import StoredSample, neuron_samples, stored_excerpts
from app.web.heat.heatmap import Heat, strip, under_strip
from app.web.heat.vocabularies import Vocabularies
from app.web.neuron.address import path_of
from app.web.neuron.comparison import LETTERS
from app.web.neuron.evidence import SHOWN_FIRST, Line, RowSource, real_rows, text_around, token_at


@dataclass(frozen=True, slots=True)
class PairedNeuron:
    """One of two neurons with its current explanation."""

    letter: str
    address: str
    layer: int
    index: int
    text: str | None
    line: VerdictLine | None
    state: ExplanationState | None
    """The explanation's state in review."""
    headline: Headline[ScoreRow] | None
    score_2023: ScoreRow | None
    maximum: float
    """The activation that its strips draw at full strength."""


@dataclass(frozen=True, slots=True)
class PairedStrip:
    """What one neuron does on an excerpt; without a line its activations there are not stored."""

    letter: str
    activations: list[float] | None
    line: Line


@dataclass(frozen=True, slots=True)
class PairedExcerpt:
    """A top excerpt of one or both, centred where they differ most, or on the peak of the one that is stored."""

    excerpt_id: int
    address: str
    """URL of the numbers behind the picture."""
    document: str | None
    position: int
    token: str
    around: str
    difference: float | None
    """The difference of the two activations there, as shares of their maxima; None where only one is stored."""
    strips: tuple[PairedStrip, ...]
    line: Line


@dataclass(frozen=True, slots=True)
class NeuronPair:
    """Two neurons. Excerpts that both have stored come first, those on which they differ most before the others."""

    neurons: tuple[PairedNeuron, PairedNeuron]
    excerpts: tuple[PairedExcerpt, ...]
    n_shared: int
    cofiring: float | None
    """Over the excerpts that both have stored; see ``app.domain.cofiring``."""

    @property
    def fire_on(self) -> str:
        """What the correlation means, in words; nothing without one."""
        return "" if self.cofiring is None else cofiring_words(self.cofiring)


def neuron_pair(session: Session, known: Vocabularies, head: NeuronHead, against: str) -> NeuronPair:
    """The neuron beside another of its subject, ``layer/index``. Raises Invalid, NotFound."""
    layer, slash, index = against.partition("/")
    if not (slash and all(part.isascii() and part.isdigit() and len(part) < 10 for part in (layer, index))):
        raise Invalid("The other neuron is written as layer/index, for example 3/17.")
    other = neuron_head(session, slug=head.slug, layer=int(layer), index=int(index))
    if other.id == head.id:
        raise Invalid("A neuron cannot be compared with itself. Choose another one.")
    heads = (head, other)
    samples = [
        neuron_samples(session, neuron_id=each.id, collection_ids=[each.collection_id] if each.collection_id else [])
        for each in heads
    ]
    excerpts = stored_excerpts(session, excerpt_ids={i for own in samples for s in own for i in s.excerpt_ids})
    biggest = max((max(e.token_ids, default=0) for e in excerpts.values()), default=0)
    words = known.get(session, tokenizer_id=head.tokenizer_id, biggest_token=biggest)
    sources = [
        RowSource(excerpts, words, heat_scale(each.statistics.max, each.statistics.min) or _largest(own))
        for each, own in zip(heads, samples, strict=True)
    ]
    rows = [_by_excerpt(source, own) for source, own in zip(sources, samples, strict=True)]
    shown = list(_excerpts(heads, sources, rows, [_top(own) for own in samples]))
    first, second = (
        _neuron(session, each, letter, source.scale)
        for each, letter, source in zip(heads, LETTERS, sources, strict=False)
    )
    n_shared = len(rows[0].keys() & rows[1].keys())
    return NeuronPair((first, second), tuple(shown), n_shared, cofiring(rows[0], rows[1]))


def _largest(samples: Sequence[StoredSample]) -> float:
    return max((float(np.frombuffer(s.activations, "<f2").max(initial=0)) for s in samples), default=0.0)


def _top(samples: Sequence[StoredSample]) -> list[int]:
    return next((sample.excerpt_ids for sample in samples if sample.kind == SampleKind.TOP), [])


def _by_excerpt(source: RowSource, samples: Sequence[StoredSample]) -> dict[int, Float32s]:
    return {excerpt_id: row for (_, _, excerpt_id), row in real_rows(source, samples).items()}


def _excerpts(
    heads: Sequence[NeuronHead],
    sources: Sequence[RowSource],
    rows: Sequence[Mapping[int, Float32s]],
    tops: Sequence[Sequence[int]],
) -> Iterator[PairedExcerpt]:
    shared = [_excerpt(heads, sources, rows, excerpt_id) for excerpt_id in sorted(rows[0].keys() & rows[1].keys())]
    yield from sorted(shared, key=lambda excerpt: -(excerpt.difference or 0.0))
    for top in tops:
        alone = [i for i in top if not all(i in own for own in rows)]
        yield from (_excerpt(heads, sources, rows, excerpt_id) for excerpt_id in alone[:SHOWN_FIRST])


def _excerpt(
    heads: Sequence[NeuronHead], sources: Sequence[RowSource], rows: Sequence[Mapping[int, Float32s]], excerpt_id: int
) -> PairedExcerpt:
    stored = sources[0].excerpts[excerpt_id]
    shares = [
        own[excerpt_id] / np.float32(source.scale or 1) if excerpt_id in own else None
        for own, source in zip(rows, sources, strict=True)
    ]
    known = [share for share in shares if share is not None]
    gap = np.abs(known[0] - known[1]) if len(known) == len(shares) else known[0]
    at = int(gap.argmax()) if gap.size else 0
    tokens = sources[0].strings(stored.token_ids)
    owner = heads[0] if shares[0] is not None else heads[1]
    return PairedExcerpt(
        excerpt_id=excerpt_id,
        address=f"{path_of(owner)}/excerpts/{excerpt_id}",
        document=stored.document,
        position=stored.position,
        token=token_at(tokens, at),
        around=text_around(tokens, at),
        difference=float(gap[at]) if len(known) == len(shares) and gap.size else None,
        strips=tuple(
            PairedStrip(
                letter,
                own[excerpt_id].tolist() if excerpt_id in own else None,
                _under(source, stored.token_ids, own[excerpt_id], at) if excerpt_id in own else "",
            )
            for letter, own, source in zip(LETTERS, rows, sources, strict=False)
        ),
        line=strip(Heat(stored.token_ids, [0] * len(stored.token_ids), at), sources[0].words),
    )


def _under(source: RowSource, token_ids: Sequence[int], values: Float32s, at: int) -> str:
    return under_strip(Heat(token_ids, heat_steps(values, source.scale).tolist(), at), source.words)


def _neuron(session: Session, head: NeuronHead, letter: str, maximum: float) -> PairedNeuron:
    rows = neuron_explanations(session, neuron_id=head.id)
    current: ExplanationRow | None = next((row for row in rows if row.id == head.current_explanation_id), None)
    return PairedNeuron(
        letter=letter,
        address=path_of(head),
        layer=head.layer,
        index=head.index,
        text=None if current is None else current.text,
        line=None if current is None else current.line,
        state=None if current is None else current.state,
        headline=None if current is None else current.headline,
        score_2023=None if current is None else current.score_2023,
        maximum=maximum,
    )
