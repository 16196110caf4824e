"""A site whose every stored text is hostile, put in as people, models and corpora do."""

import itertools
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import func, select

from app.db import transaction
from app.domain.audit.statements import LONGEST_STATEMENT, Statement
from app.domain.bounds import (
    LONGEST_AGENT,
    LONGEST_CAMPAIGN_NAME,
    LONGEST_EXPLANATION,
    LONGEST_GUESS,
    LONGEST_LIST_NOTE,
    LONGEST_NAME,
    LONGEST_NOTE,
    LONGEST_QUESTION,
    LONGEST_TRIAL,
)
from app.domain.language_models import Capability, ProviderKind
from app.domain.methods import LANGUAGE_MODEL_METHODS
from app.domain.work import WorkStatus
from app.models import Account, Campaign, Document, Explanation, LlmCall, Neuron, Run, Subject, Task
from app.queries.language_models.providers import ProviderSettings, add_provider
from app.queries.methods.definitions import ensure_builtin_methods, newest_method
from tests.browser.site import SLUG, Site, active_runs, wait_until
from tests.hostile import hostile_texts, packed
from tests.llm_server import Answer, Behaviour, Body, Fail, LlmServer

TEXTS = hostile_texts(500)
N_WRITTEN = len(packed(TEXTS, LONGEST_EXPLANATION))
N_ASKED = 24
SEE_OTHER = 303


@dataclass(frozen=True)
class Form:
    """How much is done with the 500 texts. Fields that hold several get all of them in either form."""

    every: int
    """One in so many texts is given to fields that hold one: each takes an account, a session or a campaign."""
    n_items: int
    """Items that are judged, each with a guess and a note."""
    most: int
    """Pages opened of each kind of address: numbers in it are its only difference."""
    reflected: int
    """One in so many texts is sent as a part of an address."""


SHORT, FULL = Form(every=10, n_items=24, most=2, reflected=5), Form(every=1, n_items=70, most=4, reflected=1)


def write_corpus(folder: Path) -> None:
    """Files that are named after a text and hold five, each twice: a document shorter than an excerpt is left out."""
    for number, text in enumerate(TEXTS[::5]):
        name = re.sub(r"[/\x00-\x1f\x85\u2028\u2029]", "\u2215", text)[:60]
        (folder / f"{number:03} {name}.txt").write_text("\n".join(TEXTS[number::100] * 2), encoding="utf-8")


def reply() -> Callable[[Body], Behaviour]:
    """A language model whose replies, name and errors are hostile."""
    texts = itertools.cycle(packed(TEXTS, LONGEST_EXPLANATION))
    numbers = itertools.count()

    def answer(_body: Body) -> Behaviour:
        text = next(texts)
        return Fail(400, text) if next(numbers) % 6 == 5 else Answer(text, model=text[:60])

    return answer


class Doors:
    """A person who sends hostile forms. ``refused`` counts what was not stored, by path."""

    def __init__(self, site: Site, name: str, agent: str = "hostile") -> None:
        headers = {"Origin": site.url, "User-Agent": agent}
        self.client = httpx.Client(base_url=site.url, headers=headers, timeout=120)
        token = site.login_address(name).partition("token=")[2]
        assert self.client.post("/login", data={"token": token}).status_code == SEE_OTHER
        self.stored, self.refused = Counter[str](), Counter[str]()

    def __enter__(self) -> "Doors":
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def send(self, path: str, **form: object) -> httpx.Response:
        answer = self.client.post(path, data=form)
        kind = re.sub(r"\d+", "N", path.partition("?")[0])
        assert answer.status_code < 500, (path, form)
        (self.refused if answer.status_code >= 400 else self.stored)[kind] += 1
        return answer


def fill(site: Site, model: LlmServer, form: Form) -> None:
    """All texts through all doors; then wait for what workers make of them."""
    with Doors(site, "alice") as alice:
        send_all(site, model, alice, form)
        wait_until(lambda: not active_runs(site) and not active_tasks(site))
        assert_filled(site, alice, every=form.every)


def send_all(site: Site, model: LlmServer, alice: Doors, form: Form) -> None:
    """Every text as every kind of thing that a person or a model writes."""
    every = form.every
    with transaction(site.sessions) as session:
        definition = LANGUAGE_MODEL_METHODS[0]
        ensure_builtin_methods(session, definitions=[definition])
        asking, lexical = newest_method(session, name=definition.name).id, newest_method(session, name="lexical").id
        made = select(Explanation.id, Neuron.layer, Neuron.index).join(Neuron, Neuron.id == Explanation.neuron_id)
        explained = session.execute(made.order_by(Explanation.id)).all()
        endpoint = ProviderSettings(
            ProviderKind.OPENAI_COMPATIBLE, "hostile", model.url, allowed_networks=("127.0.0.0/8",)
        )
        provider = add_provider(session, name=definition.provider or "default", settings=endpoint)
        provider.capabilities = [each.value for each in Capability]
    for index, text in enumerate(packed(TEXTS, LONGEST_EXPLANATION)):
        alice.send(f"/{SLUG}/1/{index}/explanations", text=text, method_id=lexical)
    for index in range(N_ASKED):
        alice.send(f"/{SLUG}/2/{index}/runs", method_id=asking)
    for (explanation, layer, index), text in zip(explained, packed(TEXTS, LONGEST_NOTE), strict=False):
        alice.send(f"/{SLUG}/{layer}/{index}/flags", explanation_id=explanation, reason="other", note=text)
    for text in packed(TEXTS, LONGEST_TRIAL):
        alice.send(f"/{SLUG}/0/0/try", text=text)
    for text in TEXTS[::every]:
        if len(text) <= LONGEST_NAME:
            alice.send("/people", name=text, role="reviewer")
    for text in TEXTS[:: 10 * every]:
        alice.send("/account/tokens", name=text[:LONGEST_NAME], scope="read", days="1")
    for text in packed([each for each in TEXTS if each.isascii() and each.isprintable()], LONGEST_AGENT)[:: 6 * every]:
        Doors(site, "alice", agent=text).client.close()
    keep(site, alice, form)
    campaign_id = campaigns(alice, form)
    with Doors(site, "bob") as bob:
        judge(bob, campaign_id)
    statements = itertools.cycle(packed(TEXTS, LONGEST_STATEMENT))
    alice.send(f"/campaigns/{campaign_id}/statements", **{each: next(statements) for each in Statement})
    alice.send(f"/campaigns/{campaign_id}/end")


