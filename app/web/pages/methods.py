"""Methods: what each has done, and two of them on the neurons that both explained."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Query

from app.domain.bounds import BIGGEST_ID, LONGEST_FIELD
from app.domain.methods import MethodDefinition
from app.domain.steps.catalogue import UnknownStep
from app.domain.steps.method import MethodSteps, steps_of
from app.domain.steps.spec import StepKind
from app.errors import Invalid
from app.queries.methods.comparison import Comparison, compare_methods
from app.queries.methods.definitions import UsableMethods
from app.queries.methods.figures import MethodFigures, figures_of, method_figures
from app.queries.methods.page import methods_with_use
from app.web.deps import DbSession, IdInPath
from app.web.http.routing import PageRouter
from app.web.measured.truth import MeasuredTruth, measured_truth
from app.web.provenance.prompt_files import PromptShown, prompt_files
from app.web.rendering.templating import page

router = PageRouter()


@dataclass(frozen=True, slots=True)
class MethodListed:
    """A version of a method with what it does in a sentence."""

    method: MethodFigures
    sentence: str


@dataclass(frozen=True, slots=True)
class MethodsPage:
    """Methods that can be queued now, the rest by what they need, and what their scorers detect."""

    usable: tuple[MethodListed, ...]
    needing: dict[str, tuple[MethodListed, ...]]
    """Methods by what they lack, in words."""
    truth: MeasuredTruth


@dataclass(frozen=True, slots=True)
class StepShown:
    """A step of a method, by the catalogue."""

    kind: StepKind
    name: str
    label: str
    description: str
    blind_spot: str
    needs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MethodsMethod:
    """One version of a method, with those it can be compared with.

    ``unknown`` names its steps that this version of the program lacks; then there are no steps to show.
    """

    method: MethodFigures
    steps: tuple[StepShown, ...]
    unknown: str | None
    prompts: tuple[PromptShown, ...]
    others: tuple[MethodFigures, ...]


@dataclass(frozen=True, slots=True)
class MethodsCompare:
    """Two methods on the neurons that both have explained."""

    first: MethodFigures
    second: MethodFigures
    comparison: Comparison
    cell: str
    """The cell of the plot whose pairs are listed; empty for those furthest apart."""

    @property
    def address(self) -> str:
        """The page without a chosen cell."""
        return f"/methods/compare?first={self.first.id}&second={self.second.id}"

    @property
    def simulators_differ(self) -> bool:
        """Whether the difference may come from the simulators rather than from the texts."""
        return len(set(self.simulators)) > 1

    @property
    def simulators(self) -> tuple[str | None, str | None]:
        """The simulators of the scores that are compared, the first method's first."""
        if self.comparison.is_whole_corpus:
            return self.first.whole_corpus.simulator, self.second.whole_corpus.simulator
        return self.first.simulator_name, self.second.simulator_name


@page(router, "/methods", template="methods/page.html", is_kept=True)
def methods(session: DbSession) -> MethodsPage:
    """What each method has done."""
    able, figures = methods_with_use(session)
    usable, needing = list[MethodListed](), dict[str, list[MethodListed]]()
    for found in figures:
        listed = MethodListed(found, _sentence(found))
        if found.id in able.ids:
            usable.append(listed)
        else:
            needing.setdefault(_missing(found, able), []).append(listed)
    usable.sort(key=lambda each: (each.method.provider is not None, each.method.name))
    return MethodsPage(tuple(usable), {need: tuple(own) for need, own in needing.items()}, measured_truth())


@page(router, "/methods/compare", template="methods/compare.html", is_kept=True)
def compare(
    session: DbSession,
    *,
    first: Annotated[int, Query(ge=1, le=BIGGEST_ID)],
    second: Annotated[int, Query(ge=1, le=BIGGEST_ID)],
    cell: Annotated[str, Query(max_length=LONGEST_FIELD, pattern=r"^(\d{1,2}-\d{1,2})?$")] = "",
) -> MethodsCompare:
    """The paired difference of two methods; ``cell``, like 3-5, lists the pairs of that cell of the plot."""
    if first == second:
        raise Invalid("Choose two different methods to compare.")
    x, _, y = cell.partition("-")
    chosen = (int(x), int(y)) if cell else None
    known = method_figures(session)
    one, other = figures_of(known, first), figures_of(known, second)
    return MethodsCompare(one, other, compare_methods(session, first=one, second=other, cell=chosen), cell)


@page(router, "/methods/{method_id}", template="methods/method.html", is_kept=True)
def method(session: DbSession, method_id: IdInPath) -> MethodsMethod:
    """One version of a method: its steps, its parameters, its use."""
    figures = method_figures(session)
    shown = figures_of(figures, method_id)
    others = tuple(m for m in figures if m.id != method_id and m.headline.n)
    try:
        steps = steps_of(_definition(shown))
    except UnknownStep as error:
        return MethodsMethod(shown, (), str(error), (), others)
    return MethodsMethod(shown, _shown(steps), None, prompt_files(steps.prompts), others)


def _steps(figures: MethodFigures) -> MethodSteps | None:
    """The steps of a method; None where this version of the program lacks one of them."""
    try:
        return steps_of(_definition(figures))
    except UnknownStep:
        return None


def _definition(figures: MethodFigures) -> MethodDefinition:
    return MethodDefinition(
        name=figures.name,
        version=figures.version,
        label=figures.label,
        explainer=figures.explainer,
        simulator=figures.simulator,
        scorers=figures.scorers,
        provider=figures.provider,
        parameters=figures.parameters,
    )


def _sentence(figures: MethodFigures) -> str:
    steps = _steps(figures)
    return figures.label if steps is None else steps.explainer.spec.description


def _missing(figures: MethodFigures, able: UsableMethods) -> str:
    """What has to be there before the method can be queued."""
    steps = _steps(figures)
    if steps is None:
        return "Another version of the program, which knows their steps"
    if figures.name in able.names:
        return "Nothing: newer versions of them are used"
    if figures.provider not in able.providers:
        return f"A language model named “{figures.provider}”: neuron-audit provider add {figures.provider}"
    lacking = sorted(c.label for c in steps.capabilities)
    return f"A language model with {' and '.join(lacking)}: “{figures.provider}” was probed and lacks some of it"


def _shown(steps: MethodSteps) -> tuple[StepShown, ...]:
    return tuple(StepShown(s.kind, s.name, s.label, s.description, s.blind_spot, s.needs) for s in steps.specs)
