"""Automatic doubts about an explanation: what each one means, and from which facts it follows.

A doubt is a reason to look, not a verdict: each is a threshold on one figure, and the figure is kept beside it. What is
not known raises no doubt. Doubts about a score are about the headline, see ``app.domain.headlines``.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from app.domain.intervals import Interval


class FigureKind(StrEnum):
    """What a doubt's figure is a number of, for those who write it."""

    SCORE = "score"
    """A score, or a difference of two."""
    SHARE = "share"
    """0..1."""
    COUNT = "count"


class Doubt(StrEnum):
    """What an automatic check may find wrong with an explanation. In the order in which pages name them."""

    SHUFFLED = "shuffled"
    BELOW_TABLE = "below_table"
    NULL_TWIN = "null_twin"
    NEIGHBOURS = "neighbours"
    NOT_ON_RANDOM = "not_on_random"
    TOO_BROAD = "too_broad"
    TOO_NARROW = "too_narrow"
    SEVERAL_MEANINGS = "several_meanings"
    SHARED = "shared"
    UNSTABLE = "unstable"
    FAILED_SIMULATIONS = "failed_simulations"
    ONE_DOCUMENT = "one_document"
    FIRST_POSITION = "first_position"
    COPIES = "copies"
    IMPORT_DIFFERS = "import_differs"
    REASONING = "reasoning"
    MARKDOWN = "markdown"
    PROMPT_WORDS = "prompt_words"
    TOO_LONG = "too_long"

    @property
    def label(self) -> str:
        """A few words, for filters and headings."""
        return ABOUT[self].label

    @property
    def sentence(self) -> str:
        """What it means, in one sentence."""
        return ABOUT[self].sentence

    @property
    def figure_kind(self) -> FigureKind:
        """What its figure is a number of."""
        return ABOUT[self].figure_kind


@dataclass(frozen=True, slots=True)
class AboutDoubt:
    """A doubt in words. The sentence explains the figure."""

    label: str
    sentence: str
    figure_kind: FigureKind


LOW_PRECISION = 0.2
"""Share of the claimed tokens on which the neuron fires, at natural frequency."""
LOW_RECALL = 0.2
"""Share of the tokens on which the neuron fires that are claimed."""
TWIN_SHARE = 0.05
"""A score that more than this share of a random network's neurons reach shows nothing."""
TABLE_SHARE = 0.6
"""Of the token table's score.

The table knows the means of a hundred tokens or more over the corpus that it is scored on, so that a sentence of ten
tokens hardly ever reaches it: nine tenths of the demo's do not. One in five does not reach this share.
"""
HIGH_SCORE = 0.5
LEAST_ON_RANDOM = 0.05
UNSTABLE_RANGE = 0.2
FAILED_SHARE = 0.2
"""Of the excerpts that were to be simulated."""
MOST_OF_TOP = 0.5
"""Share of the top excerpts from which one document, the first token or copies drive a neuron."""
LEAST_DOCUMENTS = 10
"""In a corpus of fewer, many top excerpts come from one document whatever the neuron does."""
LEAST_TOP = 4
"""Top excerpts without which nothing is said about them."""
MEANING_SHARE = 0.25
"""Share of the top excerpts outside of the largest group from which a neuron has several meanings."""
IMPORT_DIFFERENCE = 0.1
ROUNDING = 0.005
"""Between an imported score and the one that its own simulations give: more than that is no rounding."""
LONGEST = 400
"""Characters."""

