"""Files of an HTTP server, by the layers and indices of neurons: several at a time, politely.

A server that has no file of a neuron leaves a gap, which is reported; a busy one is asked
again after the time that it names.
"""

import io
import re
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import TypeAlias

import httpx

from app.domain.bounds import BIGGEST_INDEX
from app.errors import Invalid, Unavailable
from app.formats.bounds import MEBIBYTE, MOST_MEMBERS
from app.formats.problems import ReadingProblem, Refuse, problem
from app.formats.records import Origin
from app.formats.sources.source import Position
from app.formats.streams import Entry, Stream

AT_ONCE = 8
"""Number of parallel requests."""
AHEAD = 32
"""Number of files that are fetched ahead."""
MOST_FETCHED_BYTES = 8 * MEBIBYTE
"""Of one file: as many as ``AHEAD`` are in memory. A neuron's has 0.1 MiB."""
ATTEMPTS = 6
LONGEST_WAIT_SECONDS = 60.0
_TIMEOUT = httpx.Timeout(30.0)
_BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})

PATHS = ("collated-activations/{layer}/{index}.json", "explanations/{layer}/{index}.jsonl")
"""The files of a neuron in OpenAI's public data."""

_Fetched: TypeAlias = "bytes | ReadingProblem"


def numbers_of(text: str, name: str) -> list[int]:
    """Whole numbers and ranges, such as ``0-3,7``. Raises Invalid for what is none."""
    found: list[int] = []
    for part in text.replace(" ", "").split(","):
        match = re.fullmatch(r"(\d{1,10})(?:-(\d{1,10}))?", part)
        if match is None:
            raise Invalid(f"{name} are written like 0-3,7 and not {text[:40]!r}.")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first or last > BIGGEST_INDEX or len(found) + last - first >= MOST_MEMBERS:
            raise Invalid(f"{name} are numbers in rising ranges, {MOST_MEMBERS:,} at most; {part!r} is none.")
        found.extend(range(first, last + 1))
    return list(dict.fromkeys(found))


@dataclass(slots=True)
class HttpFolder:
    """The files ``paths`` of every layer and index below a base address, in that order."""

    base: str
    layers: Sequence[int]
    indices: Sequence[int]
    paths: Sequence[str] = PATHS
    sleep: Callable[[float], None] = time.sleep
    _n_done: int = field(default=0, init=False)

    @property
    def name(self) -> str:
        return self.base

    @property
    def progress(self) -> float:
        n = len(self.layers) * len(self.indices) * len(self.paths)
        return self._n_done / n if n else 1.0

    def entries(self, refuse: Refuse, *, after: Position | None = None) -> Iterator[tuple[Position, Entry]]:
        """See ``Source``. Raises Unavailable where the server cannot be reached after several attempts."""
        skipped = 0 if after is None else after.ordinal
        names = enumerate(islice(self._names(), skipped, None), start=skipped + 1)
        waiting: deque[tuple[Position, Future[_Fetched]]] = deque()
        with closing(httpx.Client(timeout=_TIMEOUT)) as client, ThreadPoolExecutor(AT_ONCE) as pool:
            try:
                for ordinal, name in names:
                    waiting.append((Position(ordinal, name), pool.submit(self._fetch, client, name)))
                    if len(waiting) >= AHEAD:
                        yield from self._next(waiting, refuse)
                while waiting:
                    yield from self._next(waiting, refuse)
            finally:
                pool.shutdown(cancel_futures=True)

    def _names(self) -> Iterator[str]:
        for layer in self.layers:
            for index in self.indices:
                for path in self.paths:
                    yield path.format(layer=layer, index=index)

    def _next(
        self, waiting: "deque[tuple[Position, Future[_Fetched]]]", refuse: Refuse
    ) -> Iterator[tuple[Position, Entry]]:
        position, future = waiting.popleft()
        found = future.result()
        if isinstance(found, ReadingProblem):
            refuse(found)
        else:
            yield position, Entry(position.name, partial(_opened, found))
        self._n_done = position.ordinal

    def _fetch(self, client: httpx.Client, name: str) -> _Fetched:
        """The bytes of a file, or why there are none. Raises Unavailable."""
        reason = ""
        for attempt in range(ATTEMPTS):
            if attempt:
                self.sleep(min(LONGEST_WAIT_SECONDS, 0.5 * 2**attempt))
            try:
                with client.stream("GET", f"{self.base.rstrip('/')}/{name}") as response:
                    if response.status_code in _BUSY:
                        reason = f"it responds with {response.status_code}"
                        self.sleep(_asked_to_wait(response))
                        continue
                    return _content(response, name)
            except httpx.InvalidURL as error:
                raise Invalid(f"{self.base} is no HTTP address: {error}.") from error
            except httpx.HTTPError as error:
                reason = str(error) or type(error).__name__
        raise Unavailable(f"{self.base} cannot be reached: {reason}. Start the same import again later: it goes on.")


def _content(response: httpx.Response, name: str) -> _Fetched:
    origin = Origin(name)
    if response.status_code in (404, 410):
        gap = problem(origin, f"the server has no such file ({response.status_code})")
        return ReadingProblem(gap.file, gap.reason, is_gap=True)
    if response.status_code != httpx.codes.OK:
        return problem(origin, f"the server responds with {response.status_code}")
    content = bytearray()
    for part in response.iter_bytes(MEBIBYTE):
        content += part
        if len(content) > MOST_FETCHED_BYTES:
            return problem(origin, f"it has more than {MOST_FETCHED_BYTES // MEBIBYTE} MiB")
    return bytes(content)


def _asked_to_wait(response: httpx.Response) -> float:
    try:
        return min(LONGEST_WAIT_SECONDS, max(0.0, float(response.headers.get("retry-after", 0))))
    except ValueError:  # a date
        return 1.0


@contextmanager
def _opened(content: bytes) -> Iterator[Stream]:
    yield io.BytesIO(content)
