"""A browser's requests without a browser: the application over the test's own transaction."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from app.db import Sessions
from app.localization.languages import Language
from app.models import Account, Neuron, Subject
from app.queries.people.logins import create_login_token, log_in
from app.settings import Settings
from app.web.deps import SESSION_COOKIE
from app.web.main import create_app
from app.web.rendering.templating import Frame, Renderer
from tests.factories import Make

LogIn = Callable[[str], Account]
"""Logs the client in under a name of the cast; ``log_in_as``."""
Context = Callable[[], Any]
"""Returns the context of the page that was answered last; ``context``."""
HTMX = {"HX-Request": "true", "HX-Request-Type": "partial"}
"""What htmx sends when it asks for a fragment."""
OWN_PAGE = {"Origin": "http://localhost"}
"""What a browser sends with a form of this site."""


class RecordingRenderer(Renderer):
    """Keeps the contexts that templates were given, so that tests assert on data rather than on HTML."""

    def __init__(self) -> None:
        super().__init__()
        self.contexts: list[Any] = []

    def render(
        self, template: str, context: object, frame: Frame | None = None, *, language: Language = Language.ENGLISH
    ) -> str:
        self.contexts.append(context)
        return super().render(template, context, frame, language=language)


@pytest.fixture
def app(sessions: Sessions, tmp_path: Path) -> FastAPI:
    """The application; its pages see what the test's session has flushed."""
    app = create_app(Settings(data_dir=tmp_path, embedding_model="/models/tiny"), sessions)
    app.state.renderer = RecordingRenderer()
    return app


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    """A visitor without an account."""
    with TestClient(app, base_url="http://localhost", headers=OWN_PAGE, follow_redirects=False) as client:
        yield client


@pytest.fixture
def context(app: FastAPI) -> Context:
    """The context of the page that was answered last."""
    return lambda: app.state.renderer.contexts[-1]


@pytest.fixture
def log_in_as(client: TestClient, make: Make) -> LogIn:
    """Log the client in as alice, bob, charlie, olga or adam, one for each role."""
    roles = {
        "alice": "administrator",
        "bob": "reviewer",
        "charlie": "viewer",
        "olga": "operator",
        "adam": "adjudicator",
    }

    def log_in_account(name: str) -> Account:
        account = make.account(name, roles[name])
        token = create_login_token(make.session, account_id=account.id, minutes=5)
        make.session.flush()
        client.cookies.set(SESSION_COOKIE, log_in(make.session, login_token=token, days=1))
        make.session.flush()
        return account

    return log_in_account


@pytest.fixture
def subject(make: Make) -> Subject:
    return make.subject()


@pytest.fixture
def neuron(make: Make, subject: Subject) -> Neuron:
    """A neuron with a top sample of three excerpts, two of them with the same tokens."""
    neuron = make.neuron(subject, layer=1, index=2)
    rows = ((0.0, 4.0, -0.5), (0.0, 2.0, 0.0), (0.0, 4.0, -0.5))
    make.sample(neuron, subject, rows=rows, token_ids=((0, 4, 5), (0, 10, 11), (0, 4, 5)))
    return neuron
