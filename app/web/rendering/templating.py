"""Pages from templates, and the ``.json`` twin of every page.

A page is a function that returns a frozen dataclass. ``page`` registers it twice: as JSON, documented
in OpenAPI by that dataclass, and as HTML, where the template of that dataclass's name shows it:
``home/page.html`` shows a ``HomePage``. In a template the dataclass is ``page``, and ``frame`` is what
every page shares.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar, cast
from urllib.parse import quote, unquote

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context

from app.domain import bounds
from app.domain.glossary import GLOSSARY, term_of_score
from app.domain.roles import Permission, may
from app.home import files
from app.localization.catalogues import translations
from app.localization.languages import Language
from app.localization.validity import noted_validity
from app.queries.people.accounts import Viewer
from app.version import code_version
from app.web.deps import CurrentViewer
from app.web.http.security import PRIVATE
from app.web.http.static import static_url
from app.web.http.unchanged import IS_VISIT, KEPT_ENDPOINTS, limit_validity
from app.web.http.visits import VISITS_COOKIE, Visit, read_visits, remember_visit
from app.web.rendering.charts import against_table, score_rows, stacked_bar
from app.web.rendering.enums import TEMPLATE_ENUMS
from app.web.rendering.filters import filters_of
from app.web.rendering.pictures import roc_curve, share_bar
from app.web.rendering.plots import grid_plot, histogram_rows
from app.web.rendering.problem import Problem
from app.web.rendering.signs import shown
from app.web.rendering.svg import activation_histogram, score_axis, score_range

TEMPLATES = files("templates")

PROBLEM_STATUSES: tuple[int | str, ...] = (401, 403, 404, 409, 422, 503)
"""Statuses of the errors that any page may respond with."""
PROBLEMS: dict[int | str, dict[str, Any]] = {status: {"model": Problem} for status in PROBLEM_STATUSES}
"""The error responses in the API's document."""

TOLD_COOKIE = "neuron_audit_told"
TOLD_SECONDS = 60
LONGEST_TOLD = 300

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Frame:
    """The data that every page shares: its viewer and its address."""

    viewer: Viewer | None
    path: str
    json_path: str | None
    version: str
    slug: str | None
    """The subject of the page; None on pages about no single subject."""
    url: str
    """The page's full URL, for printing."""
    origin: str
    """The address under which browsers reach the site, without a trailing slash."""
    here: str = "/"
    """The page's path with its query, for links that return to it."""
    told: str = ""
    """A message about what was just done, shown once."""

    def may(self, permission: str) -> bool:
        """Whether the viewer may do this. Raises ValueError for an unknown permission."""
        wanted = Permission(permission)
        return self.viewer.may(wanted) if self.viewer is not None else may(None, wanted)


class Renderer:
    """Compiles templates once per language and renders them with their context."""

    def __init__(self) -> None:
        self.environments = {language: _environment(language) for language in Language}

    def render(
        self, template: str, context: object, frame: Frame | None = None, *, language: Language = Language.ENGLISH
    ) -> str:
        """The text of a template, which sees its context as ``page``. Documents have no ``frame``."""
        return self.environments[language].get_template(template).render(page=context, frame=frame, language=language)


def _environment(language: Language) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        finalize=shown,
        extensions=["jinja2.ext.i18n"],
    )
    environment.globals.update(
        bounds=bounds,
        glossary=GLOSSARY,
        term_of_score=term_of_score,
        static=static_url,
        score_rows=score_rows,
        against_table=against_table,
        grid_plot=grid_plot,
        histogram_rows=histogram_rows,
        activation_histogram=activation_histogram,
        score_axis=score_axis,
        score_range=score_range,
        stacked_bar=stacked_bar,
        share_bar=share_bar,
        roc_curve=roc_curve,
        **TEMPLATE_ENUMS,
    )
    environment.filters.update(filters_of(language))
    sentences = translations(language)
    environment.filters["translated"] = sentences.gettext  # of a sentence that the domain has marked, as it is
    environment.install_gettext_callables(  # type: ignore[attr-defined]  # added by the extension when it is loaded
        sentences.gettext, sentences.ngettext, newstyle=True, pgettext=sentences.pgettext, npgettext=sentences.npgettext
    )
    for name in ("gettext", "ngettext", "pgettext", "npgettext"):
        environment.globals[name] = _with_signs_in(environment.globals[name])
    return environment


def _with_signs_in(translated: Any) -> Any:
    """A function of sentences whose variables are printed as ``shown`` prints them: what it returns is markup."""

    @pass_context
    def with_shown_variables(context: Context, *texts: object, **variables: object) -> object:
        return translated(context, *texts, **{name: shown(value) for name, value in variables.items()})

    return with_shown_variables


