"""Login by an OpenID provider: the good path by real HTTP, and every response that must be refused."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import uvicorn
from joserfc.jwk import RSAKey
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from app.db import Sessions, transaction
from app.domain.roles import Role
from app.models import Account, Event, OpenIdIdentity, OpenIdLogin, WebSession
from app.queries.people.accounts import account_named, add_account, disable_account
from app.settings import Settings
from app.web.deps import SESSION_COOKIE
from app.web.main import create_app
from tests.factories import Make
from tests.oidc_provider import CLIENT_ID, CLIENT_SECRET, OidcProvider, oidc_provider
from tests.web.conftest import OWN_PAGE

EMILIA = {"sub": "1234", "email": "Emilia@Example.org", "email_verified": True}


@pytest.fixture
def provider() -> Iterator[OidcProvider]:
    with oidc_provider() as provider:
        provider.person = dict(EMILIA)
        yield provider


def settings_for(provider: OidcProvider, **options: Any) -> Settings:
    return Settings(
        openid_issuer=provider.issuer, openid_client_id=CLIENT_ID, openid_client_secret=CLIENT_SECRET, **options
    )


@pytest.fixture
def browser(sessions: Sessions, provider: OidcProvider) -> Iterator[TestClient]:
    """A browser of a site that lets example.org's people in."""
    app = create_app(settings_for(provider, openid_domains="example.org, @Other.example"), sessions)
    with TestClient(app, base_url="http://localhost", headers=OWN_PAGE, follow_redirects=False) as client:
        yield client


def returned(browser: TestClient) -> str:
    """The address with which the provider sends a browser back, path and query.

    Logged out before: a page's session would undo what the login stores, since one connection serves all of a test.
    """
    if SESSION_COOKIE in browser.cookies:
        browser.cookies.delete(SESSION_COOKIE)
    begun = browser.get("/login/openid")
    assert begun.status_code == 303
    back = httpx.get(begun.headers["location"]).headers["location"]
    return back.partition("127.0.0.1:8250")[2]


def log_in(browser: TestClient) -> int:
    return browser.get(returned(browser)).status_code


def who(browser: TestClient) -> int:
    return browser.get("/account").status_code


def test_a_person_logs_in_and_out_by_real_http(fresh_sessions: Sessions, provider: OidcProvider) -> None:
    """Over sockets: the site, the provider and a browser that follows redirects between them."""
    with transaction(fresh_sessions) as session:
        add_account(session, name="Emilia", role=Role.REVIEWER, email="emilia@example.org")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(settings_for(provider, port=port), fresh_sessions), host="127.0.0.1", port=port, log_config=None
        )
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", follow_redirects=True) as browser:
            login = browser.get("/login").text
            assert 'href="/login/openid?next=/"' in login
            home = browser.get("/login/openid")
            assert home.url.path == "/"
            assert "Emilia" in home.text
            assert [response.status_code for response in home.history] == [303, 302, 303]
            assert browser.get("/account").status_code == 200
            assert browser.get("/login/openid?next=/guide").url.path == "/guide"  # again, while logged in
            ended = browser.post("/logout", headers={"Origin": f"http://127.0.0.1:{port}"})
            assert ended.url.path == "/login/openid/ended"
            assert browser.get("/account").status_code == 401
            assert browser.get("/login/openid/end").url.path == "/end"
    finally:
        server.should_exit = True
        thread.join()
    assert provider.paths.count("/token") == 2


def test_an_invited_person_keeps_role_and_account_when_the_address_changes(
    browser: TestClient, provider: OidcProvider, make: Make
) -> None:
    account = add_account(make.session, name="Emilia", role=Role.REVIEWER, email="EMILIA@example.org")
    make.session.flush()
    assert log_in(browser) == 303
    provider.person["email"] = "emilia.married@example.org"
    assert log_in(browser) == 303
    bound = make.session.scalars(select(OpenIdIdentity)).one()
    assert (bound.account_id, bound.subject, bound.issuer) == (account.id, "1234", provider.issuer)
    kinds = make.session.scalars(select(Event.kind).order_by(Event.id)).all()
    assert kinds == ["account.added", "account.bound", "account.logged_in", "account.logged_in"]


