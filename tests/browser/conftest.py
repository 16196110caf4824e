"""A real browser over the real product. A message on the browser's console fails the test."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from app.domain.roles import Role
from tests.browser.audited import audit_some
from tests.browser.find_chromium import arguments, find
from tests.browser.kinds import REFUSED
from tests.browser.site import Site, running_site
from tests.conftest import cloned_database

GUARD_MS = 60_000
"""A guard, not a promise: the machine may be busy."""
expect.set_options(timeout=GUARD_MS)


@pytest.fixture(scope="package")
def site(server_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The product, running, with some neurons explained."""
    with (
        cloned_database(server_url) as database,
        running_site(database, tmp_path_factory.mktemp("site")) as site,
    ):
        audit_some(site)
        yield site


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Headless Chromium. `make test` has made sure that there is one.

    Ends with the browser tests: while Playwright is open its event loop counts as running in this thread, so no other
    test could start one.
    """
    executable = find()
    assert executable is not None, "no Chromium: run `make browser`"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=arguments())
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser, site: Site) -> Iterator[Callable[..., Page]]:
    """Opens a page in a new context, logged in where a name is given."""
    complaints: list[str] = []

    def open_page(name: str | None = None, *, role: Role = Role.ADMINISTRATOR, **options: Any) -> Page:
        context = browser.new_context(base_url=site.url, **options)
        context.set_default_timeout(GUARD_MS)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text) if is_complaint(message) else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        if name is not None:
            page.goto(site.login_address(name, role))
            page.get_by_role("main").get_by_role("button", name="Log in").click()
        return page

    yield open_page
    for context in browser.contexts:
        context.close()
    assert complaints == []


def is_complaint(message: ConsoleMessage) -> bool:
    """Whether a message is about something other than a page that is to be refused."""
    return not message.location["url"].endswith(tuple(REFUSED.values()))


@pytest.fixture(scope="session")
def pictures() -> Path:
    """Where screenshots go."""
    folder = Path(__file__).parents[2] / "test-output"
    folder.mkdir(exist_ok=True)
    return folder
