"""The rules that raise doubts from stored facts about an explanation."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from app.domain.doubts import (
    FAILED_SHARE,
    HIGH_SCORE,
    IMPORT_DIFFERENCE,
    LEAST_DOCUMENTS,
    LEAST_ON_RANDOM,
    LEAST_TOP,
    LONGEST,
    LOW_PRECISION,
    LOW_RECALL,
    MEANING_SHARE,
    MOST_OF_TOP,
    ROUNDING,
    TABLE_SHARE,
    TWIN_SHARE,
    UNSTABLE_RANGE,
    Doubt,
)
from app.domain.intervals import Interval


@dataclass(frozen=True, slots=True)
class RaisedDoubt:
    """A doubt with its figure, and the figure's 95 % interval if there is one."""

    doubt: Doubt
    figure: float
    interval: Interval | None = None


@dataclass(frozen=True, slots=True)
class Measure:
    """A number with its 95 % interval if there is one."""

    value: float
    interval: Interval | None = None

    @property
    def low(self) -> float:
        """The lower bound of the interval; the number itself if there is none."""
        return self.value if self.interval is None else self.interval[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreFacts:
    """The headline of an explanation, and the figures measured with it.

    All scores are of the headline's kind and by its simulator, except ``score_2023`` and ``imported``. These are 2023
    scores, since the score that an imported text came with is compared with a score of the same kind.
    """

    score: Measure | None = None
    is_whole_corpus: bool = False
    token_table: float | None = None
    shuffled: float | None = None
    on_random: Measure | None = None
    """The correlation on random excerpts alone."""
    against_neighbours: Measure | None = None
    chance_against_neighbours: float = 0.25
    twin_share: float | None = None
    """Share of the null twin's neurons in the same layer that score as high or higher."""
    precision: Measure | None = None
    recall: Measure | None = None
    n_valid: int = 0
    n_failed: int = 0
    repeated: tuple[float, ...] = ()
    """Scores of the same method on the same collection, and repeated scores of this text."""
    score_2023: float | None = None
    imported: float | None = None
    """The score that an imported text came with, if another score was computed here."""
    stated: float | None = None
    recomputed: float | None = None
    """The imported score, and the score recomputed from the simulations that came with the text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceFacts:
    """Facts about the neuron's top excerpts in its subject's newest collection; shares are 0..1 of those excerpts."""

    n_top: int = 0
    n_documents: int = 0
    """Documents in the corpus, as far as known."""
    document_share: float | None = None
    """The share of top excerpts that come from the most frequent document."""
    first_token_share: float | None = None
    copies_share: float | None = None
    outside_share: float | None = None
    """The share of top excerpts outside of the largest group of similar excerpts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All facts from which the doubts about one explanation follow."""

    text: str
    n_sharing: int = 0
    """Other neurons of the subject that have the same text or the same claims."""
    scores: ScoreFacts = ScoreFacts()
    evidence: EvidenceFacts = EvidenceFacts()


def doubts(facts: Facts) -> tuple[RaisedDoubt, ...]:
    """The doubts about an explanation, in the order of ``Doubt``."""
    found = {**_of_scores(facts.scores), **_of_evidence(facts.evidence), **_of_text(facts.text)}
    if facts.n_sharing > 0:
        found[Doubt.SHARED] = Measure(facts.n_sharing)
    return tuple(RaisedDoubt(d, found[d].value, found[d].interval) for d in Doubt if d in found)


_Found: TypeAlias = dict[Doubt, Measure]


def _of_scores(facts: ScoreFacts) -> _Found:
    found: _Found = {}
    n = facts.n_valid + facts.n_failed
    if n and facts.n_failed / n >= FAILED_SHARE:
        found[Doubt.FAILED_SIMULATIONS] = Measure(facts.n_failed / n)
    if facts.precision is not None and facts.precision.value < LOW_PRECISION:
        found[Doubt.TOO_BROAD] = facts.precision
    if facts.recall is not None and facts.recall.value < LOW_RECALL:
        found[Doubt.TOO_NARROW] = facts.recall
    neighbours = facts.against_neighbours
    if neighbours is not None and neighbours.value <= facts.chance_against_neighbours:
        found[Doubt.NEIGHBOURS] = neighbours
    if facts.imported is not None and facts.score_2023 is not None:
        difference = facts.imported - facts.score_2023
        if abs(difference) >= IMPORT_DIFFERENCE:
            found[Doubt.IMPORT_DIFFERS] = Measure(difference)
    if facts.stated is not None and facts.recomputed is not None and abs(facts.stated - facts.recomputed) > ROUNDING:
        found[Doubt.IMPORT_DIFFERS] = Measure(facts.stated - facts.recomputed)
    if facts.score is not None:
        found |= _of_score(facts, facts.score)
    return found


def _of_score(facts: ScoreFacts, score: Measure) -> _Found:
    found: _Found = {}
    if facts.shuffled is not None and score.low <= facts.shuffled:
        found[Doubt.SHUFFLED] = Measure(score.value - facts.shuffled)
    if facts.token_table is not None and facts.token_table > 0 and score.value < TABLE_SHARE * facts.token_table:
        found[Doubt.BELOW_TABLE] = Measure(facts.token_table)
    if facts.twin_share is not None and facts.twin_share > TWIN_SHARE:
        found[Doubt.NULL_TWIN] = Measure(facts.twin_share)
    random = None if facts.is_whole_corpus else facts.on_random
    if random is not None and score.value >= HIGH_SCORE and random.low <= LEAST_ON_RANDOM:
        found[Doubt.NOT_ON_RANDOM] = random
    values = (*facts.repeated, score.value)
    if max(values) - min(values) >= UNSTABLE_RANGE:
        found[Doubt.UNSTABLE] = Measure(max(values) - min(values))
    return found


def _of_evidence(facts: EvidenceFacts) -> _Found:
    if facts.n_top < LEAST_TOP:
        return {}
    document = facts.document_share if facts.n_documents >= LEAST_DOCUMENTS else None
    shares = (
        (Doubt.ONE_DOCUMENT, document, MOST_OF_TOP),
        (Doubt.FIRST_POSITION, facts.first_token_share, MOST_OF_TOP),
        (Doubt.COPIES, facts.copies_share, MOST_OF_TOP),
        (Doubt.SEVERAL_MEANINGS, facts.outside_share, MEANING_SHARE),
    )
    return {doubt: Measure(share) for doubt, share, least in shares if share is not None and share >= least}


_QUOTED = re.compile(r"\"[^\"]*\"|(?<!`)`[^`\n]+`(?!`)|“[^”]*”|'''.*?'''", re.DOTALL)
"""Quotations are ignored by the text rules: they contain the tokens that the neuron fires on."""

_REASONING = re.compile(
    r"</?think(?:ing)?>|</?reasoning>|<\|[^|>]*\|>"
    r"|\b(?:okay|alright|hmm|wait|first|so),? (?:so |let(?:'|’)?s |let me |i |we )"
    r"|\blet(?:'|’)?s (?:see|look|think|analy[sz]e|check)\b|\blet me\b"
    r"|\b(?:i|we) (?:need to|should|must|think|can see|will|have to|notice)\b"
    r"|\b(?:i|we)(?:'|’)(?:ll|m|ve|d)\b|\bthe user (?:wants|asks|gave|provided)\b|\bmy (?:answer|explanation)\b"
    r"|\bas an ai\b|\bstep by step\b",
    re.IGNORECASE,
)

_MARKDOWN = re.compile(
    r"^\s{0,3}#{1,6}\s|^\s*[-*•]\s+\S|^\s*\d+[.)]\s+\S|\*\*[^*\s][^*]*\*\*|__[^_\s][^_]*__|```|^\s*>\s|\[[^\]]+\]\([^)]+\)",
    re.MULTILINE,
)

_PROMPT = re.compile(
    r"<<|>>|</?(?:claim|excerpt|neuron|document)\b[^>]*>"
    r"|\bexcerpts? \d+\b|\bneuron \d+\b|\b(?:main thing )?this neuron (?:does|fires|activates|looks)\b"
    r"|\b(?:highlighted|marked|delimited) (?:tokens?|words?)\b|\bactivation(?: level|s?) of \d+\b"
    r"|\b(?:the|these|given|provided|above) (?:examples?|excerpts|snippets|activations)\b"
    r"|\bexplanation(?: of neuron \d+)?(?: behaviou?r)?:",
    re.IGNORECASE,
)


def _of_text(text: str) -> _Found:
    found: _Found = {}
    said = _QUOTED.sub('""', text)
    rules: tuple[tuple[Doubt, Callable[[str], int], str], ...] = (
        (Doubt.REASONING, _hits(_REASONING), said),
        (Doubt.MARKDOWN, _hits(_MARKDOWN), said),
        (Doubt.PROMPT_WORDS, _hits(_PROMPT), said),
    )
    for doubt, count, of in rules:
        if n := count(of):
            found[doubt] = Measure(n)
    if len(text) > LONGEST:
        found[Doubt.TOO_LONG] = Measure(len(text))
    return found


def _hits(pattern: re.Pattern[str]) -> Callable[[str], int]:
    return lambda text: len(pattern.findall(text))
