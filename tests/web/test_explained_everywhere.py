"""One explanation with a quoted token, on every page that shows its text: the token is a chip, its blank visible."""

import re
from dataclasses import dataclass

import pytest
from starlette.testclient import TestClient

from app.domain.authors import AuthorKind
from app.domain.results import ExplanationResult
from app.domain.samples import SampleKind
from app.home import files
from app.models import Batch, Run
from app.queries.explanations.standing import refresh_current
from app.queries.explanations.store import Author, store_explanation
from app.queries.lists.kept import add_to_list, create_list
from app.queries.neurons.selection import NeuronSelection
from app.queries.review.campaigns import CampaignRules
from app.queries.review.flags import open_flag
from app.queries.review.items import SampleWanted, create_campaign
from app.queries.review.taking import Reviewer, take_next
from tests.db.reviewing import judge
from tests.factories import Make
from tests.web.conftest import LogIn

TEXT = 'fires on " import" and on brackets'
CHIP = "on <code><s> </s>import</code> and"


@dataclass
class Shown:
    """Where the text is shown, and what stands at the places of addresses."""

    names: dict[str, int]

    def address(self, page: str) -> str:
        return page.format(**self.names)


@pytest.fixture
def shown(make: Make, log_in_as: LogIn) -> Shown:
    """Two neurons with one text: from a run, flagged, in a list, and in a campaign of which bob has judged one item."""
    bob, session, subject, method = log_in_as("bob"), make.session, make.subject(), make.method()
    neurons = [make.neuron(subject, index=index) for index in (0, 1)]
    batch = Batch(subject_id=subject.id, method_id=method.id, n_runs=2, account_id=bob.id)
    session.add(batch)
    session.flush()
    runs = [Run(batch_id=batch.id, neuron_id=each.id, method_id=method.id, status="succeeded") for each in neurons]
    session.add_all(runs)
    session.flush()
    texts = []
    for neuron, run in zip(neurons, runs, strict=True):
        make.sample(neuron, subject, SampleKind.TOP, [(0.0, 4.0, 0.1)], [[1, 4, 2]])
        author = Author(AuthorKind.METHOD, method.name, method.id, run.id, collection_id=subject.collection_id)
        texts.append(store_explanation(session, neuron_id=neuron.id, result=ExplanationResult(TEXT), author=author))
        refresh_current(session, neuron_id=neuron.id)
    flag_id = open_flag(session, explanation_id=texts[0], account_id=bob.id, reason="wrong", note="")
    chosen = NeuronSelection.of(subject.id, [each.id for each in neurons])
    list_id = create_list(session, slug=subject.slug, name="Seen", account_id=bob.id)
    add_to_list(session, list_id=list_id, selection=chosen, account_id=bob.id)
    campaign_id = create_campaign(
        session,
        name="First look",
        subject_id=subject.id,
        rules=CampaignRules("Does it hold?", verdicts_per_item=1, is_blind=False, asks_guess=False),
        wanted=SampleWanted(chosen, 2),
        account_id=None,
        seed=1,
    )
    reviewer = Reviewer(bob.id)
    first = take_next(session, campaign_id=campaign_id, reviewer=reviewer)
    assert first is not None
    judge(session, first, reviewer)
    held = take_next(session, campaign_id=campaign_id, reviewer=reviewer)
    assert held is not None
    session.flush()
    return Shown(
        {
            "batch": batch.id,
            "run": runs[0].id,
            "explanation": texts[0],
            "flag": flag_id,
            "list": list_id,
            "campaign": campaign_id,
            "item": first.item_id,
            "slot": held.id,
        }
    )


PAGES = (
    "/tiny",
    "/search?words=import",
    "/tiny/0/0",
    "/tiny/0/0/compare",
    "/tiny/0/0/compare?against=0/1",
    "/tiny/0/0/try",
    "/tiny/0/0/like",
    "/tiny/0/0/similar",
    "/explanations/{explanation}",
    "/explanations/{explanation}/flag",
    "/flags",
    "/flags/{flag}",
    "/lists/{list}",
    "/batches/{batch}",
    "/runs/{run}",
    "/review/{slot}",
    "/review/verdicts",
    "/items/{item}",
    "/mine",
)


@pytest.mark.parametrize("page", PAGES)
def test_quoted_tokens_are_chips_on_every_page(client: TestClient, shown: Shown, page: str) -> None:
    response = client.get(shown.address(page))
    assert response.status_code == 200
    said = response.text.partition("<main")[2].partition('<h2 id="cite">')[0]  # a citation has the text as it is
    said = said.replace("<mark>", "").replace("</mark>", "")
    assert CHIP in said
    assert "&#34; import&#34;" not in said


def test_adjudicators_see_chips_in_a_campaign(client: TestClient, shown: Shown, log_in_as: LogIn) -> None:
    log_in_as("adam")
    assert CHIP in client.get(shown.address("/campaigns/{campaign}")).text


@pytest.mark.parametrize("page", ["/tiny", "/search"])
def test_words_that_were_searched_are_marked(client: TestClient, shown: Shown, page: str) -> None:
    assert "<mark>brackets</mark>" in client.get(f"{page}?words=brackets").text


OF_AN_EXPLANATION = re.compile(
    r"\{\{ *(?:\w+\.)*(?:page|column|choice|row|neuron|result|item|explanation|shown|flag|pair)"
    r"\.(?:text|explanation|shown_now|first_text|second_text)(?: or [^}]*)? *\}\}"
)


def test_no_template_writes_a_text_by_other_means() -> None:
    """Reports are documents of their own."""
    templates = files("templates")
    found = {}
    for path in sorted(templates.rglob("*.html")):
        name = str(path.relative_to(templates))
        hits = [] if name.startswith("report/") else OF_AN_EXPLANATION.findall(path.read_text("utf-8"))
        if hits:
            found[name] = hits
    assert found == {}
    assert OF_AN_EXPLANATION.search("{{ page.shown.text }}")
