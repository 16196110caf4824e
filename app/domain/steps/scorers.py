"""The scorers of the catalogue, with the calls that each makes for one text."""

from collections.abc import Callable, Mapping
from math import ceil

from app.domain.activations import NeuronRecords, SampleKind, Split
from app.domain.executed import CORPUS
from app.domain.headlines import ESTIMATED
from app.domain.marking import N_
from app.domain.results import TOP_AND_RANDOM
from app.domain.standing import SCORE_2023
from app.domain.steps.calls import NO_CALLS, Calls, Span
from app.domain.steps.scored_records import (
    RATED_PER_SAMPLE,
    ablated_samples,
    choices,
    corpus_records,
    fitted_samples,
    scored_records,
)
from app.domain.steps.spec import CHAT, Parameters, Records, ScorerInput, ScorerSpec

PER_REQUEST = 5
"""Excerpts per rating request: enough to share the cost of the instructions, few enough for the model to rate each."""
NEGATIVES: Mapping[str, SampleKind] = {
    TOP_AND_RANDOM: SampleKind.RANDOM,
    "top_and_hard_negative": SampleKind.HARD_NEGATIVE,
}
"""For each sample of detection, the samples used as negatives."""
WRITTEN = "written"
"""The sample of sentences that a language model wrote to test an explanation."""
FOUND = "found"
"""The sample of excerpts of the corpus that contain the explanation's own words."""
FOUND_SHOWN = 10
FOUND_AMONG = 2048
"""Random excerpts of the corpus in which a text's words are searched."""
SENTENCES = 6
"""Number of written sentences of each kind."""
INTRUDER_SHOWN = 5
"""Excerpts in one question; one of them is the intruder, so that chance is one in five."""


def _nothing(_given: ScorerInput) -> Calls:
    return NO_CALLS


def _no_records(_records: NeuronRecords, _parameters: Parameters) -> Records:
    return {}


def _fitted_records(records: NeuronRecords, parameters: Parameters) -> Records:
    return scored_records(records, fitted_samples(parameters))


def _of_corpus(_parameters: Parameters) -> tuple[str, ...]:
    return (CORPUS,)


def _ablated_records(records: NeuronRecords, parameters: Parameters) -> Records:
    return scored_records(records, ablated_samples(parameters))


def _detected(_parameters: Parameters) -> tuple[str, ...]:
    return tuple(NEGATIVES)


def _detected_first(_parameters: Parameters) -> tuple[str, ...]:
    return (TOP_AND_RANDOM,)


def _fuzzed(_parameters: Parameters) -> tuple[str, ...]:
    return (SampleKind.TOP.value,)


def _rating(n_shown: int, tokens: int, *, requests: int) -> Calls:
    """Rating ``n_shown`` excerpts with ``tokens`` tokens in all. Their activations decide which ones are shown."""
    instructions = 300
    shown = Span(0, requests, requests)
    if not requests:
        return NO_CALLS
    return Calls.of(shown, instructions + 1.2 * tokens / requests, 10 + 2 * n_shown / requests, cached=instructions)


def _detection(records: NeuronRecords) -> Calls:
    kinds = (SampleKind.TOP, *NEGATIVES.values())
    lengths = [len(r.token_ids) for kind in kinds for r in records.of(kind, Split.VALIDATION)[:RATED_PER_SAMPLE]]
    return _rating(len(lengths), sum(lengths), requests=ceil(len(lengths) / PER_REQUEST))


def _fuzzing(records: NeuronRecords) -> Calls:
    """Each excerpt is shown twice, never in one request."""
    lengths = [len(r.token_ids) for r in records.of(SampleKind.TOP, Split.VALIDATION)[:RATED_PER_SAMPLE]]
    return _rating(2 * len(lengths), 2 * sum(lengths), requests=2 * ceil(len(lengths) / PER_REQUEST))


def _with_peer(rate: Callable[[NeuronRecords], Calls]) -> Callable[[ScorerInput], Calls]:
    """The calls for the neuron's own excerpts, and the same for the peer's unless the baseline is off."""

    def calls(given: ScorerInput) -> Calls:
        own = rate(given.records)
        if given.peer is None or not given.parameters.get("shuffled", True):
            return own
        return own + rate(given.peer)

    return calls


