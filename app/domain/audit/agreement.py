"""How far reviewers agree: raw agreement, Krippendorff's alpha, Gwet's AC1, and when alpha misleads.

Verdicts are nominal; an item may have any number of them from any reviewers. Intervals treat the items
as a random sample and the reviewers as fixed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from app.domain.arrays import Float64s
from app.domain.intervals import CONFIDENCE, FISHER, LEAST_DEFINED_SHARE, RESAMPLES, Interval, Statistic, wilson
from app.domain.marking import N_
from app.domain.scores import Estimate

_Counts = Float64s

NO_PAIR = N_("no item has two verdicts")
ALL_ALIKE = N_("all verdicts are the same")
HIGH_AGREEMENT = 0.8
SKEWED = 0.8
APART = 0.2
"""Thresholds at which alpha misleads: raw agreement, share of the largest category, and how far AC1 exceeds alpha."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far reviewers agree on the items that two or more have judged."""

    n_items: int
    n_verdicts: int
    raw: Estimate
    """The share of pairs of verdicts on one item that are equal, the mean over items."""
    alpha: Estimate
    ac1: Estimate
    largest_share: float | None
    """The share of all verdicts that are the most frequent one."""
    alpha_misleads: bool
    """Whether nearly all verdicts are equal, so that alpha counts nearly all agreement as chance."""


def count_table(verdicts: Iterable[Sequence[str]]) -> tuple[_Counts, tuple[str, ...]]:
    """How often each category was given to each item, [items, categories], and the categories. ``verdicts`` has one
    list per item.
    """
    listed = [list(item) for item in verdicts]
    categories = tuple(sorted({verdict for item in listed for verdict in item}))
    column = {category: k for k, category in enumerate(categories)}
    table = np.zeros((len(listed), len(categories)))
    for row, item in enumerate(listed):
        for verdict in item:
            table[row, column[verdict]] += 1
    return table, categories


def agreement(counts: _Counts, *, seed: int) -> Agreement:
    """All measures of a table of counts [items, categories]. Equal seeds give equal intervals."""
    rated = counts[counts.sum(axis=1) >= 1]
    paired = rated[rated.sum(axis=1) >= _PAIR]
    if not len(paired):
        nothing = Estimate(None, NO_PAIR)
        return Agreement(0, 0, nothing, nothing, nothing, None, False)
    sums = item_sums(rated)
    raw = _raw_with_interval(sums)
    alpha = _with_interval(sums, krippendorff_alpha, seed)
    ac1 = _with_interval(sums, gwet_ac1, seed)
    largest = float(paired.sum(axis=0).max() / paired.sum())
    misleads = (
        largest >= SKEWED
        and raw.value is not None
        and raw.value >= HIGH_AGREEMENT
        and (alpha.value is None or (ac1.value is not None and ac1.value - alpha.value >= APART))
    )
    return Agreement(len(paired), int(paired.sum()), raw, alpha, ac1, largest, misleads)


# A statistic reads sums over items [B, 3 + 3 C]. All are additive, so that a bootstrap is a product of matrices.
_PAIR = 2
_N_RATED, _N_PAIRED, _AGREE = range(3)
_ROUNDING = 1e-12


def item_sums(counts: _Counts) -> _Counts:
    """The contribution of each item, [items, 3 + 3 C], from counts [items, C] of at least one verdict per item.

    Columns: 1; 1 if the item has two or more verdicts; its share of equal pairs; its share of each category; and, if it
    has two or more verdicts, its count of each category and how many of those agree with the others (Krippendorff's
    coincidences).
    """
    m = counts.sum(axis=1, keepdims=True)
    has_pair = (m >= _PAIR).astype(np.float64)
    agreeing = counts * (counts - 1) / np.maximum(m - 1, 1)
    agree = agreeing.sum(axis=1, keepdims=True) / m
    return np.concatenate([np.ones_like(m), has_pair, agree, counts / m, counts * has_pair, agreeing], axis=1)


def raw_agreement(sums: _Counts) -> _Counts:
    """The mean share of equal pairs over items that have two or more verdicts. [B]"""
    return np.asarray(sums[:, _AGREE] / sums[:, _N_PAIRED])


def krippendorff_alpha(sums: _Counts) -> _Counts:
    """1 - observed / expected disagreement; NaN where all verdicts are the same. [B]

    Source: Krippendorff, "Computing Krippendorff's alpha-reliability" (2011), nominal data with missing values.
    """
    _, totals, agreeing = _categories(sums)
    n = totals.sum(axis=1)
    observed = 1 - agreeing.sum(axis=1) / n
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = 1 - (totals * (totals - 1)).sum(axis=1) / (n * (n - 1))
        return np.where(expected > _ROUNDING, 1 - observed / expected, np.nan)


