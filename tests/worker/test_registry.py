from collections.abc import Iterable
from dataclasses import replace

import pytest

from app.domain.methods import LEXICAL, MethodDefinition
from app.domain.steps import catalogue
from app.errors import MethodError
from tests.fake_provider import FakeProvider
from worker.method import registry
from worker.method.contracts import Services
from worker.method.registry import build_method


@pytest.mark.parametrize("kind", ["EXPLAINERS", "SIMULATORS", "CALIBRATIONS", "SCORERS"])
def test_the_catalogue_and_the_registry_name_the_same_steps(kind: str) -> None:
    known: Iterable[str] = getattr(catalogue, kind)
    built: Iterable[str] = getattr(registry, kind)
    assert set(built) == set(known)


def test_the_lexical_method_is_built() -> None:
    method = build_method(LEXICAL, Services())
    assert (method.explainer.name, method.simulator.name) == ("lexical", "lexical")
    assert [scorer.name for scorer in method.scorers] == list(LEXICAL.scorers)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (replace(LEXICAL, explainer="magic"), r"no explainer called 'magic'.*lexical"),
        (replace(LEXICAL, simulator="magic"), r"no simulator called 'magic'.*lexical"),
        (replace(LEXICAL, scorers=("magic",)), r"no scorer called 'magic'.*correlation"),
        (replace(LEXICAL, parameters={"baselines": ["magic"]}), r"no baseline called 'magic'.*shuffled"),
        (replace(LEXICAL, parameters={"calibration": "magic"}), r"no calibration called 'magic'.*linear"),
        (
            replace(LEXICAL, explainer="best_of_n", parameters={"explainer": {"explainer": "magic"}}),
            r"no explainer called 'magic'.*highlighted",
        ),
    ],
)
def test_an_unknown_step_names_those_that_exist(changed: MethodDefinition, message: str) -> None:
    with pytest.raises(MethodError, match=message):
        build_method(changed, Services())


@pytest.mark.parametrize("inner", ["lexical", "best_of_n", "revise", "per_meaning"])
def test_groups_can_only_be_explained_by_what_shows_chosen_records(inner: str) -> None:
    definition = replace(LEXICAL, explainer="per_meaning", parameters={"explainer": {"explainer": inner}})
    with pytest.raises(MethodError, match=f"per_meaning cannot build on {inner}"):
        build_method(definition, Services(provider=FakeProvider()))
