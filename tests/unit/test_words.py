"""Enums of the domain in words, and what follows from them."""

from enum import StrEnum

import pytest

from app.domain.collections import CollectionStage
from app.domain.flags import FlagReason, FlagVerdict
from app.domain.language_models import Capability, Outcome
from app.domain.methods import BUILTIN_METHODS, simulator_name
from app.domain.searches import web_search
from app.domain.sites import SiteKind
from app.domain.tokens import Vocabulary
from app.domain.work import TRIAL, WARM_UP, WorkStatus


@pytest.mark.parametrize("words", [CollectionStage, FlagReason, FlagVerdict, Capability, SiteKind])
def test_every_word_has_a_label_of_its_own(words: type[StrEnum]) -> None:
    labels = [word.label for word in words]  # type: ignore[attr-defined]  # each of these enums has labels
    assert all(labels)
    assert len(set(labels)) == len(labels)


def test_storing_is_counted_in_layers_and_the_rest_in_tokens() -> None:
    assert {stage.unit for stage in CollectionStage if stage is not CollectionStage.STORE} == {"tokens"}
    assert CollectionStage.STORE.unit == "layers"


def test_work_is_active_or_ended_and_only_what_failed_may_be_retried() -> None:
    assert [s for s in WorkStatus if s.is_active] == [WorkStatus.QUEUED, WorkStatus.RUNNING]
    assert [s for s in WorkStatus if not s.is_active and not s.may_be_retried] == [WorkStatus.SUCCEEDED]


def test_a_task_has_the_address_of_the_page_that_shows_its_result() -> None:
    place = {"slug": "tiny", "layer": 1, "index": 7}
    assert TRIAL.result_address(5, place) == "/tiny/1/7/try?trial=5"
    assert WARM_UP.result_address(5, place) is None


def test_every_outcome_but_a_failure_was_answered() -> None:
    assert [outcome for outcome in Outcome if not outcome.is_answered] == [Outcome.FAILED]


def test_a_simulator_carries_its_calibration_in_its_name() -> None:
    assert simulator_name("structured", {"calibration": "linear"}) == "structured+linear"
    assert simulator_name("lexical", {}) == simulator_name("lexical", {"calibration": "none"}) == "lexical"
    assert {simulator_name(m.simulator, m.parameters) for m in BUILTIN_METHODS if m.provider is None} == {"lexical"}


@pytest.mark.parametrize(
    ("typed", "searched"),
    [("cats -dogs", "cats -dogs"), ('-"old dogs"', '-"old dogs"'), ("a - b", "a   b"), ("-" * 40, " " * 40)],
)
def test_a_minus_stays_where_it_excludes_something(typed: str, searched: str) -> None:
    assert web_search(typed) == searched


def test_a_character_split_over_tokens_is_whole_in_the_text_alone() -> None:
    vocabulary = Vocabulary("bytes", (b"caf", b"\xc3", b"\xa9"))
    assert len(vocabulary) == 3
    assert vocabulary.text([0, 1, 2]) == "café"
    assert vocabulary.strings([0, 1, 2]) == ["caf", "\ufffd", "\ufffd"]
