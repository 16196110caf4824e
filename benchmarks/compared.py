"""A page's processor time relative to a static file of the same size: made, sent from the cache, answered 304.

Making and sending are measured apart. Every server has made the page before it is sent again, and what a making costs
is compared with two files of the same bytes: ours, from memory, and the same through Starlette's ``StaticFiles``, from
disk, which is what files cost when the targets were set.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import httpx

from benchmarks.disk_server import FROM_DISK
from benchmarks.figures import Figures, held_to, reported
from benchmarks.load import Addresses, Load, Server, measure_load, same_bytes

AGAIN, UNCHANGED = 3.0, 1.2
"""Targets: the cost of a cached page relative to a file, and of its 304 relative to the file's 304."""
BEHIND_A_PROXY = {"Host": "localhost"}
"""A host name that all servers share, since a page's ETag depends on it."""


@dataclass(frozen=True, slots=True)
class StaticTimes:
    """A static file of the same bytes, from memory and from disk."""

    memory: Load
    disk: Load


def measure_files(origins: Sequence[Server], files: Mapping[int, str], size: int, *, n_requests: int) -> StaticTimes:
    """Files of at least ``size`` bytes, under the same clients."""
    path = same_bytes(files, size)
    return StaticTimes(
        *(
            measure_load(origins, _always(each), n_requests=n_requests)
            for each in (path, path.replace("/static", FROM_DISK, 1))
        )
    )


def made_figures(name: str, page: Load, files: StaticTimes, most: float | None) -> Figures:
    """A page made anew for every request, relative to both files; ``most`` is the target, if there is one."""
    found = {}
    for kind, file in (("memory", files.memory), ("disk", files.disk)):
        ratio, unit = page.cpu_ms / file.cpu_ms, f"of its file's, from {kind}"
        shown = reported(ratio, unit) if most is None else held_to(ratio, unit, "<=", most)
        found[f"{name}, made anew, {kind}"] = shown
    return found


def measure_again(
    origins: Sequence[Server],
    path: str,
    files: Mapping[int, str],
    *,
    n_requests: int,
    headers: Mapping[str, str] | None = None,
) -> dict[str, float] | None:
    """``again`` and ``unchanged``, in times of the file's and of its 304; None for a page that is made each time."""
    own = {**BEHIND_A_PROXY, **(headers or {})}
    tag = _made_by_all(origins, path, own)
    if tag is None:
        return None
    again = measure_load(origins, _always(path), n_requests=n_requests, headers=own)
    unchanged = _unchanged(origins, path, tag, own, n_requests)
    file = same_bytes(files, again.largest)
    sent = measure_load(origins, _always(file), n_requests=2 * n_requests)
    file_tag = _made_by_all(origins, file, BEHIND_A_PROXY)
    file_unchanged = _unchanged(origins, file, str(file_tag), BEHIND_A_PROXY, 2 * n_requests)
    return {"again": again.cpu_ms / sent.cpu_ms, "unchanged": unchanged.cpu_ms / file_unchanged.cpu_ms}


def again_figures(name: str, found: Mapping[str, float] | None) -> Figures:
    """What ``measure_again`` has found; nothing for a page that is made each time."""
    if found is None:
        return {}
    return {
        f"{name}, sent again": held_to(found["again"], "of its file's, from memory", "<=", AGAIN),
        f"{name}, 304": held_to(found["unchanged"], "of its file's 304", "<=", UNCHANGED),
    }


def _made_by_all(origins: Sequence[Server], path: str, headers: Mapping[str, str]) -> str | None:
    """Let every server make the page; returns its ETag."""
    tag = None
    for origin in origins:
        for _ in range(2):
            sent = {"Accept-Encoding": "gzip", **headers}
            response = httpx.get(f"http://127.0.0.1:{origin.port}{path}", headers=sent, timeout=60)
            tag = response.raise_for_status().headers.get("etag")
    return tag


def _unchanged(origins: Sequence[Server], path: str, tag: str, headers: Mapping[str, str], n_requests: int) -> Load:
    sent = {**headers, "If-None-Match": tag}
    measure_load(origins, _always(path), n_requests=80, headers=sent)
    return measure_load(origins, _always(path), n_requests=n_requests, headers=sent)


def _always(path: str) -> Addresses:
    return lambda _: path