def keep(site: Site, alice: Doors, form: Form) -> None:
    """Lists of neurons with a note each, saved searches, and language models that nobody calls."""
    with transaction(site.sessions) as session:
        first = select(Neuron.id).join(Subject).where(Subject.slug == SLUG).order_by(Neuron.id).limit(1)
        neuron = session.scalars(first).one()
    notes = itertools.cycle(packed(TEXTS, LONGEST_LIST_NOTE))
    for text in TEXTS[:: 5 * form.every]:
        name = text[:LONGEST_NAME]
        alice.send("/searches", name=name, address=f"/search?words=import&subject={SLUG}")
        created = alice.send(f"/{SLUG}/lists", name=name, neuron=str(neuron))
        if created.status_code == SEE_OTHER:
            alice.send(f"{created.headers['location']}/neurons/{neuron}", act="note", note=next(notes))
        alice.send("/providers", name=name, kind="local", model=text)


def campaigns(alice: Doors, form: Form) -> int:
    """A campaign per name, and one over many explanations; returns that one's id."""
    questions = itertools.cycle(packed(TEXTS, LONGEST_QUESTION))
    rules = {"subject": SLUG, "instructions": " ".join(TEXTS[:150]), "is_blind": "yes", "asks_guess": "yes"}
    for text in packed(TEXTS, LONGEST_CAMPAIGN_NAME)[:: form.every]:
        alice.send("/campaigns", name=text, question=next(questions), n="1", **rules)
    rules |= {"n": str(form.n_items), "verdicts_per_item": "1"}
    created = alice.send("/campaigns", name=TEXTS[0], question=next(questions), **rules)
    return int(created.headers["location"].rpartition("/")[2])


def judge(bob: Doors, campaign_id: int) -> None:
    """Every item with a guess and a note, flagged too."""
    guesses, notes = (itertools.cycle(packed(TEXTS, longest)) for longest in (LONGEST_GUESS, LONGEST_NOTE))
    for kind in itertools.cycle(["wrong", "holds", "too_broad"]):
        location = bob.send(f"/campaigns/{campaign_id}/next").headers.get("location")
        if location is None:
            break
        token = re.search(r'name="lease_token" value="([^"]+)"', bob.client.get(location).text)
        assert token is not None
        bob.send(f"{location}/guess", lease_token=token[1], guess=next(guesses))
        bob.send(f"{location}/verdict", lease_token=token[1], kind=kind, note=next(notes), flag="yes")
    assert bob.stored["/review/N/verdict"] > 20


def active_tasks(site: Site) -> bool:
    with transaction(site.sessions) as session:
        waiting = select(Task.id).where(Task.status.in_([WorkStatus.QUEUED, WorkStatus.RUNNING]))
        return session.scalar(waiting.limit(1)) is not None


def assert_filled(site: Site, alice: Doors, *, every: int) -> None:
    """The doors were open: what is shown below was stored."""
    with transaction(site.sessions) as session:

        def count(table: Any) -> int:
            return session.scalar(select(func.count()).select_from(table)) or 0

        assert count(Document) == len(TEXTS[::5])
        assert count(Account) > len(TEXTS) / every / 2
        assert count(Campaign) > len(packed(TEXTS, LONGEST_CAMPAIGN_NAME)) / every / 2
        assert count(LlmCall) >= N_ASKED
        assert session.scalar(select(func.count()).where(Explanation.author_kind == "person")) == N_WRITTEN
        assert session.scalar(select(func.count()).where(Run.status == WorkStatus.FAILED))
        assert session.scalar(select(func.count()).where(LlmCall.returned_model.is_not(None)))
    subject = f"/{SLUG.replace('2', 'N')}"
    for door in (f"{subject}/N/N/explanations", f"{subject}/N/N/flags"):
        assert alice.stored[door] >= 10, (door, alice.stored, alice.refused)
    for door in (f"{subject}/lists", "/lists/N/neurons/N", "/searches", "/providers", "/account/tokens"):
        assert alice.stored[door] >= 3, (door, alice.stored, alice.refused)
