"""How fast reviewing is, and what a large campaign costs: ``python -m benchmarks.review [--quick] [--items N]``.

One reviewer judges in a real Chromium: from the key that sends a verdict to the next item on the screen, at the speed
of a fast reader and without a pause, when the verdict before is still on its way. Then two verdicts are written on
every item of the campaign, and its page, its figures and its report are measured at that size, in times of the list's
server time in the same run; last the verification of the history that comes of it.
"""

import random
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial

import httpx
import numpy as np
from playwright.sync_api import Page, sync_playwright
from sqlalchemy import Engine, text

from app.db import make_engine, make_sessions, transaction
from app.domain.events import EventKind
from app.domain.history import verify
from app.queries.history.chain import chain_links
from app.queries.neurons.selection import NeuronSelection
from app.queries.people.accounts import account_named
from app.queries.people.logins import create_login_token
from app.queries.review.campaigns import CampaignRules, end_campaign
from app.queries.review.items import SampleWanted, create_campaign
from app.queries.subjects.lookup import subject_head
from benchmarks.figures import Figure, Figures, benchmark, held_to, reported
from benchmarks.load import Server, made_anew, servers
from benchmarks.synthetic import SLUG, synthetic_database
from tests.browser.find_chromium import arguments, find

N_ITEMS = 10_000
MOST_MS = 300.0
"""Milliseconds from a verdict to the next item, 95th percentile."""
PAUSES = {"read for a second": 1000, "without a pause": 50}
"""Milliseconds between an item and its verdict: of a fast reader, and of one who does not read."""
LIST = 2.0
"""Times the list's server time that a campaign's page may take; its figures and report are computed anew each time."""
N_EVENTS_PER_ITEM = 3

SHOWN = """async (slot) => {
    const start = performance.now();
    document.querySelector("#verdict [data-enter]").click();
    while (document.querySelector("#_item").dataset.slot === slot) await new Promise(requestAnimationFrame);
    return performance.now() - start;
}"""


def measure(quick: bool, items: int = N_ITEMS) -> Figures:
    """From a verdict to the next item in the browser; pages, report and history of a campaign that was judged."""
    figures: dict[str, Figure] = {"items": reported(items, "")}
    with synthetic_database(items) as url, servers(url) as origins:
        engine = make_engine(url)
        campaign_id = new_campaign(engine, items)
        figures |= _in_the_browser(engine, origins[0], campaign_id, 20 if quick else 100)
        judge_all(engine, campaign_id)
        figures |= _pages(engine, origins[1], campaign_id, 10 if quick else 40)
        figures |= _history(engine, items * N_EVENTS_PER_ITEM)
        engine.dispose()
    return figures


def new_campaign(engine: Engine, n_items: int) -> int:
    """A campaign over all explanations, two verdicts each, stratified by layer; returns its id."""
    with transaction(make_sessions(engine)) as session:
        subject = subject_head(session, slug=SLUG)
        return create_campaign(
            session,
            name="Everything",
            subject_id=subject.id,
            rules=CampaignRules("Does it hold?", asks_guess=False),
            wanted=SampleWanted(NeuronSelection(subject.id), n_items),
            account_id=account_named(session, name="synthetic").id,
            seed=1,
        )


def _login_token(engine: Engine) -> str:
    with transaction(make_sessions(engine)) as session:
        return create_login_token(session, account_id=account_named(session, name="synthetic").id, minutes=5)


def _in_the_browser(engine: Engine, server: Server, campaign_id: int, n: int) -> Figures:
    figures: dict[str, Figure] = {}
    with _page(engine, server) as page:
        page.goto(f"http://127.0.0.1:{server.port}/campaigns/{campaign_id}")
        page.locator("[data-enter]").click()
        for name, pause in PAUSES.items():
            milliseconds = [_judged_ms(page, number, pause) for number in range(n)]
            figures |= {
                f"verdict to next item, {name}, p95": held_to(
                    float(np.percentile(milliseconds, 95)), "ms", "<", MOST_MS
                ),
                f"verdict to next item, {name}, p50": reported(float(np.median(milliseconds)), "ms"),
            }
    return figures


def _judged_ms(page: Page, number: int, pause: int) -> float:
    """Milliseconds from sending a verdict to the next item, which came up ``pause`` milliseconds before."""
    page.locator("#verdict").wait_for()
    page.wait_for_timeout(pause)
    slot = page.locator("#_item").get_attribute("data-slot")
    page.keyboard.press(str(1 + number % 8))
    return float(page.evaluate(SHOWN, slot))


