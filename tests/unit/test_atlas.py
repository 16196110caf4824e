import gzip
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.atlas import MOST_CELLS, SCALES, NeuronFacts, Plane, layer_figures, pack_atlas
from app.web.atlas.legend import legend_of

VALUES = st.one_of(st.just(float("nan")), st.floats(-1, 2, width=32), st.sampled_from([float("inf"), 0.0]))


def facts(places: list[tuple[int, int]], **values: list[float]) -> NeuronFacts:
    """Neurons at these layers and indices; what is not given is not known."""
    unknown = [float("nan")] * len(places)
    given = {"headlines": unknown, "scores": unknown, "rates": unknown, **values}
    counts = {"doubts": [0] * len(places), **values}

    def marks(name: str) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
        return np.array(values.get(name, [0] * len(places)), dtype=np.bool_)

    return NeuronFacts(
        layers=np.array([layer for layer, _ in places], dtype=np.int64),
        indices=np.array([index for _, index in places], dtype=np.int64),
        headlines=np.array(given["headlines"], dtype=np.float64),
        scores=np.array(given["scores"], dtype=np.float64),
        rates=np.array(given["rates"], dtype=np.float64),
        doubts=np.array(counts["doubts"], dtype=np.int64),
        is_explained=marks("is_explained"),
        is_flagged=marks("is_flagged"),
        is_rejected=marks("is_rejected"),
    )


def planes(content: bytes) -> tuple[tuple[int, int], dict[Plane, list[list[int]]]]:
    """As a browser reads the bytes."""
    magic, version, n_layers, width = struct.unpack_from("<4s3I", content)
    assert (magic, version) == (b"NATL", 1)
    grids = np.frombuffer(content, dtype=np.uint8, offset=16).reshape(len(Plane), n_layers, width)
    return (n_layers, width), {plane: grids[at].tolist() for at, plane in enumerate(Plane)}


def test_every_neuron_is_at_its_layer_and_index() -> None:
    content = pack_atlas(facts([(1, 2), (0, 0)], scores=[1.0, -0.25], is_explained=[1, 0]), n_layers=2, width=3)
    assert content is not None
    shape, found = planes(content)
    assert shape == (2, 3)
    assert found[Plane.SCORE] == [[1, 0, 0], [0, 0, 126]]
    assert found[Plane.STATE] == [[1, 0, 0], [0, 0, 2]]
    assert found[Plane.DOUBTS] == [[0, 0, 0], [0, 0, 1]]
    assert found[Plane.HEADLINE] == [[0, 0, 0], [0, 0, 0]]


def test_a_flag_is_seen_before_a_rejection_and_that_before_an_explanation() -> None:
    every = facts(
        [(0, 0), (0, 1), (0, 2), (0, 3)], is_explained=[1, 0, 1, 0], is_flagged=[1, 1, 0, 0], is_rejected=[0, 1, 0, 1]
    )
    content = pack_atlas(every, n_layers=1, width=4)
    assert content is not None
    assert planes(content)[1][Plane.STATE] == [[4, 4, 2, 3]]


def test_the_grid_grows_with_what_is_stored_and_stops_at_its_bound() -> None:
    grown = pack_atlas(facts([(2, 9)]), n_layers=1, width=4)
    assert grown is not None
    assert planes(grown)[0] == (3, 10)
    assert pack_atlas(facts([(0, MOST_CELLS)]), n_layers=1, width=4) is None


def test_the_published_size_is_below_a_megabyte() -> None:
    random, n = np.random.default_rng(0), 307_200
    places = [(at // 6_400, at % 6_400) for at in range(n)]
    drawn = facts(
        places,
        headlines=random.beta(1, 3, n).tolist(),
        scores=random.beta(0.5, 2, n).tolist(),
        rates=(10 ** random.normal(-2, 0.7, n)).tolist(),
        doubts=random.poisson(0.8, n).tolist(),
        is_explained=[1] * n,
        is_flagged=(random.random(n) < 0.01).tolist(),
    )
    content = pack_atlas(drawn, n_layers=48, width=6_400)
    assert content is not None
    assert len(gzip.compress(content)) < 1_000_000


@pytest.mark.parametrize("plane", Plane)
@given(value=VALUES)
def test_a_byte_is_the_nearest_step_of_its_value(plane: Plane, value: float) -> None:
    scale = SCALES[plane]
    byte = int(scale.pack(np.array([value], dtype=np.float64))[0])
    if np.isnan(value) or (scale.is_log10 and value < 0):
        assert byte == 0 or value < 0
        return
    with np.errstate(divide="ignore"):
        wanted = float(np.log10(np.float64(value)) if scale.is_log10 else value)
    nearest = scale.low + (byte - 1) * scale.step
    clipped = min(scale.low + scale.steps * scale.step, max(scale.low, wanted))
    assert abs(nearest - clipped) <= scale.step / 2 + 1e-6


@pytest.mark.parametrize("plane", Plane)
def test_every_byte_has_a_colour_and_colours_ascend(plane: Plane) -> None:
    firsts = [swatch.first for swatch in legend_of(plane)]
    assert firsts == sorted(set(firsts))
    assert firsts[0] in (0, 1)
    assert firsts[-1] <= 1 + SCALES[plane].steps


def test_colours_of_scores_begin_at_tenths() -> None:
    starts = {swatch.label: swatch.first for swatch in legend_of(Plane.SCORE)}
    tenths = SCALES[Plane.SCORE].pack(np.array([0.0, 0.1, 0.9], dtype=np.float64))
    assert [starts["0 to 0.1"], starts["0.1 to 0.2"], starts["0.9 to 1"]] == tenths.tolist()


def test_what_a_mark_says_names_the_doubts_that_it_counts() -> None:
    labels = [swatch.label for swatch in legend_of(Plane.DOUBTS)][1:]
    assert labels[:3] == ["no doubt", "1 doubt", "2 doubts"]
    assert labels[-1].endswith("or more doubts")


def test_a_layer_is_counted_and_its_medians_leave_out_what_is_not_known() -> None:
    nan = float("nan")
    every = facts(
        [(1, 0), (0, 0), (1, 1), (1, 2)],
        scores=[0.2, nan, 0.4, nan],
        doubts=[2, 0, 0, 0],
        is_explained=[1, 0, 1, 0],
        is_rejected=[0, 0, 0, 1],
    )
    empty, full = layer_figures(every)
    assert (empty.layer, empty.n_neurons, empty.n_explained, empty.score) == (0, 1, 0, None)
    assert (full.n_neurons, full.n_explained, full.n_doubtful, full.n_rejected) == (3, 2, 1, 1)
    assert full.score == pytest.approx(0.3)
    assert layer_figures(facts([])) == ()
