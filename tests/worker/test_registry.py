from collections.abc import Iterable
from dataclasses import replace
from inspect import signature
from typing import Any

import pytest

from app.domain.methods import LEXICAL, MethodDefinition
from app.domain.steps import catalogue
from app.errors import MethodError
from tests.fake_provider import FakeProvider
from tests.worker.test_loaded_subjects import Subject
from worker.method import registry
from worker.method.contracts import Services
from worker.method.registry import build_method

SIMULATOR = registry.SIMULATORS["lexical"].build({}, Services())
INNER = registry.EXPLAINERS["highlighted"].build({}, Services(provider=FakeProvider()))
ALL_SERVICES = Services(provider=FakeProvider(), subject=Subject("tiny"), simulator=SIMULATOR, inner=INNER)


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


NESTED = {"explainer": "highlighted", "explainer_parameters": {"tempo": 1}}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (replace(LEXICAL, parameters={"seeds": 1}), r"The method has no parameter 'seeds'; it has: .*seed, simulator"),
        (replace(LEXICAL, parameters={"explainer": {"n": 4}}), r"explainer lexical has no parameter 'n'; it has: none"),
        (replace(LEXICAL, parameters={"explainer": "n"}), r"explainer lexical must be a mapping .* not 'n'"),
        (replace(LEXICAL, parameters={"explainer": None}), r"explainer lexical must be a mapping"),
        (
            replace(LEXICAL, explainer="best_of_n", parameters={"explainer": {"m": 4}}),
            r"explainer best_of_n has no parameter 'm'; it has: explainer, explainer_parameters, n",
        ),
        (
            replace(LEXICAL, explainer="best_of_n", parameters={"explainer": NESTED}),
            r"explainer highlighted has no parameter 'tempo'; it has: max_tokens, seed, temperature",
        ),
        (
            replace(LEXICAL, simulator="all_at_once", parameters={"simulator": {"temperature": 1}}),
            r"simulator all_at_once has no parameter 'temperature'; it has: none",
        ),
        (
            replace(LEXICAL, parameters={"scorers": {"correlation": {"sample": "top"}}}),
            r"scorer correlation has no parameter 'sample'; it has: samples",
        ),
        (
            replace(LEXICAL, parameters={"scorers": {"corelation": {}}}),
            r"choice of scorers has no parameter 'corelation'; it has: .*correlation",
        ),
    ],
)
def test_an_unknown_parameter_names_those_that_exist(changed: MethodDefinition, message: str) -> None:
    with pytest.raises(MethodError, match=message):
        build_method(changed, Services(provider=FakeProvider()))


class Asked(dict[str, Any]):
    """Parameters that note by which names they were looked up."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def get(self, name: str, default: Any = None) -> Any:
        self.names.append(name)
        return default


@pytest.mark.parametrize("kind", ["EXPLAINERS", "SIMULATORS", "SCORERS"])
def test_the_catalogue_names_the_parameters_that_each_class_takes(kind: str) -> None:
    """A class takes them by name, or looks them up."""
    for name, step in getattr(registry, kind).items():
        taken = [p.name for p in signature(step.__init__).parameters.values() if p.default is not p.empty]
        if "parameters" in signature(step.__init__).parameters:
            asked = Asked()
            step.build(asked, ALL_SERVICES)
            taken += asked.names
        assert sorted(taken) == sorted(getattr(catalogue, kind)[name].parameters), name
