import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from io import BytesIO

import pytest
from pypdf import PdfReader
from starlette.testclient import TestClient

from app.domain.audit.statements import Statement
from app.domain.review import Participants
from app.queries.audit.statements import save_statements
from app.queries.people.logins import create_login_token, log_in
from app.queries.review.campaigns import campaign_row, change_rules, standing_campaign_id
from app.queries.review.taking import Reviewer
from app.web.deps import SESSION_COOKIE
from app.web.report import pdf
from app.web.report.sections import AuditReport
from tests.db.auditing import Audit, audited, judge_all
from tests.factories import Make
from tests.web.conftest import Context

SECTIONS = list(AuditReport.__dataclass_fields__)
SAID = {each: f"We say of {each.value} <b>this</b>." for each in Statement}


def logged_in(client: TestClient, make: Make, reviewer: Reviewer) -> None:
    """A session of somebody who takes part in the audit."""
    token = create_login_token(make.session, account_id=reviewer.account_id, minutes=5)
    make.session.flush()
    client.cookies.set(SESSION_COOKIE, log_in(make.session, login_token=token, days=1))
    make.session.flush()


@pytest.fixture
def audit(make: Make) -> Audit:
    """A campaign that has ended."""
    found = audited(make, ended=True)
    save_statements(make.session, campaign_id=found.campaign_id, account_id=found.alice.account_id, statements=SAID)
    make.session.flush()
    return found


def test_a_visitor_sees_the_figures_of_a_campaign_that_has_ended(
    client: TestClient, audit: Audit, context: Context
) -> None:
    page = client.get(f"/campaigns/{audit.campaign_id}/figures")
    assert page.status_code == 200
    assert context().figures.controls is not None
    assert "hx-get" not in page.text
    assert "Krippendorff" in page.text


def test_figures_of_an_open_campaign_poll_and_hide_controls_from_reviewers(
    client: TestClient, make: Make, context: Context
) -> None:
    audit = audited(make)
    logged_in(client, make, audit.bob)
    page = client.get(f"/campaigns/{audit.campaign_id}/figures?width=0.05", headers={"HX-Request": "true"})
    assert page.text.lstrip().startswith('<section id="_figures"')
    assert f'hx-get="/campaigns/{audit.campaign_id}/figures?width=0.05"' in page.text
    assert context().figures.controls is None
    twin = client.get(f"/campaigns/{audit.campaign_id}/figures.json").json()
    assert twin["figures"]["controls"] is None
    assert {reviewer["controls"] for reviewer in twin["figures"]["reviewers"]} == {None}


FILES = ["report", "report.json", "report.pdf", "export/verdicts.jsonl"]


def names_only(make: Make, audit: Audit, *reviewers: Reviewer) -> None:
    """Let only these take part from now on."""
    rules = campaign_row(make.session, campaign_id=audit.campaign_id).rules
    ids = tuple(each.account_id for each in reviewers)
    rules = replace(rules, participants=Participants.NAMED, account_ids=ids)
    change_rules(make.session, campaign_id=audit.campaign_id, rules=rules, account_id=audit.alice.account_id)
    make.session.flush()


def seen(client: TestClient, audit: Audit) -> tuple[set[int], bool, bool]:
    """Statuses of the report and the tables; whether the page, and its JSON, show figures of controls."""
    address = f"/campaigns/{audit.campaign_id}"
    page, twin = client.get(f"{address}/figures").text, client.get(f"{address}/figures.json").json()
    on_page = ["Repeats judged alike" in page, "<th>Sensitivity</th>" in page, f'href="{address}/report"' in page]
    reviewers = twin["figures"]["reviewers"]
    in_json = [twin["figures"]["controls"] is not None, *(each["controls"] is not None for each in reviewers)]
    in_json += [twin["shows_controls"], twin["may_see_report"]]
    assert len(set(on_page)) == len(set(in_json)) == 1
    return {client.get(f"{address}/{what}").status_code for what in FILES}, on_page[0], in_json[0]


def test_an_adjudicator_who_may_be_asked_for_a_verdict_is_blind_until_the_end(client: TestClient, make: Make) -> None:
    audit = audited(make)
    logged_in(client, make, audit.alice)
    assert seen(client, audit) == ({403}, False, False)
    names_only(make, audit, audit.bob, audit.alice)
    assert seen(client, audit) == ({403}, False, False)
    page = client.get(f"/campaigns/{audit.campaign_id}/figures").text
    assert "shown when the campaign has ended" in page
    (end,) = re.findall(r'action="(/campaigns/\d+/end)"', page)
    client.post(end)
    assert seen(client, audit) == ({200}, True, True)