class View:
    """Renders templates for one request."""

    def __init__(self, request: Request, viewer: Viewer | None) -> None:
        self.request = request
        self.viewer = viewer
        self._visit: Visit | None = None

    def remember(self, visit: Visit) -> None:
        """Store the visited neuron in the browser. Fragments, JSON and requests by programs are not visits."""
        if self.viewer is None or not self.viewer.by_program:
            self._visit = visit

    def changes_by_itself(self) -> None:
        """Record that the page shows work in progress, so that it is never reported as unchanged."""
        limit_validity(self.request.state, 0)

    @property
    def visits(self) -> tuple[Visit, ...]:
        """The neurons opened last in this browser."""
        return read_visits(self.request.cookies.get(VISITS_COOKIE))

    @property
    def wants_part(self) -> bool:
        """Whether htmx requests a fragment rather than a page."""
        headers = self.request.headers
        return headers.get("hx-request") == "true" and headers.get("hx-request-type") != "full"

    def moved(self, address: str, *, told: str = "") -> Response:
        """A redirect after something was changed, which htmx follows as a browser does.

        ``told`` says what was done; the next page shows it once.
        """
        response: Response = RedirectResponse(address, status_code=303)
        if self.wants_part:
            response = Response(status_code=204, headers={"HX-Redirect": address})
        if told:
            response.set_cookie(TOLD_COOKIE, quote(told), max_age=TOLD_SECONDS, httponly=True, samesite="lax")
        return response

    def html(
        self, template: str, context: object, *, status: int = 200, twin: str | None = None, **headers: str
    ) -> HTMLResponse:
        """The response that shows ``context`` through ``template``."""
        request = self.request
        frame = Frame(
            viewer=self.viewer,
            path=request.url.path,
            json_path=twin,
            version=code_version(),
            slug=request.path_params.get("slug"),
            url=str(request.url.remove_query_params("token")),
            origin=(request.app.state.settings.public_url or str(request.base_url)).rstrip("/"),
            here=_here(request),
            told="" if self.wants_part else unquote(request.cookies.get(TOLD_COOKIE, ""))[:LONGEST_TOLD],
        )
        renderer = cast("Renderer", self.request.app.state.renderer)
        # Pages differ by viewer, and fragments from pages.
        common = {"Vary": "HX-Request, Cookie, Authorization", "Cache-Control": PRIVATE}
        with noted_validity() as validity:
            content = renderer.render(template, context, frame)
        limit_validity(request.state, validity.until)
        response = HTMLResponse(
            content,
            status_code=status,
            headers=common | {name.replace("_", "-"): value for name, value in headers.items()},
        )
        if frame.told:
            response.delete_cookie(TOLD_COOKIE, httponly=True, samesite="lax")
        if self._visit is not None and not self.wants_part:
            remember_visit(response, request.cookies.get(VISITS_COOKIE), self._visit)
            setattr(request.state, IS_VISIT, True)
        return response


async def current_view(request: Request, viewer: CurrentViewer) -> View:
    """The view of this request."""
    return View(request, viewer)


CurrentView = Annotated[View, Depends(current_view, scope="function")]


def _here(request: Request) -> str:
    path = request.url.path
    return f"{path}?{request.url.query}" if request.url.query else path


def page(
    router: APIRouter,
    path: str,
    *,
    template: str,
    partial: str | None = None,
    twin: str | None = None,
    is_kept: bool = False,
) -> Callable[[Function], Function]:
    """Register a function as the page at ``path`` and as the JSON at ``path.json`` (or ``twin``).

    ``partial`` is the template that is rendered alone when htmx requests it; it has the same context. ``is_kept`` says
    that the page shows nothing but what the database's version counts: it is not made again while that is the same.
    """

    def register(function: Function) -> Function:
        context_type = inspect.signature(function, eval_str=True).return_annotation
        as_html = _as_html(function, template, partial, twin)
        if is_kept:
            KEPT_ENDPOINTS.update((function, as_html))
        router.add_api_route(
            twin or f"{path}.json",
            function,
            methods=["GET"],
            response_model=context_type,
            responses=PROBLEMS,
            name=f"{function.__name__}_json",
        )
        router.add_api_route(twin or f"{path}.json", function, methods=["HEAD"], include_in_schema=False)
        router.add_api_route(
            path,
            as_html,
            methods=["GET", "HEAD"],
            include_in_schema=False,
            response_class=HTMLResponse,
            name=function.__name__,
        )
        return function

    return register


def _as_html(
    function: Callable[..., Any], template: str, partial: str | None, twin: str | None
) -> Callable[..., HTMLResponse]:
    """A route that renders what the function returns. It takes the function's arguments, and the view."""

    def rendered(page_view: View, **arguments: Any) -> HTMLResponse:
        context = function(**arguments)
        chosen = partial if partial is not None and page_view.wants_part else template
        return page_view.html(chosen, context, twin=_twin_address(page_view.request, twin))

    signature = inspect.signature(function, eval_str=True)
    view = inspect.Parameter("page_view", inspect.Parameter.KEYWORD_ONLY, annotation=CurrentView)
    keyword_only = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in signature.parameters.values()]
    rendered.__signature__ = signature.replace(  # type: ignore[attr-defined]  # functions carry it, typeshed does not know
        parameters=[*keyword_only, view], return_annotation=HTMLResponse
    )
    rendered.__name__ = function.__name__
    return rendered


def _twin_address(request: Request, twin: str | None) -> str:
    path = twin or f"{request.url.path}.json"
    return f"{path}?{request.url.query}" if request.url.query else path
