"""Tests that need a GPU are deselected where there is none, so that none passes without having run."""

from pathlib import Path

import pytest
import torch

HERE = Path(__file__).parent


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    here = [item for item in items if HERE in item.path.parents]
    for item in here:
        item.add_marker(pytest.mark.gpu)
    if not torch.cuda.is_available() and here:
        config.hook.pytest_deselected(items=here)
        items[:] = [item for item in items if item not in here]
