import pytest
from sqlalchemy.orm import sessionmaker

from app.domain.slugs import RESERVED_SLUGS, is_slug
from app.settings import Settings
from app.web.main import create_app


@pytest.mark.parametrize("slug", ["gpt2-xl", "pythia-70m", "llama3.2", "a"])
def test_names_of_models_are_slugs(slug: str) -> None:
    assert is_slug(slug)


@pytest.mark.parametrize(
    "slug", ["", "GPT2", "a/b", "-a", "a b", "a\0", "é", "x" * 65, "a.json", *sorted(RESERVED_SLUGS)]
)
def test_what_an_address_cannot_hold_or_means_already_is_none(slug: str) -> None:
    assert not is_slug(slug)


def test_the_first_word_of_every_page_is_reserved() -> None:
    paths = create_app(Settings(), sessionmaker()).openapi()["paths"]
    words = {path.split("/")[1].removesuffix(".json") for path in paths}
    assert {word for word in words if not word.startswith("{")} <= RESERVED_SLUGS
