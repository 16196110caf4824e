from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module

import pytest

from app.domain.methods import LEXICAL
from app.errors import MethodError
from worker.method.contracts import Services
from worker.method.registry import EXPLAINERS, SCORERS, SIMULATORS, Entry, build_method


@pytest.mark.parametrize("entries", [EXPLAINERS, SIMULATORS, SCORERS])
def test_every_entry_leads_to_a_class_of_that_name(entries: Mapping[str, Entry]) -> None:
    for name, entry in entries.items():
        module, _, attribute = entry.path.partition(":")
        assert getattr(import_module(module), attribute).name == name


def test_the_lexical_method_is_built() -> None:
    method = build_method(LEXICAL, Services())
    assert (method.explainer.name, method.simulator.name) == ("lexical", "lexical")
    assert [scorer.name for scorer in method.scorers] == ["correlation"]


def test_an_unknown_step_names_those_that_exist() -> None:
    with pytest.raises(MethodError, match=r"no explainer called 'magic'.*lexical"):
        build_method(replace(LEXICAL, explainer="magic"), Services())
    with pytest.raises(MethodError, match=r"no simulator called 'magic'.*lexical"):
        build_method(replace(LEXICAL, simulator="magic"), Services())


def test_an_unknown_scorer_or_baseline_is_refused() -> None:
    with pytest.raises(MethodError, match="no scorer"):
        build_method(replace(LEXICAL, scorers=("magic",)), Services())
    with pytest.raises(MethodError, match="no baseline"):
        build_method(replace(LEXICAL, parameters={"baselines": ["magic"]}), Services())
