"""The guide as pages of the site, and terms that explain themselves."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from app.domain.glossary import GLOSSARY, term_of_score
from app.domain.steps.catalogue import SCORERS
from tests.factories import Make

TEMPLATES = Path(__file__).parents[2] / "templates"
PAGES = ("/guide", "/guide/lexical", "/guide/scores", "/guide/glossary")


class Links(HTMLParser):
    """The addresses and the identifiers of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.hrefs: list[str] = []
        self.ids: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "a" and (href := found.get("href")):
            self.hrefs.append(href)
        if identifier := found.get("id"):
            self.ids.append(identifier)


@pytest.mark.parametrize("address", PAGES)
def test_every_link_within_the_guide_leads_somewhere(client: TestClient, address: str) -> None:
    for href in Links(client.get(address).text).hrefs:
        if href.startswith(("/guide", "#")):
            path, _, fragment = href.partition("#")
            text = client.get(path or address).text
            assert not fragment or fragment in Links(text).ids, href


def test_the_guide_is_the_text_of_its_files(client: TestClient) -> None:
    text = client.get("/guide").text
    assert "<h1" in text
    assert "neuron-audit provider probe default" in text
    assert 'href="/guide/lexical"' in text
    assert ".md" not in re.sub(r"<code>.*?</code>", "", text, flags=re.DOTALL)


def test_the_glossary_lists_every_term_with_what_it_does_not_notice(client: TestClient) -> None:
    terms = client.get("/guide/glossary.json").json()["terms"]
    assert list(terms) == list(GLOSSARY)
    assert "Does not notice" in client.get("/guide/glossary").text


@pytest.mark.parametrize("key", GLOSSARY)
def test_a_term_is_explained_in_a_few_sentences(key: str) -> None:
    term = GLOSSARY[key]
    assert 1 <= len(re.findall(r"[.?](?: |$)", term.text)) <= 2, term.text
    assert len(re.findall(r"\.(?: |$)", term.blind)) <= 1, term.blind


def n_sentences(text: str) -> int:
    """Full stops that end a sentence, not those of numbers."""
    return len(re.findall(r"[.?](?: |$)", text))


SCORES = (
    *SCORERS,
    *(f"whole_corpus_{side}" for side in ("margin", "explained_variance", "precision", "recall")),
    *("correlation_margin", "correlation_recomputed", "executed", "detection_auc", "fuzzing_auc"),
    *("boundary_inside", "boundary_outside", "found_texts_frequency", "uncentred_rsquared", "uncentred_r2"),
)
OTHER_NUMBERS = ("score_2023", "interval", "token_table", "shuffled", "null_twin", "layer_percentile", "alike",
                 "f1", "average_precision", "firing_rate", "agreement", "corrected_share")  # fmt: skip


@pytest.mark.parametrize("scorer", SCORES)
def test_every_score_has_a_term_of_its_own(scorer: str) -> None:
    assert term_of_score(scorer) is not None
    assert term_of_score("a_score_of_somebody_else") is None


@pytest.mark.parametrize("key", sorted({*filter(None, map(term_of_score, SCORES)), *OTHER_NUMBERS}))
def test_every_number_has_two_sentences_and_one_for_what_it_does_not_notice(key: str) -> None:
    term = GLOSSARY[key]
    assert n_sentences(term.text) == 2, term.text
    assert n_sentences(term.blind) == 1, term.blind


def test_how_to_read_a_score_explains_every_score(client: TestClient) -> None:
    text = client.get("/guide/scores").text
    for scorer in SCORES:
        assert f'id="{term_of_score(scorer)}"' in text


def test_every_term_of_a_template_is_in_the_glossary() -> None:
    used = set(re.findall(r'\bterm\("(\w+)"', "\n".join(path.read_text() for path in TEMPLATES.rglob("*.html"))))
    assert used
    assert used <= set(GLOSSARY)


def test_a_term_opens_without_scripts(client: TestClient, make: Make) -> None:
    make.explained(make.neuron(make.subject(), 0, 0), "fires on cats", 0.5)
    text = client.get("/tiny/0/0").text
    target = re.findall(r'popovertarget="(term-[^"]+)"', text)[0]
    assert re.search(rf'id="{target}"\s+popover', text)
