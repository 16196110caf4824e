from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from app.domain.standing import SCORE_2023, ScoreName, shown_first, simulator_of_most, standing_score, standing_texts

DETECTION = ScoreName("detection", "top_and_random")


@dataclass(frozen=True)
class Score:
    """A score in a story; its simulator may be left out."""

    value: float
    simulator: str | None = "lexical"
    scorer: str = "correlation"
    sample: str = "top_and_random"


@dataclass(frozen=True)
class Text:
    """An explanation in a story."""

    id: int
    method_id: int | None = None
    rank: int = 0
    collection_id: int | None = 1
    value: float | None = 0.5
    is_rejected: bool = False


def is_scored(text: Text) -> bool:
    return text.value is not None


scores = st.lists(st.builds(Score, st.floats(-1, 1), st.sampled_from(["lexical", "structured", None])), max_size=8)
texts = st.lists(
    st.builds(
        Text,
        st.integers(1, 1000),
        st.sampled_from([None, 1, 2]),
        st.integers(0, 2),
        st.sampled_from([None, 1, 2]),
        st.sampled_from([None, 0.1, 0.9]),
    ),
    max_size=12,
    unique_by=lambda text: text.id,
)


def test_the_newest_score_of_the_methods_simulator_stands() -> None:
    found = [Score(0.9), Score(0.8, "structured"), Score(0.2), Score(0.7, "structured")]
    assert standing_score(found, SCORE_2023, made_by_method=True) == Score(0.2)


def test_a_persons_text_is_spoken_for_by_the_simulator_that_scored_it_last() -> None:
    found = [Score(0.9), Score(0.8, "structured"), Score(0.7, "structured"), Score(0.2)]
    assert standing_score(found, SCORE_2023, made_by_method=False) == Score(0.2)
    assert standing_score(found[:3], SCORE_2023, made_by_method=False) == Score(0.7, "structured")


def test_each_name_is_asked_for_by_itself() -> None:
    found = [Score(0.6, None, "detection"), Score(0.3), Score(0.5, None, "detection"), Score(0.4, sample="random")]
    assert standing_score(found, DETECTION, made_by_method=True) == Score(0.5, None, "detection")
    assert standing_score(found, SCORE_2023, made_by_method=True) == Score(0.3)
    assert standing_score(found, ScoreName("fuzzing", "random"), made_by_method=True) is None


@given(scores, st.booleans())
def test_the_value_of_a_score_never_decides(found: list[Score], made_by_method: bool) -> None:
    """Turned upside down, the same scores are chosen."""
    chosen = standing_score(found, SCORE_2023, made_by_method=made_by_method)
    turned = [Score(-score.value, score.simulator) for score in found]
    again = standing_score(turned, SCORE_2023, made_by_method=made_by_method)
    assert (chosen is None) == (again is None) == (not found)
    assert chosen is None or again is None or again == Score(-chosen.value, chosen.simulator)


def test_of_a_run_its_first_candidate_speaks() -> None:
    best_of_two = [Text(1, method_id=1), Text(2, method_id=1, rank=1, value=0.9)]
    assert standing_texts(best_of_two, is_scored) == best_of_two[:1]


def test_a_repetition_never_takes_the_place_of_what_it_repeats() -> None:
    first, again = Text(1, method_id=1, value=0.2), Text(2, method_id=1, value=0.9)
    assert shown_first([first, again], is_scored) == first
    assert shown_first([first, again, Text(3, method_id=1, collection_id=2, value=0.1)], is_scored) == Text(
        3, method_id=1, collection_id=2, value=0.1
    )


def test_a_run_without_a_score_is_stood_for_by_the_next_that_has_one() -> None:
    runs = [Text(1, method_id=1, value=None), Text(2, method_id=1, value=0.3), Text(3, method_id=1, value=0.8)]
    assert standing_texts(runs, is_scored) == [runs[1]]
    assert standing_texts(runs[:1], is_scored) == runs[:1]


def test_a_newer_method_and_a_newer_person_come_first_whatever_they_score() -> None:
    method, newer = Text(1, method_id=1, value=0.9), Text(2, method_id=2, value=0.1)
    assert shown_first([method, newer], is_scored) == newer
    assert shown_first([method, newer, Text(3, value=0.0)], is_scored) == Text(3, value=0.0)


def test_what_has_no_score_waits_behind_what_has_one() -> None:
    scored, unscored = Text(1, value=0.1), Text(2, value=None)
    assert shown_first([scored, unscored], is_scored) == scored
    assert shown_first([unscored], is_scored) == unscored
    assert shown_first([], is_scored) is None


@given(texts)
def test_of_every_method_and_collection_one_run_stands(found: list[Text]) -> None:
    standing = standing_texts(found, is_scored)
    of_methods = [(text.method_id, text.collection_id) for text in standing if text.method_id is not None]
    assert len(set(of_methods)) == len(of_methods)
    assert all(text.rank == 0 for text in standing)
    assert {(t.method_id, t.collection_id) for t in found if t.method_id is not None and t.rank == 0} == set(of_methods)


@given(texts, st.integers(1, 5))
def test_no_number_of_repetitions_changes_what_is_shown(found: list[Text], n: int) -> None:
    before = shown_first(found, is_scored)
    if before is None or before.method_id is None or not is_scored(before):
        return
    repeated = [Text(2000 + i, before.method_id, 0, before.collection_id, 0.99) for i in range(n)]
    assert shown_first([*found, *repeated], is_scored) == before


def test_a_method_is_represented_by_the_simulator_of_most_neurons_whatever_they_score() -> None:
    assert simulator_of_most({"b": 3, "a": 3, "c": 1}) == "a"
    assert simulator_of_most({None: 2, "a": 1}) is None
    assert simulator_of_most({}) is None
