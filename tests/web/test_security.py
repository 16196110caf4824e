import re
from datetime import UTC, datetime

import pytest
from fastapi import FastAPI
from sqlalchemy import Engine, func, select
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from app.db import Sessions
from app.models import LoginToken, Subject, WebSession
from app.queries.people.logins import LoginFailed, create_login_token, log_in
from app.settings import Settings
from app.web.deps import SESSION_COOKIE, DbSession
from app.web.http.security import CONTENT_SECURITY_POLICY
from app.web.http.static import digest
from app.web.main import create_app, say_how_to_log_in
from tests.factories import Make
from tests.queries import counted_queries
from tests.web.conftest import LogIn


@pytest.mark.parametrize(
    "path", ["/", "/index.json", "/nothing/here/at/all", "/static/css/tokens.css", "/openapi.json"]
)
def test_every_answer_carries_the_policy(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    assert headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-request-id"]


def test_the_policy_allows_nothing_inline_and_nothing_from_elsewhere() -> None:
    assert "default-src 'none'" in CONTENT_SECURITY_POLICY
    assert "unsafe" not in CONTENT_SECURITY_POLICY
    assert "http" not in CONTENT_SECURITY_POLICY


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_form_on_another_site_is_refused(client: TestClient, site: str) -> None:
    assert client.post("/logout", headers={"Sec-Fetch-Site": site}).status_code == 403


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://localhost", 303),
        ("http://evil.example", 403),
        ("https://localhost", 403),  # another scheme is another origin
        ("http://localhost:81", 403),
        ("null", 403),
        ("", 403),
        ("http://[", 403),
        ("http://[::1", 403),
        ("http://localhost@evil.example", 403),
        ("//localhost", 403),
        ("http://", 403),
    ],
)
def test_an_old_browser_is_judged_by_its_origin(client: TestClient, origin: str, status: int) -> None:
    assert client.post("/logout", headers={"Origin": origin}).status_code == status


def test_the_public_address_is_an_own_origin_and_an_own_name(sessions: Sessions) -> None:
    settings = Settings(public_url="https://audit.example.org")
    client = TestClient(create_app(settings, sessions), base_url="http://audit.example.org", follow_redirects=False)
    assert client.post("/logout", headers={"Origin": "https://audit.example.org"}).status_code == 303
    assert client.post("/logout", headers={"Origin": "https://other.example.org"}).status_code == 403


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "", "[::1"])
def test_a_name_that_is_not_ours_is_refused(client: TestClient, host: str) -> None:
    assert client.get("/", headers={"Host": host}).status_code == 421


