import re
from datetime import UTC, datetime, timedelta
from html import unescape

import pytest
from starlette.testclient import TestClient

from app.domain.doubts import Doubt
from app.domain.imports import DataFormat
from app.models import Pause, ReviewItem
from app.queries.neurons.selection import NeuronSelection
from app.queries.review.campaigns import CampaignRules, end_campaign
from app.queries.review.flags import open_flag, resolve_flag
from app.queries.review.items import SampleWanted, create_campaign
from app.queries.review.judging import Judgement, give_verdict
from app.queries.review.taking import Reviewer, take_next
from app.transfer.exporting import ExportRequest
from app.transfer.tasks import enqueue_export
from app.work.enqueue import enqueue_batch
from tests.factories import Make, WholeCorpus
from tests.web.conftest import HTMX, Context, LogIn


def test_without_a_subject_the_first_page_shows_how_to_start(client: TestClient) -> None:
    answer = client.get("/")
    assert answer.status_code == 200
    assert "neuron-audit collect MODEL CORPUS" in answer.text


def test_subjects_are_listed_with_how_many_neurons_are_explained(
    client: TestClient, make: Make, context: Context
) -> None:
    subject = make.subject()
    make.explained(make.neuron(subject), value=0.42)
    make.explained(make.neuron(subject, layer=1), value=0.62)
    make.explained(make.neuron(subject, index=1), value=0.9, simulator="structured+linear")
    make.explained(make.neuron(subject, index=2), value=None)
    make.neuron(subject, index=3)

    answer = client.get("/")

    (shown,) = context().subjects
    assert (shown.n_neurons, shown.n_explained) == (8, 4)
    assert [(s.simulator, s.n_scored, s.is_headline) for s in shown.scores] == [
        ("lexical", 2, False),
        ("structured+linear", 1, False),
    ]
    assert shown.scores[0].layers[0].counts[9] == 1
    assert shown.scores[1].layers[1].n_scored == 0
    assert f'href="/{subject.slug}"' in answer.text
    assert "simulator=structured%2Blinear" in answer.text
    assert 'href="/tiny?layer=0&amp;simulator=lexical&amp;score_min=0.4&amp;score_max=0.5"' in answer.text


def test_what_needs_explanations_is_offered_when_there_are_some(client: TestClient, make: Make) -> None:
    subject = make.subject()
    neuron = make.neuron(subject)

    def ways() -> str:
        return client.get("/").text.partition('<nav class="ways"')[2].partition("</nav>")[0]

    assert re.findall(r'href="([^"]+)"', ways()) == ["/tiny"]
    make.explained(neuron)
    assert re.findall(r'href="([^"]+)"', unescape(ways())) == [
        "/tiny?state=doubtful&sort=-score",
        "/campaigns",
        "/tiny",
    ]


def test_a_missing_worker_is_a_notice_only_while_something_waits_for_one(client: TestClient, make: Make) -> None:
    subject = make.subject()
    assert "no worker, and nothing waits for one" in client.get("/").text
    enqueue_batch(
        make.session,
        subject_id=subject.id,
        neuron_ids=[make.neuron(subject).id],
        method_id=make.method().id,
        account_id=None,
    )
    make.session.flush()
    page = client.get("/").text
    assert "1 waiting" in page
    assert "start one with <code>neuron-audit worker</code>" in page


def test_each_bar_leads_to_the_neurons_that_it_counts(client: TestClient, make: Make, context: Context) -> None:
    subject = make.subject()
    for index, value in enumerate((-0.2, 0.05, 0.42, 0.97)):
        make.explained(make.neuron(subject, index=index), value=0.1, whole=WholeCorpus(value))
    page = unescape(client.get("/").text)
    bars = re.findall(r'<a href="([^"]+)" aria-label="layer 0, ([^"]+): (\d+)"', page)
    assert [name for _, name, _ in bars] == ["below 0", "0 to 0.1", "0.4 to 0.5", "0.9 to 1"]
    for address, _, number in bars:
        client.get(address)
        assert context().matches.number == int(number)


def test_the_strip_counts_what_its_links_list(client: TestClient, make: Make, context: Context) -> None:
    subject = make.subject()
    explained = [make.explained(make.neuron(subject, index=index), f"**text {index}**") for index in range(3)]
    flag_id = open_flag(
        make.session, explanation_id=explained[0], account_id=make.account("dora").id, reason="wrong", note=""
    )
    open_flag(make.session, explanation_id=explained[1], account_id=make.account("emil").id, reason="wrong", note="")
    resolve_flag(make.session, flag_id=flag_id, reviewer=Reviewer(make.account("fay").id), kind="wrong", note="")
    page = unescape(client.get("/").text)
    strip = page.partition('<dl class="strip">')[2].partition("</dl>")[0]
    links = re.findall(r'href="([^"]+)">(\d+)</a>', strip)
    assert [number for _, number in links] == ["2", "0", "2", "1", "1"]
    for address, number in links:
        client.get(address)
        assert context().matches.number == int(number), address


def test_scores_are_plotted_against_the_token_table(client: TestClient, make: Make, context: Context) -> None:
    subject = make.subject()
    make.explained(make.neuron(subject, index=0), whole=WholeCorpus(0.72, margin=0.5))
    make.explained(make.neuron(subject, index=1), whole=WholeCorpus(0.31, margin=-0.1))
    page = client.get("/").text
    (shown,) = context().subjects
    assert [(pair.own, pair.table, pair.n) for pair in shown.against_table] == [(7, 9, 1), (15, 5, 1)]
    assert "1 of 2 neurons clearly above the diagonal" in page