ABOUT: Mapping[Doubt, AboutDoubt] = {
    Doubt.SHUFFLED: AboutDoubt(
        "Not above the shuffled baseline",
        "The interval of the score reaches down to what the same text scores on another neuron; the figure is the "
        "score above that.",
        FigureKind.SCORE,
    ),
    Doubt.BELOW_TABLE: AboutDoubt(
        "Far below its token table",
        f"It reaches less than {TABLE_SHARE:.0%} of what a table of each token's mean activation reaches; the figure "
        "is what that table scores.",
        FigureKind.SCORE,
    ),
    Doubt.NULL_TWIN: AboutDoubt(
        "Within the null twin's range",
        f"More than {TWIN_SHARE:.0%} of the neurons of the same layer in a random network score as high; the figure "
        "is their share.",
        FigureKind.SHARE,
    ),
    Doubt.NEIGHBOURS: AboutDoubt(
        "At chance against its neighbours",
        "The text fits the excerpts of similar neurons as well as its own; the figure is the share of its own that "
        "were told apart.",
        FigureKind.SHARE,
    ),
    Doubt.NOT_ON_RANDOM: AboutDoubt(
        "Doubtful on random text",
        f"Only the 2023 score is known; it is {HIGH_SCORE} or more, and on random excerpts alone its interval reaches "
        "down to nothing. The figure is the score on random excerpts.",
        FigureKind.SCORE,
    ),
    Doubt.TOO_BROAD: AboutDoubt(
        "Too broad",
        f"The neuron fires on less than {LOW_PRECISION:.0%} of the tokens that the text claims; the figure is that "
        "share.",
        FigureKind.SHARE,
    ),
    Doubt.TOO_NARROW: AboutDoubt(
        "Too narrow",
        f"The text claims less than {LOW_RECALL:.0%} of the tokens on which the neuron fires; the figure is that "
        "share.",
        FigureKind.SHARE,
    ),
    Doubt.SEVERAL_MEANINGS: AboutDoubt(
        "Several meanings",
        "The top excerpts fall into groups that share no activating tokens; the figure is the share outside of the "
        "largest group.",
        FigureKind.SHARE,
    ),
    Doubt.SHARED: AboutDoubt(
        "Same text as other neurons",
        "The same text, or one with the same claims, explains other neurons of the subject; the figure is how many.",
        FigureKind.COUNT,
    ),
    Doubt.UNSTABLE: AboutDoubt(
        "Unstable",
        "Repetitions by the same method, or of the same score, differ; the figure is the range of their scores.",
        FigureKind.SCORE,
    ),
    Doubt.FAILED_SIMULATIONS: AboutDoubt(
        "Simulations failed",
        "Some excerpts could not be simulated, so the score speaks of the others only; the figure is their share.",
        FigureKind.SHARE,
    ),
    Doubt.ONE_DOCUMENT: AboutDoubt(
        "Driven by one document",
        f"{MOST_OF_TOP:.0%} or more of the top excerpts come from one document; the figure is their share.",
        FigureKind.SHARE,
    ),
    Doubt.FIRST_POSITION: AboutDoubt(
        "Driven by the first token",
        f"{MOST_OF_TOP:.0%} or more of the top excerpts have their peak on the first token of the context; the figure "
        "is their share.",
        FigureKind.SHARE,
    ),
    Doubt.COPIES: AboutDoubt(
        "Driven by copies",
        f"{MOST_OF_TOP:.0%} or more of the highest peaks are near-copies of one text; the figure is their share.",
        FigureKind.SHARE,
    ),
    Doubt.IMPORT_DIFFERS: AboutDoubt(
        "Imported score differs",
        "The 2023 score that came with the text differs from what its own simulations give, or by "
        f"{IMPORT_DIFFERENCE} or more from what a simulator here gives; the figure is the imported score less ours.",
        FigureKind.SCORE,
    ),
    Doubt.REASONING: AboutDoubt(
        "Leaked reasoning",
        "The text holds what a language model says to itself before it answers; the figure is how many such phrases.",
        FigureKind.COUNT,
    ),
    Doubt.MARKDOWN: AboutDoubt(
        "Markdown in the text",
        "The text holds the marks of headings, lists, emphasis or code; the figure is how many.",
        FigureKind.COUNT,
    ),
    Doubt.PROMPT_WORDS: AboutDoubt(
        "Words of a prompt",
        "The text repeats words of the request that it was written for; the figure is how many.",
        FigureKind.COUNT,
    ),
    Doubt.TOO_LONG: AboutDoubt(
        "Too long",
        f"The text has more than {LONGEST} characters; the figure is their number.",
        FigureKind.COUNT,
    ),
}


@dataclass(frozen=True, slots=True)
class RaisedDoubt:
    """A doubt with its figure, and the figure's 95 % interval where it has one."""

    doubt: Doubt
    figure: float
    interval: Interval | None = None


@dataclass(frozen=True, slots=True)
class Measure:
    """A number with its 95 % interval where it has one."""

    value: float
    interval: Interval | None = None

    @property
    def low(self) -> float:
        """The lower bound of the interval; the number itself where there is none."""
        return self.value if self.interval is None else self.interval[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreFacts:
    """The headline of an explanation, and the figures measured with it.

    All scores are of the headline's kind and by its simulator, except for ``score_2023`` and ``imported``, which are
    2023 scores: what an imported text came with is compared with what was computed of the same kind since.
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
    """Share of the null twin's neurons of the same layer that score as high."""
    precision: Measure | None = None
    recall: Measure | None = None
    n_valid: int = 0
    n_failed: int = 0
    repeated: tuple[float, ...] = ()
    """The same method's scores on the same collection, and this text's own repeated ones."""
    score_2023: float | None = None
    imported: float | None = None
    """The score that came with an imported text, where another one was computed since."""
    stated: float | None = None
    recomputed: float | None = None
    """The score that came with an imported text, and the one that its own simulations give."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceFacts:
    """What is known of the neuron's top excerpts in its subject's newest collection; shares 0..1 of them."""

    n_top: int = 0
    n_documents: int = 0
    """Documents of the corpus, as far as they are known."""
    document_share: float | None = None
    """Of the document with most top excerpts."""
    first_token_share: float | None = None
    copies_share: float | None = None
    outside_share: float | None = None
    """Outside of the largest group of alike excerpts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that doubts about one explanation follow from."""

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
"""Quotations may hold anything: they are what the neuron fires on."""
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
