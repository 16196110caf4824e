import copy

import pytest

from tests.worker.test_providers_local import LINES, expected, scored, values_of
from tests.worker.tiny_models import KINDS, tiny_model, tiny_tokenizer
from worker.providers.local import LocalProvider


@pytest.mark.parametrize("kind", KINDS)
def test_scores_on_the_gpu_equal_those_on_the_processor(kind: str) -> None:
    requests = [scored(line) for line in LINES]
    moved = copy.deepcopy(tiny_model(kind))
    moved.to(device="cuda")  # type: ignore[call-arg]  # the library's wrapper hides the arguments of torch
    here = LocalProvider("tiny", kind, tiny_model(kind), tiny_tokenizer()).score_texts(requests)
    there = LocalProvider("tiny", kind, moved, tiny_tokenizer()).score_texts(requests)
    for one, other in zip(here, there, strict=True):
        assert expected(values_of(one)) == pytest.approx(expected(values_of(other)), abs=1e-3)