CORRELATION = ScorerSpec(
    name=SCORE_2023.scorer,
    label=N_("Correlation of expected and real activations"),
    parameters=("samples",),
    description=N_("Pearson's r of expected and real activations over all tokens of the scored excerpts."),
    blind_spot=N_(
        "Insensitive to texts that are too broad on top and random excerpts, the more so the more selective "
        "the neuron is."
    ),
    samples=fitted_samples,
    simulated=_fitted_records,
    calls=_nothing,
)
WHOLE_CORPUS = ScorerSpec(
    name=ESTIMATED,
    label=N_("Whole corpus: correlation, precision and recall at natural frequency"),
    parameters=("excerpts_per_sample",),
    description=N_(
        "Correlation of expected and real activations over all tokens of the corpus, estimated from excerpts "
        "of every stratum by their inclusion probabilities; with its margin over the token table, precision and recall."
    ),
    blind_spot=N_("Detects a false claim only where one of its few excerpts of ordinary text contains it."),
    samples=_of_corpus,
    simulated=corpus_records,
    calls=_nothing,
)
EXPLAINED_VARIANCE = ScorerSpec(
    name="explained_variance",
    label=N_("Variance of the real activations that the predicted ones explain"),
    parameters=("samples",),
    description=N_(
        "One minus the squared error divided by the variance; `uncentred_rsquared` divides by the mean "
        "square, as the paper's code does."
    ),
    blind_spot=N_(
        "Low for a good text whose simulator is on another scale, and dominated by the few largest activations."
    ),
    samples=fitted_samples,
    simulated=_fitted_records,
    calls=_nothing,
)
ABSOLUTE_DEVIATION = ScorerSpec(
    name="absolute_deviation",
    label=N_("Absolute size of the real activations that the predicted ones explain"),
    parameters=("samples",),
    description=N_("One minus the mean absolute error divided by the mean absolute activation."),
    blind_spot=N_("Where the neuron is almost always near 0, a text that expects 0 everywhere outscores most others."),
    samples=fitted_samples,
    simulated=_fitted_records,
    calls=_nothing,
)
ABLATION = ScorerSpec(
    name="ablation",
    label=N_("Effect of the simulated activations on the subject's output"),
    parameters=("sample",),
    description=N_(
        "How much less the subject's output changes under the simulated activations than under the neuron's mean."
    ),
    blind_spot=N_("Detects only differences that reach the output, which many neurons barely change."),
    needs_subject=True,
    samples=ablated_samples,
    simulated=_ablated_records,
    calls=_nothing,
)
DETECTION = ScorerSpec(
    name="detection",
    label=N_("Detection: does this excerpt fit?"),
    parameters=("shuffled", "max_tokens"),
    description=N_(
        "Whether a language model with the text separates top excerpts from random ones and from hard "
        "negatives; `detection_auc` is the area under the curve of its ratings."
    ),
    blind_spot=N_(
        "Does not detect which token of an excerpt activates the neuron, nor a breadth that random excerpts "
        "do not show."
    ),
    prompts=("detection",),
    capabilities=CHAT,
    needs_hard_negatives=True,
    samples=_detected,
    simulated=_no_records,
    calls=_with_peer(_detection),
)


def _written_about(_parameters: Parameters) -> tuple[str, ...]:
    return (WRITTEN,)


def written(parameters: Parameters) -> int:
    """The number of written sentences of each kind: fitting the text, and just outside of it."""
    return int(parameters.get("n_sentences", SENTENCES))


def _writing(given: ScorerInput) -> Calls:
    """The call that writes the sentences of both kinds."""
    return Calls.of(Span(0, 1, 1), 290, 60 * written(given.parameters))


def _claiming(given: ScorerInput) -> Calls:
    """The call that writes the sentences of both kinds, and one simulation of each sentence."""
    some = given.records.of(SampleKind.RANDOM) or given.records.of(SampleKind.TOP)
    length = max((len(r.token_ids) for r in some), default=0)
    if not length:
        return _writing(given)
    return _writing(given) + given.simulate([length] * (2 * written(given.parameters)))


def _found_in_corpus(_parameters: Parameters) -> tuple[str, ...]:
    return (FOUND,)


def found(parameters: Parameters) -> int:
    """The number of found excerpts that are simulated and run through the subject."""
    return int(parameters.get("n_excerpts", FOUND_SHOWN))


def _found(given: ScorerInput) -> Calls:
    """One simulation per excerpt found; fewer if a text finds fewer."""
    lengths = [len(r.token_ids) for r in given.records.of(SampleKind.RANDOM)]
    if not lengths:
        return NO_CALLS
    most = given.simulate([max(lengths)] * found(given.parameters))
    return most.times(Span(0, 1, 1))


def intruder_questions(records: NeuronRecords) -> int:
    """The number of intruder questions that these records suffice for."""
    shown = len(records.of(SampleKind.TOP, Split.VALIDATION)[:RATED_PER_SAMPLE])
    intruders = len(records.of(SampleKind.RANDOM, Split.VALIDATION)[:RATED_PER_SAMPLE])
    return intruders if shown >= INTRUDER_SHOWN - 1 else 0


def _intruding(given: ScorerInput) -> Calls:
    n = intruder_questions(given.records)
    lengths = [len(r.token_ids) for r in given.records.of(SampleKind.TOP, Split.VALIDATION)[:RATED_PER_SAMPLE]]
    if not n:
        return NO_CALLS
    mean = sum(lengths) / len(lengths)
    # Random excerpts on which the neuron fires are no intruders.
    return Calls.of(Span(0, n, n), 240 + 1.2 * INTRUDER_SHOWN * mean, 8, cached=240)