def test_an_adjudicator_whom_the_campaign_does_not_ask_follows_its_controls(client: TestClient, make: Make) -> None:
    audit = audited(make)
    names_only(make, audit, audit.bob, audit.dora)
    logged_in(client, make, audit.alice)
    assert seen(client, audit) == ({200}, True, True)
    logged_in(client, make, audit.bob)  # who does not adjudicate, asked or not
    assert seen(client, audit) == ({403}, False, False)


def test_the_tables_of_what_is_flagged_are_open_to_adjudicators(client: TestClient, make: Make) -> None:
    """The standing campaign is not blind, and never ends."""
    alice = Reviewer(make.account("alice", "adjudicator").id)
    logged_in(client, make, alice)
    standing_id = standing_campaign_id(make.session)
    assert client.get(f"/campaigns/{standing_id}/export/verdicts.jsonl").status_code == 200


def test_figures_move_with_verdicts(client: TestClient, make: Make, context: Context) -> None:
    audit = audited(make, judged=False)
    logged_in(client, make, audit.alice)
    client.get(f"/campaigns/{audit.campaign_id}/figures")
    assert context().figures.sample.share.value is None
    judge_all(make.session, audit)
    client.get(f"/campaigns/{audit.campaign_id}/figures")
    assert context().figures.sample.share.value > 0


@pytest.mark.parametrize("what", FILES)
def test_reviewers_stay_blind_until_the_campaign_has_ended(client: TestClient, make: Make, what: str) -> None:
    audit = audited(make)
    address = f"/campaigns/{audit.campaign_id}/{what}"
    assert client.get(address).status_code == 401
    logged_in(client, make, audit.bob)
    assert client.get(address).status_code == 403


def test_a_report_has_fourteen_sections_under_the_keys_of_its_json(client: TestClient, audit: Audit) -> None:
    twin = client.get(f"/campaigns/{audit.campaign_id}/report.json").json()
    page = client.get(f"/campaigns/{audit.campaign_id}/report").text
    assert len(SECTIONS) == 14
    assert list(twin) == SECTIONS
    assert re.findall(r'<section id="(\w+)"', page) == SECTIONS
    assert twin["identity"]["digest"] in page
    assert twin["limits"]["command"] in page


FIELDS = {"h1", "h2", "h3", "dt", "dd", "th", "td", "li", "p"}


class Fields(HTMLParser):
    """The texts of headings, labels, values and cells of a report, white space left out, each with its element."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[tuple[str, list[str]]] = []
        self.found: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag in FIELDS:
            self.open.append((tag, []))

    def handle_data(self, data: str) -> None:
        for _, texts in self.open[-1:]:
            texts.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag in FIELDS:
            name, texts = self.open.pop()
            self.found += [(name, piece) for text in texts if (piece := "".join(text.split()))]


@pytest.mark.parametrize("language", ["en", "fr"])
def test_every_field_of_the_report_is_found_in_the_pdf(client: TestClient, audit: Audit, language: str) -> None:
    """Labels and values, as they stand in the HTML of that language; what marks an excerpt's tokens is left out."""
    fields = Fields()
    fields.feed(client.get(f"/campaigns/{audit.campaign_id}/report?language={language}").text)
    response = client.get(f"/campaigns/{audit.campaign_id}/report.pdf?language={language}")
    assert response.headers["content-type"] == "application/pdf"
    text = "".join(page.extract_text() for page in PdfReader(BytesIO(response.content)).pages)
    printed = "".join(text.split())
    missing = [field for field in fields.found if field[1] not in printed]
    assert missing == []
    kinds = Counter(name for name, _ in fields.found)
    assert kinds["h2"] >= len(SECTIONS)
    assert kinds["dt"] >= 45, kinds