@pytest.mark.parametrize("host", ["localhost:8250", "127.0.0.1:8250", "[::1]:8250", "192.168.1.5"])
def test_loopback_names_and_addresses_are_answered(client: TestClient, host: str) -> None:
    assert client.get("/", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("headers", [{}, {"Sec-Fetch-Site": "none"}, {"Sec-Purpose": "prefetch"}])
def test_reading_the_printed_address_uses_up_no_token(client: TestClient, make: Make, headers: dict[str, str]) -> None:
    token = create_login_token(make.session, account_id=make.account().id, minutes=5)
    make.session.flush()
    for method in ("GET", "HEAD"):
        answer = client.request(method, f"/login?token={token}", headers=headers)
        assert "set-cookie" not in answer.headers
    assert token in client.get(f"/login?token={token}").text
    assert client.post("/login", data={"token": token}).status_code == 303


def test_a_token_logs_in_once(client: TestClient, make: Make) -> None:
    token = create_login_token(make.session, account_id=make.account().id, minutes=5)
    make.session.flush()

    answer = client.post("/login", data={"token": token})

    assert answer.status_code == 303
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "alice" in client.get("/").text
    assert client.post("/login", data={"token": token}).status_code == 403


def test_over_https_the_cookie_is_secure(sessions: Sessions, make: Make) -> None:
    app = create_app(Settings(public_url="https://audit.example.org"), sessions)
    token = create_login_token(make.session, account_id=make.account().id, minutes=5)
    make.session.flush()
    client = TestClient(app, base_url="http://localhost", follow_redirects=False)
    answer = client.post("/login", data={"token": token})
    assert answer.headers["set-cookie"].startswith("__Host-neuron_audit_session=")
    assert "Secure" in answer.headers["set-cookie"]
    assert "Domain" not in answer.headers["set-cookie"]
    token = answer.cookies["__Host-neuron_audit_session"]
    for name, sees_account in (("__Host-neuron_audit_session", True), ("neuron_audit_session", False)):
        client.cookies.clear()
        shown = client.get("/account", headers={"Cookie": f"{name}={token}"})
        assert (shown.status_code == 200) is sees_account, name


def test_an_expired_token_is_refused(make: Make) -> None:
    token = create_login_token(make.session, account_id=make.account().id, minutes=-1)
    make.session.flush()
    with pytest.raises(LoginFailed):
        log_in(make.session, login_token=token, days=1)


def test_the_session_is_stored_hashed_and_ends_with_the_log_out(
    client: TestClient, make: Make, log_in_as: LogIn
) -> None:
    log_in_as("bob")
    token = client.cookies[SESSION_COOKIE]
    assert token not in make.session.scalars(select(WebSession.token_hash)).all()
    ended = client.post("/logout")
    assert ended.status_code == 303
    assert ended.headers["clear-site-data"] == '"cache"'  # nor does the back button show it
    assert make.session.scalar(select(func.count()).select_from(WebSession)) == 0


def test_a_site_without_accounts_logs_how_to_add_one(sessions: Sessions, make: Make) -> None:
    with capture_logs() as logs:
        say_how_to_log_in(sessions)
        make.account()
        say_how_to_log_in(sessions)
    assert [line["add_an_account"] for line in logs] == ["neuron-audit user add NAME --role administrator"]


@pytest.mark.parametrize(
    ("path", "status"),
    [("/%00", 404), ("/a%00b/0/0", 404), ("/?x=%00", 422), ("/tiny?words=%00", 422), ("/login?token=%00", 422)],
)
def test_a_nul_character_is_never_an_accident(client: TestClient, path: str, status: int) -> None:
    answer = client.get(path)
    assert answer.status_code == status
    assert 'class="problem"' in answer.text


def test_a_nul_character_in_a_token_is_only_a_wrong_token(client: TestClient) -> None:
    assert client.post("/login", data={"token": "\0"}).status_code == 403


def test_an_unknown_address_says_what_to_do_as_page_fragment_and_json(client: TestClient) -> None:
    page = client.get("/nothing/here/at/all")
    assert page.status_code == 404
    assert "Check the address" in page.text
    fragment = client.get("/nothing/here/at/all", headers={"HX-Request": "true"})
    assert fragment.headers["hx-retarget"] == "#messages"
    assert "<html" not in fragment.text
    assert client.get("/nothing/here/at/all.json").json()["status"] == 404


def test_a_wrong_method_and_an_over_long_body_get_a_page_too(client: TestClient) -> None:
    assert "reached from a form" in client.post("/").text
    assert client.post("/login", data={"token": "x" * 2_000_000}).status_code == 413
    assert client.post("/login", data={"token": "x" * 2_000}).status_code == 422


def test_pages_are_compressed_and_static_files_are_kept(client: TestClient) -> None:
    page = client.get("/")
    assert page.headers["content-encoding"] == "gzip"
    address = re.findall(r'href="(/static/css/elements\.css\?v=\w+)"', page.text)[0]
    assert "immutable" in client.get(address).headers["cache-control"]


@pytest.mark.parametrize("query", ["", "?v=", "?v=000000000000", "?v={digest}&x=1", "?x=1&v={digest}", "?V={digest}"])
def test_only_the_digest_of_its_content_makes_a_static_file_immutable(client: TestClient, query: str) -> None:
    answer = client.get("/static/css/tokens.css" + query.format(digest=digest("css/tokens.css")))
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-cache")


@pytest.mark.parametrize("path", ["/index.json", "/nothing/here/at/all.json", "/login", "/health", "/batches.json"])
def test_nothing_that_differs_by_viewer_is_kept_for_others(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    assert headers["cache-control"] == "private, no-cache"
    assert "cookie" in headers["vary"].lower().split(", ")


def test_a_health_check_reads_nothing_about_who_asks(client: TestClient, log_in_as: LogIn, engine: Engine) -> None:
    log_in_as("bob")
    with counted_queries(engine) as queries:
        assert client.get("/health").status_code == 200
    assert queries == ["SELECT 1"]


@pytest.mark.parametrize("path", ["/tiny/neurons.csv", "/tiny/neurons.parquet", "/api/subjects/tiny/scores"])
def test_nor_is_a_file_that_is_made_as_it_is_sent(client: TestClient, subject: Subject, path: str) -> None:
    headers = client.get(path).headers
    assert headers["cache-control"] == "private, no-cache"
    assert {"cookie", "authorization"} <= set(headers["vary"].lower().split(", "))


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/", "GET, HEAD"),
        ("DELETE", "/tiny/0/0", "GET, HEAD"),
        ("PUT", "/tiny/queue", "GET, HEAD, POST"),
        ("POST", "/tiny.json", "GET, HEAD"),
        ("PATCH", "/tiny/0/0/flags", "POST"),
        ("POST", "/static/css/tokens.css", "GET, HEAD"),
        ("POST", "/openapi.json", "GET, HEAD"),
        # These also match the addresses of subjects and neurons, which are then not found.
        ("GET", "/logout", "POST"),
        ("HEAD", "/logout", "POST"),
        ("GET", "/batches/5/cancel", "POST"),
        ("GET", "/runs/5/retry", "POST"),
        ("GET", "/tasks/5/cancel", "POST"),
        ("DELETE", "/logout", "POST"),
        ("DELETE", "/login", "GET, HEAD, POST"),
        ("POST", "/health", "GET, HEAD"),
    ],
)
def test_a_wrong_method_gets_the_allowed_ones(client: TestClient, method: str, path: str, allowed: str) -> None:
    answer = client.request(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)