def test_a_person_of_an_allowed_domain_becomes_a_viewer(browser: TestClient, session: Session) -> None:
    assert log_in(browser) == 303
    account = account_named(session, name="emilia@example.org")
    assert account.role == Role.VIEWER
    assert account.email == "emilia@example.org"
    assert "emilia@example.org" in browser.get("/").text


@pytest.mark.parametrize(
    "person",
    [
        {"email": "emilia@elsewhere.org"},
        {"email": "emilia@sub.example.org"},
        {"email": "emilia@example.org.evil.org"},
        {"email": "example.org"},
        {"email_verified": False},
        {"email_verified": "true"},
        {"email_verified": None},
        {"email": None},
        {"email": ["emilia@example.org"]},
        {"email": "x" * 80 + "@example.org"},
    ],
)
def test_a_person_whom_nobody_invited_has_no_account(
    browser: TestClient, provider: OidcProvider, session: Session, person: dict[str, Any]
) -> None:
    provider.person.update(person)
    refused = browser.get(returned(browser))
    assert refused.status_code == 403
    assert "administrator" in refused.text
    assert session.scalars(select(Account)).all() == []


def test_nobody_takes_over_an_account_by_an_address_that_the_provider_gives_away(
    browser: TestClient, provider: OidcProvider
) -> None:
    assert log_in(browser) == 303
    browser.cookies.clear()
    provider.person["sub"] = "somebody else"
    assert log_in(browser) == 403
    assert who(browser) == 401


def test_a_disabled_account_stays_out(browser: TestClient, session: Session) -> None:
    assert log_in(browser) == 303
    disable_account(session, name="emilia@example.org")
    session.flush()
    assert who(browser) == 401
    refused = browser.get(returned(browser))
    assert refused.status_code == 403
    assert "disabled" in refused.text


def test_an_invited_account_that_was_disabled_before_its_first_login_stays_out(
    browser: TestClient, session: Session
) -> None:
    add_account(session, name="Emilia", role=Role.REVIEWER, email="emilia@example.org")
    disable_account(session, name="Emilia")
    assert log_in(browser) == 403
    assert session.scalars(select(OpenIdIdentity)).all() == []


NOW = int(time.time())


@pytest.mark.parametrize(
    "claims",
    [
        pytest.param({"nonce": "another"}, id="wrong nonce"),
        pytest.param({"nonce": None}, id="no nonce"),
        pytest.param({"aud": "another client"}, id="wrong audience"),
        pytest.param({"aud": None}, id="no audience"),
        pytest.param({"aud": [CLIENT_ID, "another"]}, id="two audiences and no authorized party"),
        pytest.param({"azp": "another client"}, id="wrong authorized party"),
        pytest.param({"exp": NOW - 3600}, id="expired"),
        pytest.param({"exp": None}, id="never expires"),
        pytest.param({"iss": "http://127.0.0.1:1"}, id="wrong issuer"),
        pytest.param({"iss": None}, id="no issuer"),
        pytest.param({"iat": NOW + 86400}, id="issued tomorrow"),
        pytest.param({"sub": None}, id="nobody"),
        pytest.param({"sub": ""}, id="an empty name"),
    ],
)
def test_an_id_token_with_a_wrong_claim_is_refused(
    browser: TestClient, provider: OidcProvider, claims: dict[str, Any]
) -> None:
    provider.claims = claims
    refused = browser.get(returned(browser))
    assert refused.status_code == 403
    assert who(browser) == 401


