"""Groups of points that lie close together, and how many groups there are. Deterministic."""

from collections.abc import Iterator

import numpy as np

from app.domain.arrays import Float32s, Float64s, Int32s

LEAST_SILHOUETTE = 0.25
"""Mean silhouette up to which there is "no substantial structure" (Kaufman and Rousseeuw, 1990), so one group."""

Distances = Float64s


def cosine_distances(points: Float32s) -> Distances:
    """1 - cosine of the angle between every two of N points [N, D], as [N, N]. A zero vector has distance 1 from all
    others.
    """
    norms = np.linalg.norm(points.astype(np.float64), axis=1, keepdims=True)
    units = np.divide(points, norms, out=np.zeros(points.shape), where=norms > 0)
    distances = np.clip(1 - units @ units.T, 0.0, 2.0)
    np.fill_diagonal(distances, 0.0)
    return np.asarray(distances)


def clusters(points: Float32s, *, most: int, least: float = LEAST_SILHOUETTE) -> Int32s:
    """The group of each of N points [N, D], numbered by first appearance from 0.

    Average linkage on cosine distances, cut at the number of groups (2..``most``, each of two points
    or more) with the highest mean silhouette; one group if none reaches ``least``. Sources: Sokal
    and Michener (1958), Rousseeuw (1987).
    """
    distances = cosine_distances(points)
    best, best_value = np.zeros(len(points), dtype=np.int32), least
    for labels in _cuts(distances, most):
        if np.bincount(labels).min() < 2:  # a group of one excerpt is not a meaning
            continue
        value = silhouette(distances, labels)
        if value > best_value:
            best, best_value = labels, value
    return best


def _cuts(distances: Distances, most: int) -> Iterator[Int32s]:
    """The labels at each number of groups from ``most`` down to 2, or from half the number of points."""
    n = len(distances)
    most = min(most, n // 2)
    if most < 2:
        return
    # Imported late: 20 MB of every process, and only prompts that group by meaning need it.
    from scipy.cluster.hierarchy import linkage
    from scipy.spatial.distance import squareform

    tree = linkage(squareform(distances, checks=False), method="average")
    groups = np.arange(n, dtype=np.int32)
    # Walks the tree in scipy's joining order; scipy's cut_tree gives the same labels in a hundred times the time.
    for n_joined, (one, other) in enumerate(tree[: n - 2, :2], start=1):
        groups[(groups == one) | (groups == other)] = n - 1 + n_joined
        if n - n_joined <= most:
            yield _by_appearance(groups)


def silhouette(distances: Distances, labels: Int32s) -> float:
    """Mean over points of (b - a) / max(a, b), -1..1.

    a is a point's mean distance to the others of its group, b that to the nearest other group. A
    point alone in its group counts 0. ``distances`` [N, N], ``labels`` [N] with two groups or
    more. Source: Rousseeuw (1987).
    """
    groups = np.stack([labels == label for label in np.unique(labels)])  # [G, N]
    sums = distances @ groups.T  # [N, G]
    own = groups.T
    sizes = groups.sum(axis=1)
    own_size = sizes @ own.T
    a = np.where(own_size > 1, (sums * own).sum(axis=1) / np.maximum(own_size - 1, 1), 0.0)
    b = np.where(own, np.inf, sums / sizes).min(axis=1)
    larger = np.maximum(a, b)
    values = np.divide(b - a, larger, out=np.zeros(len(labels)), where=(larger > 0) & (own_size > 1))
    return float(values.mean())


def _by_appearance(labels: Int32s) -> Int32s:
    """The labels renumbered by first appearance: 0 is the group of the first point, 1 the next new group, ..."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    order = np.argsort(np.argsort(first))
    return order[inverse].astype(np.int32)
