"""Methods: what each has done, and two of them on the neurons that both explained."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Path, Query

from app.domain.prompts import prompts_of
from app.errors import Invalid
from app.queries.common.inputs import BIGGEST_ID
from app.queries.methods.figures import Comparison, MethodFigures, compare_methods, method_figures
from app.web.deps import DbSession
from app.web.provenance.prompt_files import PromptShown, prompt_files
from app.web.rendering.templating import page

router = APIRouter()

MethodId = Annotated[int, Path(ge=1, le=BIGGEST_ID)]


@dataclass(frozen=True, slots=True)
class MethodsPage:
    """Every version of every method."""

    methods: tuple[MethodFigures, ...]


@dataclass(frozen=True, slots=True)
class MethodsMethod:
    """One version of a method, with those it can be compared with."""

    method: MethodFigures
    prompts: tuple[PromptShown, ...]
    others: tuple[MethodFigures, ...]


@dataclass(frozen=True, slots=True)
class MethodsCompare:
    """Two methods on the neurons that both have explained."""

    first: MethodFigures
    second: MethodFigures
    comparison: Comparison

    @property
    def simulators_differ(self) -> bool:
        """Whether the difference may come from the simulators rather than from the texts."""
        return self.first.simulator != self.second.simulator


@page(router, "/methods", template="methods/page.html")
def methods(session: DbSession) -> MethodsPage:
    """What each method has done."""
    return MethodsPage(tuple(method_figures(session)))


@page(router, "/methods/compare", template="methods/compare.html")
def compare(
    session: DbSession,
    *,
    first: Annotated[int, Query(ge=1, le=BIGGEST_ID)],
    second: Annotated[int, Query(ge=1, le=BIGGEST_ID)],
) -> MethodsCompare:
    """The paired difference of two methods."""
    if first == second:
        raise Invalid("Choose two different methods to compare.")
    return MethodsCompare(
        first=method_figures(session, method_id=first)[0],
        second=method_figures(session, method_id=second)[0],
        comparison=compare_methods(session, first_id=first, second_id=second),
    )


@page(router, "/methods/{method_id}", template="methods/method.html")
def method(session: DbSession, method_id: MethodId) -> MethodsMethod:
    """One version of a method: its steps, its parameters, its use."""
    figures = method_figures(session)
    shown = method_figures(session, method_id=method_id)[0]
    prompts = prompts_of(shown.explainer, shown.simulator, shown.scorers, shown.parameters)
    return MethodsMethod(shown, prompt_files(prompts), tuple(m for m in figures if m.id != method_id and m.n_scored))
