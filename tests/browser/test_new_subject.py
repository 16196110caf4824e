"""A model and a text become a subject from the form, by a worker that runs beside the site."""

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect

from app.domain.roles import Role
from tests.browser.site import Site
from tests.worker.models import save_model

SECONDS = 120_000
"""A guard, in milliseconds."""


def test_a_model_and_a_text_become_a_subject(open_page: Callable[..., Page], site: Site, tmp_path: Path) -> None:
    model = save_model(site.folder / "subjects" / "tiny-gpt2")
    text = tmp_path / "my text.txt"
    text.write_text("\n".join(f"Line {n} of a text about {'cats' if n % 3 else 'dogs'}." for n in range(2000)))
    page = open_page("olga", role=Role.OPERATOR)
    page.goto("/")
    page.get_by_role("link", name="New subject").first.click()
    page.get_by_label("Name on the hub, or folder").fill(str(model))
    page.get_by_label("A file of yours").set_input_files(text)
    page.get_by_label("Tokens of an excerpt").fill("16")
    page.get_by_label("Stop after so many tokens").fill("20000")
    page.get_by_label("Name on pages").fill("Tiny GPT-2")
    page.get_by_role("button", name="Inspect").click()

    expect(page.get_by_text("GPT2LMHeadModel")).to_be_visible(timeout=SECONDS)
    expect(page.get_by_text("128: 2 layers of 64")).to_be_visible()
    expect(page.get_by_text("20,000 tokens in excerpts of 16")).to_be_visible()
    page.get_by_role("button", name="Queue the collection").click()

    page.get_by_role("link", name="See the result").click(timeout=SECONDS)
    expect(page).to_have_url(f"{site.url}/tiny-gpt2")
    expect(page.get_by_role("heading", name="Tiny GPT-2")).to_be_visible()
    page.goto("/tiny-gpt2/1/5")
    expect(page.locator(".evidence")).to_contain_text("cats")


def test_a_model_that_does_not_work_is_told_and_can_be_changed(open_page: Callable[..., Page], site: Site) -> None:
    folder = site.folder / "subjects" / "broken"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"model_type": "none of these"}')
    page = open_page("olga", role=Role.OPERATOR)
    page.goto("/subjects/new")
    page.get_by_label("Name on the hub, or folder").fill(str(folder))
    page.get_by_label("Or a path or name").fill("demo:stdlib")
    page.get_by_role("button", name="Inspect").click()
    expect(page.get_by_text("This does not work:")).to_be_visible(timeout=SECONDS)
    page.get_by_role("link", name="Change it").click()
    expect(page.get_by_label("Name on the hub, or folder")).to_have_value(str(folder))