def _shown_beside(given: ScorerInput) -> Calls:
    """Simulations of the neighbours' excerpts, each once, next to those of the neuron's own."""
    shown = {
        r.excerpt_id: len(r.token_ids) for choice in choices(given.records, given.neighbours) for r in choice.others
    }
    return given.simulate(shown.values())


def _top_records(records: NeuronRecords, _parameters: Parameters) -> Records:
    return scored_records(records, (SampleKind.TOP.value,))


NEIGHBOURS = ScorerSpec(
    name="neighbours",
    label=N_("Neighbours: this neuron's excerpt among those of similar neurons"),
    description=N_(
        "How often the text predicts the highest activation on the neuron's own excerpt, among one of each of the "
        "three neurons of its layer that are most like it by co-firing and input weights; chance is one in four."
    ),
    blind_spot=N_("Does not detect what else the text claims, nor how strongly the neuron fires on which token."),
    needs_neighbours=True,
    samples=_fuzzed,
    simulated=_top_records,
    calls=_shown_beside,
)
BOUNDARY = ScorerSpec(
    name="boundary",
    label=N_("Boundary: sentences inside and just outside the text"),
    parameters=("n_sentences", "max_tokens"),
    description=N_(
        "The subject is run on sentences that a language model writes to fit the text and on similar ones that "
        "do not: the harmonic mean of the share that fires and the share that stays silent, each shown as well."
    ),
    blind_spot=N_("Tests only sentences that the language model writes, in its style, not the text of the corpus."),
    prompts=("write_sentences",),
    capabilities=CHAT,
    needs_subject=True,
    samples=_written_about,
    simulated=_no_records,
    calls=_writing,
)
OWN_TEXTS = ScorerSpec(
    name="own_texts",
    label=N_("Own texts: written sentences against random text"),
    parameters=("n_sentences", "max_tokens"),
    description=N_(
        "Whether the neuron is more active on sentences written to fit the text than on random excerpts of "
        "the same length: twice the area under the curve, less one."
    ),
    blind_spot=N_("Does not detect what the text misses: one feature that activates the neuron is enough."),
    prompts=("write_sentences",),
    capabilities=CHAT,
    needs_subject=True,
    samples=_written_about,
    simulated=_no_records,
    calls=_writing,
)
FOUND_TEXTS = ScorerSpec(
    name="found_texts",
    label=N_("Found texts: what the text claims about excerpts that it finds"),
    parameters=("n_excerpts", "n_searched"),
    description=N_(
        "The subject is run on random excerpts of the corpus that contain a word which the text quotes or names: "
        "the share of claimed tokens on which the neuron fires, at natural frequency."
    ),
    blind_spot=N_("Does not detect what the text misses, nor false claims about excerpts that share no word with it."),
    needs_subject=True,
    samples=_found_in_corpus,
    simulated=_no_records,
    calls=_found,
)
WRITTEN_TEXTS = ScorerSpec(
    name="written_texts",
    label=N_("Written texts: what the text claims about sentences written for it"),
    parameters=("n_sentences", "max_tokens"),
    description=N_(
        "The subject is run on sentences that a language model writes to fit the text and on similar ones that "
        "do not: the share of claimed tokens on which the neuron fires."
    ),
    blind_spot=N_("Does not detect what the text misses; the sentences are not as frequent as the text of the corpus."),
    prompts=("write_sentences",),
    capabilities=CHAT,
    needs_subject=True,
    samples=_written_about,
    simulated=_no_records,
    calls=_claiming,
)
INTRUDER = ScorerSpec(
    name="intruder",
    label=N_("Intruder: which excerpt does not belong?"),
    parameters=("max_tokens",),
    description=N_(
        "A language model that sees no explanation finds the random excerpt among four on which the neuron "
        "fires: a measure of whether the neuron can be explained at all."
    ),
    blind_spot=N_("Does not measure the text: every text of a neuron gets the same number."),
    prompts=("intruder",),
    capabilities=CHAT,
    samples=_detected_first,
    simulated=_no_records,
    calls=_intruding,
    asks_about_neuron=True,
)
FUZZING = ScorerSpec(
    name="fuzzing",
    label=N_("Fuzzing: do these marked tokens fit?"),
    parameters=("shuffled", "max_tokens"),
    description=N_(
        "Whether a language model with the text separates the right marks on top excerpts from marks on silent "
        "tokens; `fuzzing_auc` is the area under the curve of its ratings."
    ),
    blind_spot=N_(
        "Shows only excerpts on which the neuron fires, so it does not detect false claims about other text."
    ),
    prompts=("fuzzing",),
    capabilities=CHAT,
    samples=_fuzzed,
    simulated=_no_records,
    calls=_with_peer(_fuzzing),
)
ALL = (
    CORRELATION,
    WHOLE_CORPUS,
    EXPLAINED_VARIANCE,
    ABSOLUTE_DEVIATION,
    ABLATION,
    DETECTION,
    FUZZING,
    NEIGHBOURS,
    BOUNDARY,
    OWN_TEXTS,
    FOUND_TEXTS,
    WRITTEN_TEXTS,
    INTRUDER,
)
