"""A stage per test: its own database, with neurons and a method whose work the test chooses."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.reliability.fleet import Stage

MakeStage = Callable[..., Stage]


@pytest.fixture
def stage(fresh_database: str) -> Iterator[MakeStage]:
    """Builds the test's stage; closed at its end."""
    with ExitStack() as stack:

        def make(n_neurons: int, **parameters: object) -> Stage:
            built = Stage(fresh_database, n_neurons=n_neurons, parameters=parameters)
            stack.callback(built.close)
            return built

        yield make
