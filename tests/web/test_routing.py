"""Addresses find their router by their first word."""

import pytest
from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from starlette.routing import Match
from starlette.types import Scope

from app.web.http.routing import PageRouter
from app.web.main import ROUTERS


def application(*routers: PageRouter) -> TestClient:
    app = FastAPI()
    for router in routers:
        app.include_router(router)
    return TestClient(app)


def router_of(*paths: str) -> PageRouter:
    router = PageRouter()
    for path in paths:
        router.add_api_route(path, endpoint=lambda: None, name=path)
    return router


FLAGS = router_of("/flags", "/flags.json", "/flags/{flag_id}")
FIRST = router_of("/", "/index.json")
SUBJECTS = router_of("/{slug}", "/{slug}/{layer}")


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("/", 200),
        ("/index.json", 200),
        ("/flags", 200),
        ("/flags.json", 200),
        ("/flags/7", 200),
        ("/flags/7/8", 404),
        ("/gpt2", 200),
        ("/flags.x", 200),  # a subject, whose name begins like a page's
        ("/gpt2/3", 200),
        ("/gpt2/3/4/5", 404),
    ],
)
def test_every_address_is_found(address: str, status: int) -> None:
    assert application(FIRST, FLAGS, SUBJECTS).get(address).status_code == status


def test_a_wrong_verb_is_told_from_an_unknown_address() -> None:
    assert application(FLAGS).post("/flags").status_code == 405


def test_the_first_words_are_those_of_the_routes() -> None:
    assert FLAGS.first_words == {"flags"}
    assert FIRST.first_words == {"", "index"}
    assert not SUBJECTS.first_words


def test_routes_are_not_looked_at_for_another_first_word(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at = []
    matches = APIRouter.matches

    def watched(self: APIRouter, scope: Scope) -> tuple[Match, Scope]:
        looked_at.append(self)
        return matches(self, scope)

    monkeypatch.setattr(APIRouter, "matches", watched)
    assert application(FIRST, FLAGS, SUBJECTS).get("/gpt2/3").status_code == 200
    assert {id(router) for router in looked_at} == {id(SUBJECTS)}


def test_a_module_of_pages_has_words_of_its_own_or_is_about_a_subject() -> None:
    assert all(isinstance(router, PageRouter) for router in ROUTERS)
    about_subjects = [router for router in ROUTERS if isinstance(router, PageRouter) and not router.first_words]
    for router in about_subjects:
        assert any(str(getattr(route, "path", "")).startswith("/{slug}") for route in router.routes)


PAGES_WITHOUT_JSON = {
    "/account", "/account/factor", "/login", "/login/openid/ended", "/people", "/providers", "/providers/new",
    "/providers/{provider_id}",
}  # fmt: skip
"""Those of accounts, passwords and keys."""
NO_PAGES = {
    "/",  # whose twin is /index.json
    "/go", "/searches/{key}", "/{slug}/random", "/search/random", "/login/openid", "/login/openid/callback",
    "/login/openid/end",
    "/health", "/{slug}/atlas.bin", "/{slug}/neurons.{format}", "/{slug}/{layer}/{index}/preview.png",
    "/exports/{task_id}", "/campaigns/{campaign_id}/report.pdf", "/campaigns/{campaign_id}/export/{table}.{format}",
    "/api/subjects/{slug}/neurons", "/api/subjects/{slug}/explanations", "/api/subjects/{slug}/scores",
}  # fmt: skip
"""What redirects, and what is no HTML."""


def test_every_page_but_those_of_accounts_and_keys_has_its_json() -> None:
    routes = [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]
    paths = {route.path for route in routes if "GET" in (route.methods or ())}
    without = {path for path in paths if f"{path}.json" not in paths and not path.endswith(".json")}
    assert without == PAGES_WITHOUT_JSON | NO_PAGES
    assert "/index.json" in paths
