"""Error responses for people, scripts and fragments: the real status, never a traceback."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from http import HTTPStatus
from urllib.parse import urlencode, urlsplit, urlunsplit

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from sqlalchemy.exc import DataError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match, Route

from app.errors import DomainError, Invalid, LoginRequired, NotFound, Unavailable
from app.web.http.security import HEADERS, RETRY_AFTER, SAFE_METHODS
from app.web.rendering.addresses import local_path
from app.web.rendering.problem import Problem
from app.web.rendering.templating import View

METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")

log = structlog.stdlib.get_logger(__name__)

TITLES = {
    401: "Log in first",
    402: "The price cap is reached",
    403: "Your account may not do this",
    404: "There is nothing here",
    405: "This is no page",
    409: "This has changed in the meantime",
    413: "This is too much at once",
    422: "This cannot be used as it is",
    500: "Something went wrong",
    502: "The language model did not answer",
    503: "Not available at the moment",
}
"""Titles of error pages, by status."""
ADVICE = {
    401: "You come back to this page afterwards. If you were logged in, your session has ended.",
    402: "Raise the cap, or do less at once.",
    403: "Ask an administrator for another role, or go back.",
    404: "Check the address, or start again from the list of subjects.",
    405: "This address is reached from a form or a button on another page.",
    409: "Reload the page to see its current state.",
    413: "Send less at once.",
    422: "Go back, change what was sent, and try again.",
    500: "It has been logged with the number below. Going back and trying again may help.",
    503: "The database cannot be reached or is too slow. Reload this page in a moment.",
}


FOR_PROGRAMS = (".json", ".bin", "/health")
API = "/api/"
"""Ends and beginnings of addresses whose problems are JSON: programs read them."""


@dataclass(frozen=True, slots=True)
class ErrorsProblem:
    """The context of the error page."""

    problem: Problem
    back: str = ""
    """The page to return to after logging in."""

    @property
    def login(self) -> str:
        """Where to log in; nothing where that does not help."""
        return f"/login?{urlencode({'next': self.back})}" if self.problem.status == LoginRequired.status else ""


def install_handlers(app: FastAPI, routes: Sequence[BaseRoute]) -> None:
    """Make one function build the response to every kind of failure. ``routes`` are those of the included routers."""
    app.state.routes = [*(route for route in app.routes if isinstance(route, Route)), *routes]
    app.add_exception_handler(DomainError, _on_domain_error)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(DataError, _on_data_error)
    app.add_exception_handler(OperationalError, _on_database_away)
    app.add_exception_handler(PoolTimeout, _on_database_away)
    app.add_exception_handler(Exception, _on_any_error)


def problem_of(status: int, message: str, *, request_id: str | None = None) -> Problem:
    """A problem with the usual title and advice of its status."""
    title = TITLES.get(status, HTTPStatus(status).phrase)
    return Problem(status, title, message, ADVICE.get(status, ADVICE[422]), request_id)


def problem_response(request: Request, problem: Problem) -> Response:
    """The problem as JSON, as a fragment for htmx, or as a page, with Retry-After where it passes by itself."""
    response = _shown(request, problem)
    if problem.status == Unavailable.status:
        response.headers["Retry-After"] = RETRY_AFTER
    return response


def _shown(request: Request, problem: Problem) -> Response:
    if _is_by_a_program(request):
        return JSONResponse(asdict(problem), problem.status)
    # The viewer is not read from the database, which may be what failed.
    view = View(request, getattr(request.state, "viewer", None))
    context = ErrorsProblem(problem, _back(request))
    if view.wants_part:
        # The element that the request was to replace is unchanged; the message appears in the list of messages.
        return view.html(
            "errors/_problem.html", context, status=problem.status, HX_Retarget="#messages", HX_Reswap="innerHTML"
        )
    return view.html("errors/problem.html", context, status=problem.status)


def _is_by_a_program(request: Request) -> bool:
    """Whether a request is a program's, to be answered in JSON: by its address, its token, or what it accepts."""
    path, accepted = request.url.path, request.headers.get("accept", "")
    return (
        path.endswith(FOR_PROGRAMS)
        or path.startswith(API)
        or request.headers.get("authorization", "").lower().startswith("bearer ")
        or ("application/json" in accepted and "text/html" not in accepted)
    )