def gwet_ac1(sums: _Counts) -> _Counts:
    """Gwet's first-order coefficient: (raw - chance) / (1 - chance), chance = Σ p (1 - p) / (C - 1). [B]

    ``C`` is the number of categories in the table. ``p``, a category's share, also counts items with one verdict. NaN
    with a single category. Source: Gwet, "Computing inter-rater reliability and its variance in the presence of high
    agreement" (2008), for several raters and missing verdicts as in his "Handbook of Inter-Rater Reliability" (2014),
    chapter 3.
    """
    shares, _, _ = _categories(sums)
    if shares.shape[1] < _PAIR:
        return np.full(len(sums), np.nan)
    p = shares / sums[:, [_N_RATED]]
    chance = (p * (1 - p)).sum(axis=1) / (shares.shape[1] - 1)
    return np.asarray((raw_agreement(sums) - chance) / (1 - chance))


def _categories(sums: _Counts) -> tuple[_Counts, _Counts, _Counts]:
    shares, totals, agreeing = np.split(sums[:, _AGREE + 1 :], 3, axis=1)
    return shares, totals, agreeing


def _raw_with_interval(sums: _Counts) -> Estimate:
    """Raw agreement with Wilson's interval at the effective number of items."""
    value = float(raw_agreement(sums.sum(axis=0)[None])[0])
    return Estimate(value, interval=_raw_interval(sums, value))


def _raw_interval(sums: _Counts, value: float) -> Interval:
    each = sums[sums[:, _N_PAIRED] > 0, _AGREE]
    variance = float(each.var(ddof=1)) / each.size if each.size > 1 else 0.0
    return wilson(value, value * (1 - value) / variance if variance > 0 else each.size)


def _with_interval(sums: _Counts, statistic: Statistic, seed: int) -> Estimate:
    """The statistic with a bootstrap interval over items, on Fisher's scale with Student's t.

    Items with equal verdicts are drawn as one pattern, so that the cost depends on the number of patterns only. Each
    draw gets one more item, whose two verdicts agree by half. Without it, draws without any disagreement would lie at
    the end of the scale, and the interval of a small skewed sample would cover 78 % instead of 95 %.
    """
    patterns, occurrences = np.unique(sums, axis=0, return_counts=True)
    total = sums.sum(axis=0)
    n = int(total[_N_PAIRED])
    value = float(statistic(total[None])[0])
    if not np.isfinite(value):
        return Estimate(None, ALL_ALIKE)
    raw = float(raw_agreement(total[None])[0])
    if raw in (0.0, 1.0):
        return Estimate(value, interval=_at_the_end(total, statistic, _raw_interval(sums, raw), value))
    added = _half_agreeing(total)
    drawn = np.random.default_rng(seed).multinomial(len(sums), occurrences / len(sums), size=RESAMPLES)
    draws = statistic(drawn @ patterns + added)
    moved = FISHER.to(draws[np.isfinite(draws) & (np.abs(draws) < 1)])
    if n < _PAIR or moved.size < LEAST_DEFINED_SHARE * RESAMPLES:
        return Estimate(value)
    centre = float(FISHER.to(statistic((total + added)[None]))[0])
    half = float(special.stdtrit(n - 1, (1 + CONFIDENCE) / 2) * moved.std() * np.sqrt(n / (n - 1)))
    low, high = (float(end) for end in FISHER.back(np.array([centre - half, centre + half])))
    return Estimate(value, interval=(min(low, value), max(high, value)))


def _half_agreeing(total: _Counts) -> _Counts:
    """An item with two verdicts that agree by half, spread over the categories as all verdicts are."""
    _, totals, _ = _categories(total[None])
    p = totals[0] / totals.sum()
    return np.concatenate([[1.0, 1.0, 0.5], p, 2 * p, p])


def _at_the_end(total: _Counts, statistic: Statistic, raw: Interval, value: float) -> Interval:
    """The statistic at the limits of raw agreement, for samples in which all pairs are equal or none is: their draws do
    not vary.
    """
    _, totals, _ = _categories(total[None])
    limits = []
    for limit in raw:
        moved = total.copy()
        moved[_AGREE] = limit * total[_N_PAIRED]
        moved[-totals.shape[1] :] = limit * totals[0]
        limits.append(float(statistic(moved[None])[0]))
    return min(value, *limits), max(value, *limits)
