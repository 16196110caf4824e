"""The explainers of the catalogue, with the number of calls and texts that one explanation takes.

Bounds and defaults that decide the number of calls are defined here; the explainers' code reads them.
"""

from collections.abc import Sequence
from dataclasses import replace

from app.domain.activations import ActivationRecord, NeuronRecords, SampleKind, Split
from app.domain.steps.calls import NO_CALLS, ONCE, Calls, Span
from app.domain.steps.spec import CHAT, ExplainerInput, ExplainerSpec, Explaining, Simulate

MOST_SHOWN = 5
"""Records of each sample in one prompt, as in the 2023 paper."""
LONGEST_SHOWN = 128
"""Tokens of a shown excerpt; longer ones are cut to this number around their peak."""
COMPARED_PER_SAMPLE = 5
"""Calibration records of the top and of the random sample on which each candidate text is simulated."""
SAMPLES = 4
"""Number of texts of which best-of-n chooses."""
SENTENCES = 6
"""Number of test sentences written to activate the neuron, and of others written not to.

Half of them score, half revise.
"""

REPLY = 60
"""Approximate tokens of one explanation as JSON."""
MOST_MEANINGS = 4
"""Maximum number of groups of excerpts that are explained separately."""

SENTENCE = (1, 20, 300)
"""Tokens of a written sentence: minimum, expected, maximum."""


def compared_records(records: NeuronRecords) -> tuple[ActivationRecord, ...]:
    """The calibration records that decide between texts."""
    return tuple(
        record
        for kind in (SampleKind.TOP, SampleKind.RANDOM)
        for record in records.of(kind, Split.CALIBRATION)[:COMPARED_PER_SAMPLE]
    )


def shown_tokens(records: Sequence[ActivationRecord]) -> int:
    """The tokens of the records that a prompt shows."""
    return sum(min(len(record.token_ids), LONGEST_SHOWN) for record in records[:MOST_SHOWN])


def _train(records: NeuronRecords) -> int:
    return shown_tokens(records.of(SampleKind.TOP, Split.TRAIN))


def _nothing(_given: ExplainerInput) -> Explaining:
    return Explaining(NO_CALLS)


def _pairs(given: ExplainerInput) -> Explaining:
    return Explaining(Calls.of(ONCE, 850 + 4.7 * _train(given.records), REPLY))


def _highlighted(given: ExplainerInput) -> Explaining:
    return Explaining(Calls.of(ONCE, 700 + 1.3 * _train(given.records), REPLY))


def _contrastive(given: ExplainerInput) -> Explaining:
    similar = shown_tokens(given.records.of(SampleKind.HARD_NEGATIVE, Split.TRAIN))
    return Explaining(Calls.of(ONCE, 890 + 1.3 * _train(given.records) + similar, REPLY))


def _best_of_n(given: ExplainerInput) -> Explaining:
    n = Span.exactly(given.parameters.get("n", SAMPLES))
    inner = given.wrapped()
    every = inner.candidates * n
    candidates = Span(min(1, every.least), every.expected, every.most)  # equal texts become one candidate
    apart = Span(min(1, n.least), n.expected, n.most)  # and are simulated only once
    return Explaining(
        calls=inner.calls.times(n),
        candidates=candidates,
        compared=candidates,
        discarded=inner.discarded * apart,
        tested=inner.tested.times(apart),
    )


def _revise(given: ExplainerInput) -> Explaining:
    inner, n = given.wrapped(), given.parameters.get("n_sentences", SENTENCES)
    written = Calls.of(ONCE, 270, 30 * n)
    corrected = Calls.of(Span(0, 1, 1), 420 + 1.3 * _train(given.records) + n * SENTENCE[1], REPLY)
    candidates = Span(1, 2, 2)
    first, others = inner.compared.first_and_rest()  # only the first inner text is a candidate
    return Explaining(
        calls=inner.calls + written + corrected,
        candidates=candidates,
        compared=Span(first.least, 2, 2),
        discarded=others + inner.discarded,
        tested=inner.tested + _simulated_sentences(given.simulate, n).times(candidates),
    )