def test_the_neurons_that_were_looked_at_are_one_click_away(client: TestClient, make: Make) -> None:
    subject = make.subject()
    for index in range(3):
        make.neuron(subject, index=index)
    for index in (0, 1, 2, 0):
        client.get(f"/tiny/0/{index}")
    page = client.get("/").text
    visits = page.partition('<dd class="visits">')[2].partition("</dd>")[0]
    assert re.findall(r'href="([^"]+)"', visits) == ["/tiny/0/0", "/tiny/0/2", "/tiny/0/1"]
    client.get("/tiny/0/1.json")
    assert client.get("/index.json").json()["go_on"]["visits"][0] == {"slug": "tiny", "layer": 0, "index": 0}


@pytest.mark.parametrize("cookie", ["x", "tiny:0", "tiny:0:0:0|", "//evil.example:1:2", "a" * 5000, "tiny:-1:0"])
def test_a_forged_memory_of_visits_is_left_out(client: TestClient, make: Make, cookie: str) -> None:
    make.subject()
    client.cookies.set("neuron_audit_visits", cookie)
    answer = client.get("/index.json")
    assert answer.status_code == 200
    assert answer.json()["go_on"]["visits"] == []


def test_the_first_page_says_where_to_look_first(client: TestClient, make: Make, context: Context) -> None:
    subject = make.subject()
    for index, text in enumerate(("**ships**", "**sails**", "I think it is ropes")):
        make.explained(make.neuron(subject, index=index), text)
    answer = client.get("/")
    (shown,) = context().subjects
    assert [(found.doubt, found.number) for found in shown.doubts] == [(Doubt.MARKDOWN, 2), (Doubt.REASONING, 1)]
    assert 'href="/tiny?doubt=markdown"' in answer.text
    client.get("/tiny?doubt=markdown")
    assert [row.explanation for row in context().rows] == ["**sails**", "**ships**"]
    assert context().matches.number == 2


def test_best_worst_and_disputed_explanations_are_one_click_away(
    client: TestClient, make: Make, context: Context
) -> None:
    subject = make.subject()
    bob, dora, adam = (Reviewer(make.account(name, "reviewer").id) for name in ("bob", "dora", "adam"))
    ids = [make.explained(make.neuron(subject, index=i), f"text {i}", value) for i, value in enumerate((0.5, 0.9, 0.1))]
    campaign_id = create_campaign(
        make.session,
        name="All",
        subject_id=subject.id,
        rules=CampaignRules("Does it hold?"),
        wanted=SampleWanted(NeuronSelection(subject.id), 3),
        account_id=None,
        seed=1,
    )
    for who, other in ((bob, "holds"), (dora, "wrong"), (adam, "holds")):
        while (slot := take_next(make.session, campaign_id=campaign_id, reviewer=who)) is not None:
            is_first = make.session.get_one(ReviewItem, slot.item_id).explanation_id == ids[0]
            judgement = Judgement(other if is_first else "holds")
            give_verdict(make.session, slot_id=slot.id, lease_token=slot.lease_token, reviewer=who, judgement=judgement)
    assert "none disputed by reviewers" in client.get("/").text  # which verdicts differ is hidden in a blind campaign
    end_campaign(make.session, campaign_id=campaign_id, account_id=bob.account_id)
    make.session.flush()
    page = unescape(client.get("/").text).partition('<nav class="look-first"')[2].partition("</nav>")[0]
    assert re.search(r"disputed by reviewers</a>\s*<small>1<", page)
    shown = {}
    for address, name in re.findall(r'href="([^"]+)">([^<]+)</a>', page):
        client.get(address)
        shown[name] = [row.index for row in context().rows]
    assert shown == {"best": [1, 0, 2], "worst": [2, 0, 1], "disputed by reviewers": [0]}


def test_the_twin_of_the_first_page_says_the_same(client: TestClient, make: Make) -> None:
    make.subject(slug="tiny")
    assert client.get("/index.json").json()["subjects"][0]["slug"] == "tiny"


def test_a_paused_provider_is_a_banner(client: TestClient, make: Make) -> None:
    make.session.add(Pause(provider="hosted", reason="no answer", until=datetime.now(UTC) + timedelta(minutes=1)))
    make.session.flush()
    assert "hosted is paused" in client.get("/").text


def test_htmx_gets_the_part_that_moves_alone(client: TestClient) -> None:
    part = client.get("/activity", headers=HTMX)
    assert part.text.lstrip().startswith('<section id="_activity"')
    assert "HX-Request" in part.headers["vary"]
    assert "hx-trigger" not in part.text


def test_what_is_going_on_is_a_page_and_json_too(client: TestClient) -> None:
    assert "no worker, and nothing waits for one" in client.get("/activity").text
    found = client.get("/activity.json").json()
    assert found["queue"] == found["tasks"] == {"queued": 0, "running": 0}


def test_a_task_that_waits_for_a_worker_is_said_and_looked_at_again(
    client: TestClient, make: Make, log_in_as: LogIn
) -> None:
    make.subject(slug="tiny")
    enqueue_export(make.session, request=ExportRequest("tiny", DataFormat.JSONL), account_id=None)
    page = client.get("/activity").text
    assert "No worker" in page
    assert "tasks: 0 running, 1 waiting" in page
    assert "queue empty" not in page
    assert 'hx-trigger="every 2s"' in page
    assert 'href="/tasks"' not in page
    log_in_as("alice")
    assert 'href="/tasks"' in client.get("/activity").text