@contextmanager
def _page(engine: Engine, server: Server) -> Iterator[Page]:
    """A browser's page whose viewer is logged in."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find(), args=arguments())
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{server.port}/login?token={_login_token(engine)}")
        page.get_by_role("main").get_by_role("button", name="Log in").click()
        yield page
        browser.close()


def judge_all(engine: Engine, campaign_id: int) -> None:
    """Two verdicts on every item, by two further accounts, one in eight items disputed; the campaign has ended."""
    with transaction(make_sessions(engine)) as session:
        session.execute(text("INSERT INTO account (name, role) VALUES ('first', 'reviewer'), ('second', 'reviewer')"))
        values = {"campaign_id": campaign_id}
        session.execute(text("DELETE FROM review_slot WHERE campaign_id = :campaign_id AND number > 2"), values)
        for statement in _JUDGED:
            session.execute(text(statement), values)
        end_campaign(session, campaign_id=campaign_id, account_id=account_named(session, name="synthetic").id)
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(text("VACUUM ANALYZE"))


_JUDGED = (
    """UPDATE review_slot SET state = 'judged', lease_token = NULL, lease_until = NULL,
        account_id = (SELECT id FROM account WHERE name = CASE number WHEN 1 THEN 'first' ELSE 'second' END)
    WHERE campaign_id = :campaign_id AND state <> 'judged'""",
    """INSERT INTO verdict (campaign_id, version, item_id, slot_id, account_id, kind, confidence, seconds)
    SELECT campaign_id, 1, item_id, id, account_id,
        (ARRAY['holds', 'too_broad', 'wrong', 'holds'])[1 + item_id % 4
            + CASE WHEN number = 2 AND item_id % 8 = 0 THEN 1 ELSE 0 END], 'medium', 10 + id % 20
    FROM review_slot WHERE campaign_id = :campaign_id
        AND NOT EXISTS (SELECT FROM verdict WHERE slot_id = review_slot.id)""",
    """UPDATE review_item SET state = 'settled', settled_at = now(),
        outcome = (ARRAY['holds', 'partly', 'fails', 'holds'])[1 + id % 4]
    WHERE campaign_id = :campaign_id AND state <> 'settled' AND id % 8 <> 0""",
)


def _pages(engine: Engine, server: Server, campaign_id: int, n: int) -> Figures:
    """The server's time for a campaign's pages, medians, beside the list's."""
    here = f"/campaigns/{campaign_id}"
    addresses: Mapping[str, str] = {
        "list": f"/{SLUG}",
        "campaign": here,
        "campaign, polled": here,
        "figures": f"{here}/figures",
        "report": f"{here}/report",
        "report as JSON": f"{here}/report.json",
    }
    found: dict[str, float] = {}
    origin = f"http://127.0.0.1:{server.port}"
    with httpx.Client(base_url=origin, headers={"Origin": origin}, timeout=120) as client:
        client.post("/login", data={"token": _login_token(engine)})
        for name, address in addresses.items():
            headers = {"HX-Request": "true", "HX-Request-Type": "partial"} if name.endswith("polled") else {}
            anew = made_anew(partial(_always, address))
            times = [_server_ms(client, anew(random.Random(0)), headers) for _ in range(n + 2)]
            found[name] = float(np.median(times[2:]))  # templates compiled, plans cached
    figures = {f"{name}, server p50": reported(value, "ms") for name, value in found.items()}
    for name in ("campaign", "campaign, polled"):
        figures[f"{name}, server time"] = held_to(found[name] / found["list"], "of the list's", "<=", LIST)
    return figures


def _always(address: str, _chosen: random.Random) -> str:
    return address


def _server_ms(client: httpx.Client, address: str, headers: Mapping[str, str]) -> float:
    answer = client.get(address, headers=headers)
    answer.raise_for_status()
    found = re.search(r"dur=([\d.]+)", answer.headers["server-timing"])
    return float(found[1]) if found else float("nan")


def _history(engine: Engine, n_events: int) -> Figures:
    """How long it takes to verify a chain of this many events."""
    with transaction(make_sessions(engine)) as session:
        detail = '{"verdict": "holds", "note": "", "before": {"state": "open"}, "after": {"state": "settled"}}'
        session.execute(
            text("INSERT INTO event (kind, detail) SELECT :kind, CAST(:detail AS jsonb) FROM generate_series(1, :n)"),
            {"kind": EventKind.VERDICT_GIVEN, "detail": detail, "n": n_events},
        )
    with transaction(make_sessions(engine)) as session:
        started = time.perf_counter()
        verified = verify(chain_links(session))
        seconds = time.perf_counter() - started
    if verified.faults:
        raise RuntimeError(f"{len(verified.faults)} faults in a chain that nobody has touched")
    return {
        "events verified": reported(verified.n_links, ""),
        "history verified": reported(verified.n_links / seconds, "events/s"),
    }


if __name__ == "__main__":
    benchmark("review", measure, items=N_ITEMS)
