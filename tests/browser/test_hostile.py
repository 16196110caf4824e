"""Hostile texts through every field that stores one, and every page opened in Chromium: nothing of them runs."""

import itertools
import re
from collections import Counter, deque
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, BrowserContext, Page
from sqlalchemy import select

from app.db import transaction
from app.models import Campaign, LlmCall, Neuron, ReviewItem, Subject
from app.web.http.security import CONTENT_SECURITY_POLICY
from tests.browser.hostile_site import FULL, SHORT, TEXTS, Form, fill, reply, write_corpus
from tests.browser.site import SLUG, Site, running_site
from tests.conftest import cloned_database
from tests.hostile import RUN_BY_THEMSELVES, RUN_IF_USED
from tests.llm_server import LlmServer

SUSPICIOUS = """(root) => {
    const found = [];
    const own = (url) => url.startsWith("/") && !url.startsWith("//") || /^[?#]/.test(url) || url === "";
    const local = (url) => own(url) || url.startsWith(location.origin + "/");
    const never = "iframe, object, embed, base, style, video, audio, marquee, math, template, noscript, animate, " +
        "set, foreignObject, image, mglyph, meta[http-equiv], img, script:not([src]), svg script";
    for (const element of root.querySelectorAll("*")) {
        const wrong = element.matches(never)
            || element.matches("script, link") && !local(element.getAttribute("src") ?? element.getAttribute("href"))
            || [...element.attributes].some(({ name, value }) => name.startsWith("on")
                || name === "style" && root !== document // scripts of ours set some; the policy reports others
                || /^(data-)?hx-on/.test(name) || name.startsWith("data-hx-")
                || /^(href|src|action|formaction|hx-get|hx-post)$/.test(name) && !local(value));
        if (wrong) found.push(element.cloneNode(false).outerHTML.slice(0, 200));
    }
    return found;
}"""
"""Elements that no template of ours makes: markup that came from a text, whether or not the policy stops it."""
REPORTS = """
    document.addEventListener("securitypolicyviolation", (event) =>
        violated(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
    window.alert = window.prompt = window.confirm = () => fired(-1);
"""


class Watch:
    """What a browser's pages have run, what the policy has stopped, and what stands on the console."""

    def __init__(self, context: BrowserContext) -> None:
        self.fired: set[int] = set()
        self.violations: list[str] = []
        self.messages: list[str] = []
        context.expose_function("fired", lambda number: self.fired.add(number))
        context.expose_function("violated", lambda what: self.violations.append(what))
        context.add_init_script(REPORTS)
        context.on("console", lambda message: self.messages.append(f"{message.text} {message.location['url']}"))
        context.on("weberror", lambda error: self.messages.append(str(error.error)))

    def nothing(self) -> bool:
        return not (self.fired or self.violations or self.messages)


@pytest.fixture
def watched(browser: Browser) -> Iterator[tuple[Page, Watch]]:
    """A page of a browser that keeps what happens."""
    context = browser.new_context()
    context.set_default_timeout(60_000)
    watch = Watch(context)
    yield context.new_page(), watch
    context.close()


@pytest.mark.parametrize("policy", [None, CONTENT_SECURITY_POLICY], ids=["no policy", "policy"])
def test_the_watch_sees_what_runs_and_what_the_policy_stops(watched: tuple[Page, Watch], policy: str | None) -> None:
    """Without it the other tests could not fail. A page per text: what one opens could hide the next."""
    page, watch = watched
    headers = {"Content-Type": "text/html; charset=utf-8", **({"Content-Security-Policy": policy} if policy else {})}
    bodies = dict(enumerate(TEXTS[: len(RUN_BY_THEMSELVES)]))

    def answer(route: Any) -> None:
        number = route.request.url.rpartition("/")[2]
        body = f"<!DOCTYPE html><p>{bodies[int(number)]}</p>" if number.isdigit() else ""
        route.fulfill(status=200 if body else 404, headers=headers, body=body)

    page.route("http://watch.test/**", answer)
    seen = 0
    for number in bodies:
        page.goto(f"http://watch.test/{number}")
        page.wait_for_timeout(30)
        seen += bool(page.evaluate(f"({SUSPICIOUS})(document)"))
    expected = 0.8 * len(bodies)  # a browser may drop a vector in a later version
    assert seen == len(bodies)
    if policy is None:
        assert len(watch.fired) >= expected
    else:
        assert watch.fired == set()
        assert len(watch.violations) >= expected
        assert len(watch.messages) >= expected


FORMS = pytest.param(SHORT, id="short"), pytest.param(FULL, id="full", marks=pytest.mark.soak)


@pytest.fixture(scope="module", params=FORMS)
def form(request: pytest.FixtureRequest) -> Form:
    found: Form = request.param
    return found