def test_what_an_audit_report_has_to_say_is_stated(client: TestClient, audit: Audit) -> None:
    """Section by section, what an audit report has to say; a statement is the auditor's own."""
    twin = client.get(f"/campaigns/{audit.campaign_id}/report.json").json()
    wanted = {
        "identity": ["id", "version", "date", "signatories", "digest", "history_head"],
        "auditor": ["background", "payer", "conflicts", "relation"],
        "model": ["facts.name", "facts.weights_digest", "facts.architecture", "facts.dtype", "facts.site", "licence"],
        "access": ["seen", "withheld"],
        "scope": ["question", "claims", "uses_not_supported", "evidence_for"],
        "corpus": ["name", "source", "digest", "n_documents", "n_tokens", "n_excerpts", "n_copies", "seed"],
        "explanations": ["method", "prompts", "share_failed", "facts.price", "facts.returned_models", "parameters"],
        "scorers": [
            "definition",
            "blind_spot",
            "facts.shuffled_baseline",
            "facts.token_table_baseline",
            "facts.null_twin_n",
        ],
        "sampling": ["draws", "n_items", "n_settled", "deviations"],
        "reviewers": [
            "n_people",
            "n_language_models",
            "instructions",
            "instructions_digest",
            "is_blind",
            "agreement.raw",
            "agreement.alpha",
            "agreement.ac1",
            "controls.sensitivity",
            "controls.specificity",
        ],
        "results": ["sample.share.interval", "sample.corrected.interval", "sample.outcomes", "scorers"],
        "stability": ["n_pairs", "n_equal_texts", "median_difference"],
        "examples": ["seed", "holds", "fails", "disputed"],
        "limits": ["limits", "n_open_disputes", "contest", "changes", "command"],
    }
    assert list(wanted) == SECTIONS
    for section, paths in wanted.items():
        for part in twin[section] if isinstance(twin[section], list) else [twin[section]]:
            for path in paths:
                value = part
                for key in path.split("."):
                    assert key in value, (section, path)
                    value = value[key]


def test_a_french_report_has_no_english_sentence_of_ours(client: TestClient, audit: Audit) -> None:
    page = client.get(f"/campaigns/{audit.campaign_id}/report?language=fr").text
    assert 'lang="fr"' in page
    for english in ("not stated", "95% interval", "score band", "Blind spot", "holds", "Pearson's"):
        assert english not in re.sub(r"=fires on|We say[^<]*", "", page)


def test_equal_states_give_equal_reports_and_a_changed_one_another_digest(
    client: TestClient, make: Make, audit: Audit
) -> None:
    one, again = (client.get(f"/campaigns/{audit.campaign_id}/report.json").content for _ in range(2))
    assert one == again
    before = client.get(f"/campaigns/{audit.campaign_id}/report.json").json()["identity"]["digest"]
    said = {**SAID, Statement.PAYER: "Somebody else"}
    save_statements(make.session, campaign_id=audit.campaign_id, account_id=audit.alice.account_id, statements=said)
    make.session.flush()
    assert client.get(f"/campaigns/{audit.campaign_id}/report.json").json()["identity"]["digest"] != before


def test_what_was_typed_is_text_in_the_report(client: TestClient, audit: Audit) -> None:
    page = client.get(f"/campaigns/{audit.campaign_id}/report").text
    assert "<b>this</b>" not in page
    assert "&lt;b&gt;this&lt;/b&gt;" in page


def test_without_pango_the_page_says_so_in_one_sentence(
    client: TestClient, audit: Audit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pdf, "can_make_pdf", lambda: False)
    answer = client.get(f"/campaigns/{audit.campaign_id}/report.pdf")
    assert answer.status_code == 503
    assert "Print the HTML report with the browser instead" in answer.text


def test_a_standalone_report_refers_to_nothing_outside_of_it(client: TestClient, audit: Audit) -> None:
    page = pdf.standalone_html(client.get(f"/campaigns/{audit.campaign_id}/report").text)
    assert "<style>" in page
    assert not re.search(r'(?:src|href)="|url\(|@import', page)


def test_statements_are_typed_in_a_form(client: TestClient, make: Make, context: Context) -> None:
    audit = audited(make, judged=False)
    address = f"/campaigns/{audit.campaign_id}/statements"
    assert client.post(address, data={"payer": "Nobody"}).status_code == 401
    logged_in(client, make, audit.alice)
    assert all(each.question in client.get(address).text.replace("&#39;", "'") for each in Statement)
    assert client.post(address, data={"payer": "Nobody"}).headers["location"] == address
    client.get(address)
    assert context().statements == {Statement.PAYER: "Nobody"}


@pytest.mark.parametrize("name", ["verdicts.jsonl", "items.csv", "samples.parquet"])
def test_tables_are_files(client: TestClient, audit: Audit, name: str) -> None:
    answer = client.get(f"/campaigns/{audit.campaign_id}/export/{name}")
    assert answer.status_code == 200
    assert answer.headers["content-disposition"] == f'attachment; filename="campaign-{audit.campaign_id}-{name}"'
    assert answer.content


def test_the_standing_campaign_has_figures_and_no_report(client: TestClient, make: Make, audit: Audit) -> None:
    logged_in(client, make, audit.alice)
    assert client.get("/campaigns/1/figures").status_code == 200
    assert client.get("/campaigns/1/report.json").status_code == 409