@pytest.mark.parametrize("path", ["/nothing", "/nothing.json", "/methods/5", "/tiny/0/99999", "/tiny/x/y", "/a/b/c/d"])
def test_what_is_not_there_is_not_found_whatever_else_matches(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404


def test_twins_have_heads(client: TestClient) -> None:
    for path in ("/index.json", "/login", "/health"):
        answer = client.head(path)
        assert (answer.status_code, answer.text) == (200, "")


@pytest.mark.parametrize(
    "address",
    ["/?x=1", "/batches?state=ended", "/flags?order=new", "/methods?sort=-score", "/bill.json?day=1", "/health?x=",
     "/flags?state=open&state=resolved", "/bill?since=2026-01-01&since=2026-01-02"],
)  # fmt: skip
def test_a_field_that_a_page_does_not_read_is_not_ignored(client: TestClient, address: str) -> None:
    assert client.get(address).status_code == 422


@pytest.mark.parametrize(
    "address",
    [
        "/?utm_source=x",
        "/?igshid=y",
        "/methods?msclkid=3&srsltid=z",
        "/flags?state=open&fbclid=1",
        "/methods?gclid=2&utm_medium=y",
    ],
)
def test_what_other_sites_append_to_links_is_passed_over(client: TestClient, address: str) -> None:
    assert client.get(address).status_code == 200


def test_every_page_is_documented_with_its_twin(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    assert "/index.json" in paths
    assert paths["/{slug}/{layer}/{index}.json"]["get"]["responses"]["404"]["content"]["application/json"][
        "schema"
    ] == {"$ref": "#/components/schemas/Problem"}
    assert "/" not in paths


def test_a_commit_that_fails_answers_500_without_a_traceback(app: FastAPI) -> None:
    @app.post("/a/form/that/stores/badly")
    def spoil(session: DbSession) -> str:
        session.add(LoginToken(token_hash="x", account_id=-1, expires_at=datetime.now(UTC)))  # no such account
        return "stored"

    client = TestClient(app, base_url="http://localhost", raise_server_exceptions=False)
    answer = client.post("/a/form/that/stores/badly")

    assert answer.status_code == 500
    assert "Something went wrong on the server" in answer.text
    assert "Traceback" not in answer.text
    assert answer.headers["content-security-policy"] == CONTENT_SECURITY_POLICY


@pytest.mark.parametrize(
    ("headers", "kind"),
    [
        ({"Authorization": "Bearer wrong"}, "application/json"),
        ({"Accept": "application/json"}, "application/json"),
        ({"Accept": "text/html,application/json"}, "text/html; charset=utf-8"),
        ({}, "text/html; charset=utf-8"),
    ],
)
def test_programs_get_problems_as_json(client: TestClient, headers: dict[str, str], kind: str) -> None:
    answer = client.post("/nothing/here", headers=headers)
    assert answer.status_code in (401, 404, 405)
    assert answer.headers["content-type"] == kind
