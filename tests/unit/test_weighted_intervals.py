"""Coverage of weighted intervals on a corpus that is divided as a collection divides it."""

import numpy as np
import pytest

from app.domain.arrays import Float64s, Int64s
from app.domain.estimates import DrawnExcerpt, correlation_sums, weigh, weighted_interval
from app.domain.intervals import FISHER, PLAIN
from app.domain.samples import BAND_EDGES, STRATA, SampleKind
from app.domain.scores import pearson

N_EXCERPTS, N_DRAWS, N_TOP = 6_000, 300, 20


def corpus(shape: float) -> tuple[Float64s, Int64s]:
    """Each excerpt's sums and the number of its stratum; the smaller ``shape``, the rarer are high activations."""
    generator = np.random.default_rng(0)
    scale = generator.gamma(shape, 3.0, N_EXCERPTS)
    real = [(generator.random(16) ** 2 * s).astype(np.float32) for s in scale]
    predicted = [
        (0.7 * r + 0.3 * generator.random(16) * s + 0.2 * generator.random(16)).astype(np.float32)
        for r, s in zip(real, scale, strict=True)
    ]
    order = np.argsort([r.max() for r in real])
    rank = np.empty(N_EXCERPTS, dtype=np.int64)
    rank[order] = np.arange(N_EXCERPTS)
    strata = 1 + np.searchsorted(np.array(BAND_EDGES) * N_EXCERPTS, rank, side="right")
    strata[order[-N_TOP:]] = 0
    return correlation_sums(real, predicted), strata


@pytest.mark.parametrize("per_stratum", [5, 10])
@pytest.mark.parametrize("shape", [0.3, 1.0])
def test_the_interval_covers_the_corpus(shape: float, per_stratum: int) -> None:
    sums, strata = corpus(shape)
    truth = float(pearson(sums.sum(axis=0)[None])[0])
    counts = {kind: int((strata == number).sum()) for number, kind in enumerate(STRATA)}
    generator, held = np.random.default_rng(1), 0
    for _ in range(N_DRAWS):
        drawn: list[DrawnExcerpt] = []
        for number, kind in enumerate(STRATA):
            own = np.flatnonzero(strata == number)
            n = min(per_stratum, len(own))
            drawn += [DrawnExcerpt(int(i), kind, n / len(own)) for i in generator.choice(own, n, replace=False)]
        weights = weigh(drawn, counts)
        chosen = sums[[drawn[index].excerpt_id for index in weights.indices]]
        interval = weighted_interval(weights, chosen, pearson, FISHER)
        assert interval is not None
        held += interval[0] <= truth <= interval[1]
    assert 0.91 <= held / N_DRAWS <= 0.985  # 95 %, within three standard errors of 300 draws


@pytest.mark.parametrize("per_stratum", [5, 10])
@pytest.mark.parametrize("shape", [0.5, 1.0, 4.0])
def test_the_interval_of_a_mean_covers_skewed_contributions(shape: float, per_stratum: int) -> None:
    """Gamma distributions have the excess kurtosis 6 / shape; here each of four strata has a fourth of the variance."""
    generator, held, n_draws = np.random.default_rng(2), 0, 1500
    kinds = STRATA[1:5]
    counts = dict.fromkeys(kinds, 100_000)
    weights = weigh(
        [DrawnExcerpt(i, kinds[i // per_stratum], per_stratum / 100_000) for i in range(4 * per_stratum)], counts
    )
    for _ in range(n_draws):
        drawn = generator.gamma(shape, 1.0, (4 * per_stratum, 1))
        interval = weighted_interval(weights, drawn, lambda sums: sums[:, 0] / 400_000, PLAIN)
        assert interval is not None
        held += interval[0] <= shape <= interval[1]
    assert 0.92 <= held / n_draws <= 0.98


def test_a_census_has_no_width() -> None:
    sums = np.random.default_rng(0).random((6, 6)) + np.array([8, 1, 1, 5, 5, 1])
    weights = weigh([DrawnExcerpt(i, SampleKind.TOP, 1.0) for i in range(6)], {SampleKind.TOP: 6})
    value = float(pearson(sums.sum(axis=0)[None])[0])
    assert weighted_interval(weights, sums, pearson, FISHER) == pytest.approx((value, value))
