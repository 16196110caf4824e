"""Neurons of any content, for laws that readers and writers keep."""

from hypothesis import strategies as st

from app.domain.samples import BANDS, SampleKind
from app.formats.openai.explanations import PUBLISHED, SCORERS
from app.formats.records import (
    ActivationRecord,
    ActivationUnit,
    Explanation,
    NeuronRecord,
    Origin,
    SampleRecords,
    Score,
    ScoredSimulation,
    Simulation,
    Statistics,
)

numbers = st.floats(-60_000, 60_000, allow_nan=False)
maybe = st.none() | numbers
texts = st.text(st.characters(codec="utf-8"), max_size=12)
tokens = st.lists(texts, min_size=1, max_size=6)
said = texts.map(lambda text: f"fires on {text}")
NOWHERE = Origin("")


@st.composite
def activation_records(draw: st.DrawFn) -> ActivationRecord:
    found = draw(tokens)
    return ActivationRecord(found, draw(st.lists(numbers, min_size=len(found), max_size=len(found))))


@st.composite
def openai_samples(draw: st.DrawFn) -> tuple[SampleRecords, ...]:
    """Samples as a file holds them: top and random where they are not empty, then the first so many bands."""
    n_bands = draw(st.integers(0, len(BANDS)))
    rows = st.lists(activation_records(), max_size=3)
    shown = [SampleRecords(kind, draw(rows)) for kind in (SampleKind.TOP, SampleKind.RANDOM)]
    bands = [SampleRecords(kind, draw(rows)) for kind in BANDS[:n_bands]]
    return (*(sample for sample in shown if sample.records), *bands)


@st.composite
def simulations(draw: st.DrawFn, found: list[str], *, depth: int = 1) -> Simulation:
    n = len(found)
    values = draw(st.just([]) | st.lists(st.lists(numbers, max_size=3), min_size=n, max_size=n))
    probabilities = [draw(st.lists(numbers, min_size=len(v), max_size=len(v))) for v in values]
    inner = draw(st.none() | simulations(found, depth=depth - 1)) if depth else None
    expected = draw(st.lists(maybe, min_size=n, max_size=n))
    return Simulation(found, expected, draw(st.sampled_from(ActivationUnit)), values, probabilities, inner)


@st.composite
def openai_explanations(draw: st.DrawFn) -> Explanation:
    n = draw(st.integers(0, 4))
    rows = []
    for i in range(n):
        found = draw(tokens)
        rows.append(
            ScoredSimulation(
                draw(simulations(found)),
                draw(st.lists(numbers, min_size=len(found), max_size=len(found))),
                {name: draw(numbers) for name in draw(st.sets(st.sampled_from(sorted(SCORERS.values()))))},
                kind=SampleKind.TOP if i < (n + 1) // 2 else SampleKind.RANDOM,
                simulator=PUBLISHED,
            )
        )
    n_valid = sum(None not in row.simulation.expected for row in rows)
    values = {scorer: draw(maybe) for scorer in SCORERS.values()}
    scores = [
        Score(
            scorer,
            "top_and_random",
            value,
            undefined_reason="the file gives no number" if value is None else None,
            n_valid=n_valid,
            n_failed=n - n_valid,
            simulator=PUBLISHED,
        )
        for scorer, value in values.items()
        if value is not None or scorer == "correlation"
    ]
    return Explanation(draw(said), scores=scores, simulations=rows)


@st.composite
def openai_neurons(draw: st.DrawFn) -> NeuronRecord:
    """A neuron that OpenAI's format holds completely."""
    explanations = draw(st.lists(openai_explanations(), max_size=2, unique_by=lambda e: e.text.strip()))
    boundaries = draw(st.none() | st.lists(numbers, max_size=4))
    return NeuronRecord(
        draw(st.integers(0, 100)),
        draw(st.integers(0, 10_000)),
        NOWHERE,
        statistics=Statistics(draw(maybe), draw(maybe), draw(maybe), draw(maybe)),
        samples=draw(openai_samples()),
        explanations=explanations,
        facts={} if boundaries is None else {"quantile_boundaries": boundaries},
    )
