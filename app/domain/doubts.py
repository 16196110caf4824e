"""The automatic doubts about an explanation and their meanings; ``app.domain.doubt_rules`` decides when one is raised.

A doubt is a reason to look, not a verdict: each is a threshold on one figure, and the figure is stored with it. An
unknown fact raises no doubt. Doubts about a score are about the headline, see ``app.domain.headlines``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class FigureKind(StrEnum):
    """The kind of number that a doubt's figure is; decides how it is formatted."""

    SCORE = "score"
    """A score, or a difference of two."""
    SHARE = "share"
    """A share, 0..1."""
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
        """The doubt's meaning in one sentence."""
        return ABOUT[self].sentence

    @property
    def figure_kind(self) -> FigureKind:
        """The kind of number that its figure is."""
        return ABOUT[self].figure_kind


@dataclass(frozen=True, slots=True)
class AboutDoubt:
    """A doubt in words. The sentence explains its figure."""

    label: str
    sentence: str
    figure_kind: FigureKind


LOW_PRECISION = 0.2
"""Share of the claimed tokens on which the neuron fires, at natural frequency."""
LOW_RECALL = 0.2
"""Share of the tokens on which the neuron fires that are claimed."""
TWIN_SHARE = 0.05
"""Share of a random network's neurons that may reach a score; above it the score shows nothing."""
TABLE_SHARE = 0.6
"""Share of the token table's score that an explanation should reach.

The table knows the means of a hundred tokens or more over the corpus that it is scored on, so that a sentence of ten
tokens hardly ever reaches it: nine tenths of the demo's do not. One in five does not reach this share.
"""
HIGH_SCORE = 0.5
LEAST_ON_RANDOM = 0.05
UNSTABLE_RANGE = 0.2
FAILED_SHARE = 0.2
"""Share of the excerpts to be simulated whose simulation failed."""
MOST_OF_TOP = 0.5
"""Share of the top excerpts from which one document, the first token or copies drive a neuron."""
LEAST_DOCUMENTS = 10
"""In a corpus of fewer documents, many top excerpts come from one document whatever the neuron does."""
LEAST_TOP = 4
"""With fewer top excerpts no doubt about them is raised."""
MEANING_SHARE = 0.25
"""Share of top excerpts outside of the largest group above which the neuron has several meanings."""
IMPORT_DIFFERENCE = 0.1
ROUNDING = 0.005
"""Largest difference between an imported and the recomputed score that rounding explains."""
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