@pytest.mark.parametrize(
    ("stated", "status"), [("mfa", 303), ("hardware", 303), ("password", 403), (None, 403), (1, 403)]
)
def test_a_login_that_is_weaker_than_the_settings_ask_for_is_refused(
    sessions: Sessions, provider: OidcProvider, stated: object, status: int
) -> None:
    provider.claims["acr"] = stated
    settings = settings_for(provider, openid_acr="mfa hardware", openid_domains="example.org")
    with TestClient(create_app(settings, sessions), base_url="http://localhost", follow_redirects=False) as browser:
        begun = browser.get("/login/openid")
        assert "acr_values=mfa+hardware" in begun.headers["location"]
        assert log_in(browser) == status


def test_an_id_token_signed_by_another_key_is_refused(browser: TestClient, provider: OidcProvider) -> None:
    provider.signs_with = RSAKey.generate_key(2048, {"kid": provider.key.kid or ""}, private=True)
    assert log_in(browser) == 403


@pytest.mark.parametrize("known", ["the client's secret", "the public key", "nothing"])
def test_an_id_token_signed_with_what_others_know_is_refused(
    browser: TestClient, provider: OidcProvider, known: str
) -> None:
    """Although the provider says that it offers HS256 and none."""
    provider.forges_with = {
        "the client's secret": CLIENT_SECRET.encode(),
        "the public key": provider.key.as_pem(private=False),
        "nothing": b"",
    }[known]
    assert log_in(browser) == 403


def test_a_new_key_of_the_provider_is_read(browser: TestClient, provider: OidcProvider) -> None:
    assert log_in(browser) == 303
    provider.rotate_key()
    assert log_in(browser) == 303


@pytest.mark.parametrize(
    "change", [lambda back: back.replace("state=", "state=x"), lambda back: back.split("&state")[0]]
)
def test_a_wrong_state_is_refused_before_anything_is_asked(
    browser: TestClient, provider: OidcProvider, change: Callable[[str], str]
) -> None:
    assert browser.get(change(returned(browser))).status_code == 403
    assert "/token" not in provider.paths


def test_a_login_ends_in_the_browser_that_began_it(browser: TestClient, provider: OidcProvider) -> None:
    """Nobody is logged in to another person's account by a link."""
    back = returned(browser)
    own = browser.cookies.get("neuron_audit_openid")
    browser.cookies.clear()
    assert browser.get(back).status_code == 403
    assert "/token" not in provider.paths
    browser.cookies.set("neuron_audit_openid", str(own))
    assert browser.get(back).status_code == 303  # the attempt of the other browser has used nothing up


def test_a_replayed_return_is_refused(browser: TestClient, provider: OidcProvider) -> None:
    back = returned(browser)
    own = str(browser.cookies.get("neuron_audit_openid"))
    assert browser.get(back).status_code == 303
    browser.cookies.clear()
    browser.cookies.set("neuron_audit_openid", own)
    assert browser.get(back).status_code == 403
    assert provider.paths.count("/token") == 1


def test_a_replayed_code_is_refused_by_the_provider(browser: TestClient, provider: OidcProvider) -> None:
    used = returned(browser)
    assert browser.get(used).status_code == 303
    code = used.partition("code=")[2].partition("&")[0]
    fresh = returned(browser)
    other = fresh.partition("code=")[2].partition("&")[0]
    assert browser.get(fresh.replace(other, code)).status_code == 403


def test_a_code_of_another_login_fails_for_its_verifier(browser: TestClient) -> None:
    """PKCE: a code that was stolen on its way is worth nothing to another login."""
    stolen = returned(browser).partition("code=")[2].partition("&")[0]
    own = returned(browser)
    assert browser.get(own.replace(own.partition("code=")[2].partition("&")[0], stolen)).status_code == 403


def test_a_login_that_takes_too_long_is_refused(browser: TestClient, session: Session) -> None:
    back = returned(browser)
    row = session.scalars(select(OpenIdLogin)).one()
    row.expires_at = row.expires_at.replace(year=2000)
    session.flush()
    assert browser.get(back).status_code == 403
    browser.get("/login/openid")
    assert len(session.scalars(select(OpenIdLogin)).all()) == 1  # the expired one is gone


