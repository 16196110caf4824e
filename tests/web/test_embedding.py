from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from pydantic import ValidationError
from starlette.testclient import TestClient

from app.db import Sessions
from app.settings import Settings
from app.web.http.security import CONTENT_SECURITY_POLICY
from app.web.main import create_app
from app.web.rendering.preview import HEIGHT, WIDTH, Preview, preview_png
from tests.factories import Make, WholeCorpus
from tests.web.conftest import LogIn

ADDRESS = "/tiny/0/1"


@pytest.fixture(autouse=True)
def _neuron(make: Make) -> None:
    subject = make.subject()
    make.explained(make.neuron(subject, index=1), 'fires on "<b>"', 0.5, whole=WholeCorpus(0.25))


@pytest.fixture
def embedding(sessions: Sessions, tmp_path: Path) -> Iterator[TestClient]:
    """A site that two others may show in their frames."""
    settings = Settings(data_dir=tmp_path, embed_origins="https://notes.example.org  http://localhost:3000")
    with TestClient(create_app(settings, sessions), base_url="http://localhost") as client:
        yield client


def test_a_frame_is_for_the_sites_that_the_settings_name(embedding: TestClient) -> None:
    page = embedding.get(f"{ADDRESS}?embed=1")
    assert page.status_code == 200
    policy = page.headers["content-security-policy"]
    assert "frame-ancestors https://notes.example.org http://localhost:3000" in policy
    assert policy.replace("https://notes.example.org http://localhost:3000", "'none'") == CONTENT_SECURITY_POLICY
    assert page.headers["cross-origin-resource-policy"] == "cross-origin"


def test_no_other_page_may_be_framed(embedding: TestClient) -> None:
    for path in (ADDRESS, "/tiny", "/"):
        assert embedding.get(path).headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    assert embedding.get("/tiny?embed=1").status_code == 422


def test_without_the_setting_a_frame_is_refused(client: TestClient) -> None:
    page = client.get(f"{ADDRESS}?embed=1")
    assert page.status_code == 403
    assert "NEURON_AUDIT_EMBED_ORIGINS" in page.text
    assert page.headers["content-security-policy"] == CONTENT_SECURITY_POLICY


def test_nothing_can_be_pressed_in_a_frame_whoever_is_logged_in(
    embedding: TestClient, client: TestClient, log_in_as: LogIn
) -> None:
    log_in_as("alice")
    embedding.cookies = client.cookies
    whole, framed = embedding.get(ADDRESS), embedding.get(f"{ADDRESS}?embed=1")
    assert whole.text.count("<form") > 2
    assert framed.text.count("<form") == 0
    assert "Log out" in whole.text
    assert "Log out" not in framed.text
    assert "set-cookie" not in framed.headers
    assert "how to cite it" in framed.text


def test_a_site_that_requires_accounts_shows_nothing_in_frames(sessions: Sessions, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, embed_origins="https://notes.example.org", require_account=True)
    with TestClient(create_app(settings, sessions), base_url="http://localhost") as client:
        assert client.get(f"{ADDRESS}?embed=1").status_code == 401


@pytest.mark.parametrize(
    "origins", ["*", "notes.example.org", "https://a.example/path", "https://a.example; script-src *"]
)
def test_what_is_no_origin_is_refused_at_the_start(origins: str) -> None:
    with pytest.raises(ValidationError):
        Settings(embed_origins=origins)


def test_links_to_a_neuron_have_a_picture(client: TestClient) -> None:
    page = client.get(ADDRESS)
    assert 'content="http://localhost/tiny/0/1/preview.png"' in page.text.replace("\n", " ")
    assert "fires on &#34;&lt;b&gt;&#34;" in page.text
    picture = client.get(f"{ADDRESS}/preview.png")
    assert picture.headers["content-type"] == "image/png"
    assert Image.open(BytesIO(picture.content)).size == (WIDTH, HEIGHT)
    again = client.get(f"{ADDRESS}/preview.png", headers={"If-None-Match": picture.headers["etag"]})
    assert again.status_code == 304


@pytest.mark.parametrize("text", ["", "\u202egnirts", "a" * 5_000, "\n\0\t", "\U0001f600 \ud800", "word " * 400])
def test_any_text_can_be_drawn(text: str) -> None:
    assert preview_png(Preview(text, text, text)).startswith(b"\x89PNG")


def test_another_text_is_another_picture() -> None:
    assert preview_png(Preview("t", "one", "")) != preview_png(Preview("t", "two", ""))
