"""Search by meaning in a browser: a folder's model, a worker, the command that embeds, and the pages it adds."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from pydantic import SecretStr

from app.db import make_engine, make_sessions
from app.domain.roles import Role
from app.health import web_is_alive
from app.settings import Settings
from tests.browser.kinds import NARROW, WIDE
from tests.browser.rules import broken_rules, overflow
from tests.browser.site import ROOT, Site, command, free_port, running, wait_until
from tests.conftest import cloned_database
from tests.worker.embedding_site import EmbeddingSite
from tests.worker.tiny_models import save_tiny

TEXTS = ("a cat on the mat", "import os", "numbers: 1 2 3 4 5", "the cat sat")


@pytest.fixture(scope="module")
def meaning_site(server_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Four explanations, all embedded through the command by a worker whose model is in a folder."""
    folder, port = tmp_path_factory.mktemp("meaning"), free_port()
    with cloned_database(server_url) as database, ExitStack() as stack:
        engine = make_engine(database)
        stack.callback(engine.dispose)
        site = Site(f"http://127.0.0.1:{port}", make_sessions(engine), folder)
        EmbeddingSite(site.sessions, folder, *TEXTS)
        environment = {
            **os.environ,
            "DATABASE_URL": database,
            "NEURON_AUDIT_DATA_DIR": str(folder),
            "NEURON_AUDIT_PORT": str(port),
            "NEURON_AUDIT_EMBEDDING_MODEL": str(save_tiny(folder / "model")),
        }
        for name in ("serve", "worker"):
            stack.enter_context(running([name], environment, folder / f"{name}.log"))
        wait_until(lambda: web_is_alive(Settings(database_url=SecretStr(database), port=port)))
        done = subprocess.run(command(["embed", "tiny"]), cwd=ROOT, env=environment, check=True, capture_output=True)
        assert b"/tasks/" in done.stdout
        yield site


@pytest.fixture(params=["wide", "narrow"])
def page(request: pytest.FixtureRequest, browser: Browser, meaning_site: Site) -> Iterator[Page]:
    """A page of an operator. What the browser complains about fails the test."""
    complaints: list[str] = []
    context = browser.new_context(base_url=meaning_site.url, **(WIDE if request.param == "wide" else NARROW))
    page = context.new_page()
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(meaning_site.login_address("olga", Role.OPERATOR))
    page.get_by_role("main").get_by_role("button", name="Log in").click()
    yield page
    context.close()
    assert complaints == []


def faults(page: Page, name: str, pictures: Path) -> list[str]:
    """The rules that a page breaks. Its picture is kept."""
    width = (page.viewport_size or {"width": 0})["width"]
    page.screenshot(path=pictures / f"{name}-{width}.png", full_page=True)
    return [f"{name}: {fault}" for fault in (*broken_rules(page), *overflow(page))]


def test_everything_is_embedded_and_the_nearest_is_found_first(page: Page, pictures: Path) -> None:
    page.goto("/embeddings")
    expect(page.locator("#_subjects [data-label=embedded]")).to_have_text("4")
    found = faults(page, "embeddings", pictures)
    page.goto("/search")
    page.get_by_label("Meaning of the explanation").fill(TEXTS[1])
    page.get_by_role("button", name="Search by meaning").click()
    expect(page.locator(".matches")).to_contain_text("nearest in meaning first")
    expect(page.locator("#_results .text").first).to_contain_text(TEXTS[1])
    found += faults(page, "search-meaning", pictures)
    page.goto("/tiny?meaning=" + TEXTS[1].replace(" ", "+") + "&sort=-meaning")
    expect(page.get_by_role("main")).to_contain_text(TEXTS[1])
    found += faults(page, "list-meaning", pictures)
    page.goto("/tasks")
    found += faults(page, "tasks-meaning", pictures)
    assert not found, "\n".join(found)


def test_a_meaning_that_nobody_has_searched_for_starts_nothing(page: Page, pictures: Path) -> None:
    page.goto("/search?meaning=something+new")
    expect(page.get_by_role("main")).to_contain_text("Nobody has searched for this meaning yet")
    found = faults(page, "search-meaning-new", pictures)
    assert not found, "\n".join(found)