def test_what_the_provider_refuses_is_said_and_escaped(browser: TestClient, provider: OidcProvider) -> None:
    provider.refuses_with = "<b>access_denied"
    refused = browser.get(returned(browser))
    assert refused.status_code == 403
    assert "&lt;b&gt;access_denied" in refused.text


@pytest.mark.parametrize(
    "metadata",
    [
        {"issuer": "http://127.0.0.1:1"},
        {"token_endpoint": None},
        {"jwks_uri": 5},
        {"authorization_endpoint": ["a"]},
        {"id_token_signing_alg_values_supported": 5},
    ],
)
def test_a_discovery_document_that_is_not_the_issuers_is_refused(
    browser: TestClient, provider: OidcProvider, metadata: dict[str, Any]
) -> None:
    provider.metadata = metadata
    refused = browser.get("/login/openid")
    assert refused.status_code == 502
    assert "another way" in refused.text


@pytest.mark.parametrize(
    "published", [[], {}, {"keys": "none"}, {"keys": [5]}, {"keys": [{"kty": "RSA"}]}, {"keys": []}]
)
def test_keys_that_cannot_be_read_let_nobody_in(browser: TestClient, provider: OidcProvider, published: Any) -> None:
    provider.published = published
    assert browser.get(returned(browser)).status_code in (403, 502)
    assert who(browser) == 401


def test_a_provider_that_is_away_is_an_error_page_and_the_password_works(
    browser: TestClient, provider: OidcProvider
) -> None:
    provider.is_down = True
    assert browser.get("/login/openid").status_code == 502
    assert browser.get("/login").status_code == 200
    provider.is_down = False
    assert browser.get("/login/openid").status_code == 303


def test_nothing_is_asked_of_the_provider_to_show_a_page(browser: TestClient, provider: OidcProvider) -> None:
    browser.get("/login")
    browser.get("/login/openid/ended")
    assert provider.paths == []


def test_so_many_logins_are_begun_and_no_more(sessions: Sessions, provider: OidcProvider) -> None:
    app = create_app(settings_for(provider, client_login_attempts=2), sessions)
    with TestClient(app, base_url="http://localhost", headers=OWN_PAGE, follow_redirects=False) as browser:
        assert [browser.get("/login/openid").status_code for _ in range(3)] == [303, 303, 429]


def test_without_a_provider_there_is_no_button_and_no_route(client: TestClient) -> None:
    assert "/login/openid" not in client.get("/login").text
    for path in ("/login/openid", "/login/openid/callback?code=x&state=y", "/login/openid/ended", "/login/openid/end"):
        assert client.get(path).status_code == 404


def test_where_an_account_is_required_the_login_by_openid_is_open(sessions: Sessions, provider: OidcProvider) -> None:
    app = create_app(settings_for(provider, require_account=True, openid_domains="example.org"), sessions)
    with TestClient(app, base_url="http://localhost", headers=OWN_PAGE, follow_redirects=False) as browser:
        assert browser.get("/").status_code == 401
        assert log_in(browser) == 303
        assert browser.get("/").status_code == 200


@pytest.mark.parametrize("back", ["//evil.example", "https://evil.example/", "/\\evil.example"])
def test_nobody_is_sent_to_another_site_after_the_login(browser: TestClient, back: str) -> None:
    begun = browser.get("/login/openid", params={"next": back})
    address = httpx.get(begun.headers["location"]).headers["location"]
    assert browser.get(address.partition("127.0.0.1:8250")[2]).headers["location"] == "/"


def test_a_logout_after_a_password_does_not_mention_the_provider(browser: TestClient, session: Session) -> None:
    assert log_in(browser) == 303
    session.scalars(select(WebSession)).one().by_openid = False
    session.flush()
    assert browser.post("/logout").headers["location"] == "/"


def test_a_provider_without_a_page_that_ends_sessions_says_so(browser: TestClient, provider: OidcProvider) -> None:
    provider.ends_sessions = False
    assert log_in(browser) == 303
    assert browser.get("/login/openid/end").status_code == 404