@pytest.fixture(scope="module")
def hostile_site(form: Form, server_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site whose every stored text is hostile, put in as people, models and corpora do."""
    corpus = tmp_path_factory.mktemp("corpus")
    write_corpus(corpus)
    with (
        cloned_database(server_url) as database,
        LlmServer(brain=reply()) as model,
        running_site(database, tmp_path_factory.mktemp("hostile"), corpus=str(corpus)) as site,
    ):
        fill(site, model, form)
        yield site


def test_no_page_runs_or_contains_anything_of_a_hostile_text(
    hostile_site: Site, form: Form, watched: tuple[Page, Watch]
) -> None:
    """Every kind of page that links lead to, its folded parts open, its keys listed."""
    page, watch = watched
    page.goto(hostile_site.login_address())
    page.get_by_role("main").get_by_role("button", name="Log in").click()
    with transaction(hostile_site.sessions) as session:
        indices = session.scalars(
            select(Neuron.index).join(Subject).where(Neuron.layer == 2, Subject.slug == SLUG).limit(3)
        ).all()
        calls = session.scalars(select(LlmCall.id).order_by(LlmCall.id).limit(form.most)).all()
        items = session.scalars(select(ReviewItem.id).order_by(ReviewItem.id).limit(form.most)).all()
        ended = session.scalars(select(Campaign.id).where(Campaign.ended_at.is_not(None))).one()
    begin = [
        "/", "/campaigns", "/flags", "/lists", "/providers", "/people", "/account",
        "/batches", "/tasks", "/bill", "/review/verdicts",
        *(f"/{SLUG}/{layer}/{index}" for layer in (0, 1, 2) for index in indices),
        *(f"/calls/{call}" for call in calls),
        *(f"/items/{item}" for item in items),
        f"/campaigns/{ended}/figures",  # leads to its report, as no open campaign does
    ]  # fmt: skip
    opened = Counter[str]()
    for address in addresses(page, begin, opened, most=form.most):
        assert watch.nothing(), (address, watch.fired, watch.violations, watch.messages)
        assert page.evaluate(f"({SUSPICIOUS})(document)") == [], address
    kinds = {
        "/campaigns/N",
        "/campaigns/N/figures",
        "/campaigns/N/report",
        "/calls/N",
        "/runs/N",
        "/items/N",
        "/flags/N",
        "/lists/N",
        "/providers/N",
    }
    assert kinds <= set(opened)
    assert sum(opened.values()) >= 20 * form.most


def addresses(page: Page, begin: list[str], opened: Counter[str], *, most: int) -> Iterator[str]:
    """Opens what links lead to, ``most`` of a kind; yields each address while it is open."""
    origin = page.url.partition("/login")[0].rstrip("/")
    waiting, seen = deque(begin), set(begin)
    while waiting:
        address = waiting.popleft()
        kind = re.sub(r"\d+", "N", address.partition("?")[0])
        if opened[kind] >= most:
            continue
        opened[kind] += 1
        answer = page.goto(f"{origin}{address}")
        assert answer is not None
        assert answer.status == 200, address
        page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        if page.locator("#keys-button").count():
            page.locator("#keys-button").click()
        yield address
        links = page.eval_on_selector_all("a[href]", "(all) => all.map((each) => each.getAttribute('href'))")
        for link in links:
            path = link.partition("#")[0]
            is_file = "/export" in path or re.search(r"\.(json|pdf|csv|jsonl|parquet|svg)(\?|$)", path)
            if path.startswith("/") and path not in seen and not is_file:
                seen.add(path)
                waiting.append(path)


def test_an_item_loaded_ahead_and_a_list_that_is_replaced_run_nothing(
    hostile_site: Site, watched: tuple[Page, Watch]
) -> None:
    """What scripts put into a page without loading it."""
    page, watch = watched
    page.goto(hostile_site.login_address("carol"))
    page.get_by_role("main").get_by_role("button", name="Log in").click()
    with transaction(hostile_site.sessions) as session:
        standing = session.scalars(select(Campaign.id).where(Campaign.is_standing)).one()
    page.goto(f"{hostile_site.url}/campaigns/{standing}")
    page.wait_for_load_state("networkidle")
    page.keyboard.press("Enter")
    for _ in range(4):
        page.locator("#_item").wait_for()
        page.wait_for_load_state("networkidle")
        slot = page.locator("#_item").get_attribute("data-slot")
        page.keyboard.press("5")
        page.keyboard.press("Enter")
        page.locator(f'#_item[data-slot="{slot}"]').wait_for(state="detached")
        assert page.evaluate(f"({SUSPICIOUS})(document)") == []
    page.goto(f"{hostile_site.url}/{SLUG}?words=fired")
    page.wait_for_load_state("networkidle")
    assert page.evaluate(f"({SUSPICIOUS})(document)") == []
    assert watch.nothing(), (watch.fired, watch.violations, watch.messages)


REFLECTING = (
    "/{0}",
    "/go?q={0}",
    "/login?token={0}",
    f"/{SLUG}?words={{0}}",
    f"/{SLUG}?sort={{0}}",
    "/flags?state={0}",
)
READ = """async (addresses) => {
    const found = [];
    for (const address of addresses) {
        const answer = await fetch(address);
        const body = await answer.text();
        const parts = (%s)(new DOMParser().parseFromString(body, "text/html"));
        if (answer.status >= 500 || parts.length) found.push([address, answer.status, ...parts]);
    }
    return found;
}"""


def test_what_an_address_says_is_text_in_what_it_gets(
    hostile_site: Site, form: Form, watched: tuple[Page, Watch]
) -> None:
    """Addresses that nobody has stored: searches, tokens, unknown pages, wrong fields."""
    page, _ = watched
    page.goto(f"{hostile_site.url}/guide")
    texts = zip(TEXTS[:: form.reflected], itertools.cycle(REFLECTING), strict=False)
    wanted = [door.format(quote(text, safe="")) for text, door in texts]
    assert page.evaluate(READ % SUSPICIOUS, wanted) == []


def test_the_grammar_makes_500_different_texts_with_every_vector() -> None:
    assert len(TEXTS) == len(set(TEXTS)) == 500
    both = "\n".join(TEXTS)
    for vector in RUN_BY_THEMSELVES + RUN_IF_USED:
        assert both.count(vector.split("{n}")[0].replace("{{", "{").replace("}}", "}")) >= 5, vector