def _simulated_sentences(simulate: Simulate, n: int) -> Calls:
    """The calls that simulate one text on ``n`` written sentences, whose lengths are not known beforehand."""
    least, expected, most = (simulate([length] * n) for length in SENTENCE)
    return replace(expected, n=Span(least.n.least, expected.n.expected, most.n.most))


def _per_meaning(given: ExplainerInput) -> Explaining:
    most = min(MOST_MEANINGS, len(given.records.of(SampleKind.TOP, Split.TRAIN)) // 2)
    inner = given.wrapped()
    if most < 2:
        return inner
    prompts = Span(1, 1 + min(3, most), 1 + most)
    return Explaining(inner.calls.times(prompts), compared=Span(0, 1, 1), discarded=Span(0, 1, 1))


LEXICAL = ExplainerSpec(
    name="lexical",
    label="Lexical: quotes tokens and contexts",
    description="Chooses the quoted tokens, word classes and conditions that best predict where the neuron fires, "
    "and writes them as one sentence, without a language model.",
    blind_spot="Cannot express what its grammar lacks, such as topics, meanings and moods.",
    calls=_nothing,
)
TOKEN_ACTIVATION_PAIRS = ExplainerSpec(
    name="token_activation_pairs",
    label="Tokens and levels: one per line, as in the 2023 paper",
    parameters=("temperature", "seed", "max_tokens"),
    description="Shows a language model five top excerpts as lists of tokens, each with its level from 0 to 10.",
    blind_spot="Sees only the strongest excerpts, so its texts are often too broad: they also match text on which "
    "the neuron is silent.",
    prompts=("explain_pairs",),
    capabilities=CHAT,
    calls=_pairs,
)
HIGHLIGHTED = ExplainerSpec(
    name="highlighted",
    label="Highlighted: running text with marks",
    parameters=("temperature", "seed", "max_tokens"),
    description="Shows a language model five top excerpts as running text with the active tokens marked, "
    "and a list of the strongest tokens.",
    blind_spot="Sees only the strongest excerpts, and only whether a token is active, not its level.",
    prompts=("explain_highlighted",),
    capabilities=CHAT,
    calls=_highlighted,
)
CONTRASTIVE = ExplainerSpec(
    name="contrastive",
    label="Contrastive: against hard negatives",
    parameters=("temperature", "seed", "max_tokens"),
    description="Shows a language model highlighted top excerpts and five similar ones that do not activate "
    "the neuron.",
    blind_spot="Explains the difference from these hard negatives, which may be less than what the neuron fires on.",
    prompts=("explain_contrastive",),
    capabilities=CHAT,
    needs_hard_negatives=True,
    calls=_contrastive,
)
BEST_OF_N = ExplainerSpec(
    name="best_of_n",
    label="Best of n samples of another explainer",
    parameters=("n",),
    description="Runs another explainer several times; the text that predicts the calibration records best "
    "comes first, and all are kept.",
    blind_spot="Chooses by correlation on ten excerpts, which is insensitive to texts that are too broad.",
    wraps="highlighted",
    inner_parameters={"temperature": 1.0},
    calls=_best_of_n,
)
REVISE = ExplainerSpec(
    name="revise",
    label="Revise: tested on sentences, then corrected",
    parameters=("n_sentences", "max_tokens"),
    description="Has a language model write sentences that should activate the neuron and others that should not, "
    "runs the subject on them, and corrects the text from its errors.",
    blind_spot="Finds only the errors that a sentence of the language model reveals.",
    prompts=("write_sentences", "revise"),
    capabilities=CHAT,
    needs_subject=True,
    wraps="highlighted",
    calls=_revise,
)
PER_MEANING = ExplainerSpec(
    name="per_meaning",
    label="Per meaning: one text per group of excerpts",
    description="Groups the top excerpts by the subject's hidden state at their peaks and explains each group; "
    "the texts are joined where that predicts better than one text for all.",
    blind_spot="Treats excerpts with similar hidden states as one meaning, and finds at most four.",
    needs_subject=True,
    wraps="highlighted",
    wraps_prompted_only=True,
    calls=_per_meaning,
)
ALL = (LEXICAL, TOKEN_ACTIVATION_PAIRS, HIGHLIGHTED, CONTRASTIVE, BEST_OF_N, REVISE, PER_MEANING)