def _back(request: Request) -> str:
    """The page of the request, or for a form the page that holds it."""
    address = urlsplit(str(request.url) if request.method in SAFE_METHODS else request.headers.get("referer", ""))
    if address.netloc != request.url.netloc:
        return "/"
    return local_path(urlunsplit(("", "", address.path, address.query, "")))


def _on_domain_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, DomainError):
        raise error
    if isinstance(error, NotFound) and (allowed := _other_methods(request)):
        return _not_allowed(request, allowed)
    return problem_response(request, problem_of(error.status, error.message))


def _on_http_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        known = (error.headers or {}).get("Allow", "").split(",")  # of what is mounted, whose routes are its own
        return _not_allowed(request, _meant_methods(request) | {method.strip() for method in known if method.strip()})
    message = NotFound().message if error.status_code == NotFound.status else f"{error.detail}."
    response = problem_response(request, problem_of(error.status_code, message))
    response.headers.update(error.headers or {})
    return response


def _not_allowed(request: Request, allowed: set[str]) -> Response:
    phrase = HTTPStatus.METHOD_NOT_ALLOWED.phrase
    response = problem_response(request, problem_of(HTTPStatus.METHOD_NOT_ALLOWED, f"{phrase}."))
    response.headers["Allow"] = ", ".join(sorted(allowed))
    return response


def _other_methods(request: Request) -> set[str]:
    """The methods of the address where this request's method is not among them; empty where it is."""
    methods = _meant_methods(request)
    return set() if request.method in methods else methods


def _meant_methods(request: Request) -> set[str]:
    """The methods of the route with the fewest parameters, which is the one that the address is meant for.

    ``/logout`` also matches the address of a subject, ``/{slug}``, which is then not found.
    """
    routed = _routed(request)
    fewest = min(routed.values(), default=0)
    return {method for method, n_parameters in routed.items() if n_parameters == fewest}


def _routed(request: Request) -> dict[str, int]:
    """The HTTP methods that routes take at this path, each with the number of its route's path parameters.

    The router names the methods of the first matching route only.
    """
    found: dict[str, int] = {}
    for method in METHODS:
        for route in request.app.state.routes:
            match, matched = route.matches({**request.scope, "method": method, "path_params": {}})
            if match is Match.FULL:
                n_parameters = len(matched["path_params"])
                found[method] = min(n_parameters, found.get(method, n_parameters))
    return found


def _on_validation_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    # A path that does not fit is an address of nothing; a query or form is bad input.
    if all(e["loc"][:1] == ("path",) for e in error.errors()):
        if allowed := _other_methods(request):
            return _not_allowed(request, allowed)
        return problem_response(request, problem_of(404, NotFound().message))
    parts = "; ".join(f"{e['loc'][-1]}: {e['msg']}" for e in error.errors())
    return problem_response(request, problem_of(422, f"{Invalid().message} {parts}."))


def _on_data_error(request: Request, error: Exception) -> Response:
    log.warning("postgres refused a value", error=str(error).splitlines()[0])
    return problem_response(request, problem_of(422, Invalid().message))


def _on_database_away(request: Request, error: Exception) -> Response:
    """The database cannot be reached, is too slow, or all connections to it are taken."""
    log.error("database unreachable", error=str(error).splitlines()[0])
    return problem_response(request, problem_of(503, Unavailable().message))


def _on_any_error(request: Request, error: Exception) -> Response:
    request_id = request.scope.get("request_id")
    # the server logs the traceback; this line connects it with the request id that the person sees
    log.error("request failed", request_id=request_id, error=repr(error))
    response = problem_response(request, problem_of(500, "Something went wrong on the server.", request_id=request_id))
    response.headers.update(HEADERS)  # this handler runs outside the middleware that adds them
    return response
