import numpy as np
import pytest

from app.domain.tokens import Vocabulary
from worker.method.contracts import CannotSimulate
from worker.simulators.lexical import LexicalSimulator

VOCABULARY = Vocabulary("words", (b"import", b" os", b"\n", b" cat"))
EXCERPTS = [(11, np.array([0, 1, 2], dtype=np.int32)), (12, np.array([3, 0], dtype=np.int32))]


def test_every_excerpt_gets_one_expectation_per_token_in_order() -> None:
    first, second = LexicalSimulator().simulate('strongly on "import", weakly on " cat"', EXCERPTS, VOCABULARY)
    assert (first.excerpt_id, second.excerpt_id) == (11, 12)
    assert first.expected is not None
    assert second.expected is not None
    assert first.expected.tolist() == [9, 0, 0]
    assert second.expected.tolist() == [3, 9]


def test_no_excerpts_give_no_simulations() -> None:
    assert LexicalSimulator().simulate('"import"', [], VOCABULARY) == ()


@pytest.mark.parametrize("text", ["", "references to the law", "words related to sports"])
def test_a_text_without_a_claim_cannot_be_simulated_and_says_what_to_write(text: str) -> None:
    with pytest.raises(CannotSimulate, match="Quote the tokens"):
        LexicalSimulator().simulate(text, EXCERPTS, VOCABULARY)


def test_a_text_that_only_denies_cannot_be_simulated() -> None:
    with pytest.raises(CannotSimulate, match="does not fire"):
        LexicalSimulator().simulate('not on "import"', EXCERPTS, VOCABULARY)


def test_a_claim_that_matches_nothing_is_a_prediction_of_silence() -> None:
    (first, _) = LexicalSimulator().simulate('"quotation"', EXCERPTS, VOCABULARY)
    assert first.expected is not None
    assert not first.expected.any()
