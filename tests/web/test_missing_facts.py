"""Every page and its JSON over subjects that lack facts, as imports do: a sentence, never an invented number."""

import json
import re
import uuid

import pytest
from fastapi.routing import APIRoute
from sqlalchemy import select
from starlette.testclient import TestClient

from app.domain.authors import AuthorKind
from app.domain.language_models import Outcome
from app.domain.results import ExplanationResult
from app.domain.work import CHECK
from app.models import Account, Sample
from app.queries.explanations.standing import refresh_current
from app.queries.explanations.store import Author, store_candidates
from app.queries.language_models.calls import Call, store_call
from app.queries.review.flags import open_flag
from app.web.main import ROUTERS
from app.web.neuron.address import ROUTE
from app.work.begin import Taker, begin_run
from app.work.enqueue import enqueue_batch
from app.work.lease import finish
from app.work.tasks import enqueue_task
from app.work.trials import enqueue_trial
from tests.factories import Make
from tests.imported import GAPS, Imported, Rows, store_imported
from tests.web.conftest import Context, LogIn

ROUTES = {
    route.path: route
    for router in ROUTERS
    for route in router.routes
    if isinstance(route, APIRoute) and "GET" in (route.methods or ())
}
QUERIES = {
    "/{slug}": (
        "", "?sort=score", "?sort=-score", "?sort=firing_rate", "?sort=-firing_rate", "?sort=max", "?sort=-max",
        "?sort=position", "?layer=0", "?layer=1", "?score_min=0.3", "?state=explained", "?state=unexplained",
        "?state=flagged", "?words=import", "?score_min=0&score_max=1&rate_min=0",
    ),
    ROUTE: ("", "?show=expected", "?show=failures", "?more=top&more=random"),
    f"{ROUTE}/try": ("", "?trial={trial}"),
    "/campaigns/new": ("?subject={slug}",),
    "/go": ("?q=tiny", "?q={layer}/{index}"),
    "/methods/compare": ("?first={method_id}&second={other_method_id}",),
    "/search/random": ("", "?words=import"),
    "/bill": ("?by=day", "?by=provider", "?by=method", "?by=person"),
}  # fmt: skip
REFUSED = {
    "/{slug}/bulk": {422},
    "/{slug}/queue": {422},
    "/{slug}/lists": {422},
    "/exports/{task_id}": {404},
    "/subjects/new/{task_id}": {404},
    "/search/random": {404},
}
"""Pages that want something to be chosen, of which a subject may have none; the one task is no export."""
NO_FACT = re.compile(r"\b(None|nan|NaN|inf|Infinity)\b")
"""What a missing number is drawn as by mistake."""


def text_of(html: str) -> str:
    """What a reader sees, numbers of tooltips included."""
    html = re.sub(r"<(script|style|pre)\b.*?</\1>", "", html, flags=re.DOTALL)
    titles = " ".join(re.findall(r'title="([^"]*)"', html))
    return re.sub(r"<[^>]*>", " ", html) + titles


class Visit:
    """The ids of a site with one of everything, over an imported subject."""

    def __init__(self, make: Make, account: Account, imported: Imported) -> None:
        rows = store_imported(make, imported)
        neuron = rows.neurons[0]
        method = make.method("lexical")
        batch_id = self._batch(make, account, rows, method.id)
        run_id = self._run(make, neuron.id, with_text=imported.explanation is not None)
        self.ids: dict[str, int | str] = {
            "slug": rows.subject.slug,
            "layer": neuron.layer,
            "index": neuron.index,
            "method_id": method.id,
            "other_method_id": make.method("other").id,
            "batch_id": batch_id,
            "run_id": run_id,
            "call_id": self._call(make, run_id),
            "task_id": enqueue_task(
                make.session, kind=CHECK, title="tiny", account_id=account.id, subject_id=rows.subject.id
            ).id,
            "trial": enqueue_trial(
                make.session, neuron_id=neuron.id, explanation_id=None, account_id=account.id, words="import os"
            ),
        }
        excerpts = make.session.scalars(select(Sample.excerpt_ids).where(Sample.neuron_id == neuron.id)).all()
        if any(excerpts):
            self.ids["excerpt_id"] = next(ids[0] for ids in excerpts if ids)
        if rows.explanations:
            self.ids["explanation_id"] = rows.explanations[0]
            self.ids["flag_id"] = open_flag(
                make.session, explanation_id=rows.explanations[0], account_id=account.id, reason="wrong", note=""
            )
        make.session.flush()

    @staticmethod
    def _batch(make: Make, account: Account, rows: Rows, method_id: int) -> int:
        ids = [neuron.id for neuron in rows.neurons]
        queued = enqueue_batch(
            make.session, subject_id=rows.subject.id, neuron_ids=ids, method_id=method_id, account_id=account.id
        )
        return queued.batch_id

    @staticmethod
    def _run(make: Make, neuron_id: int, *, with_text: bool) -> int:
        """The first run ends; its text is not scored."""
        lease = begin_run(make.session, taker=Taker(uuid.uuid4(), uuid.uuid4(), 60))
        assert lease is not None
        assert lease.neuron_id == neuron_id
        assert finish(make.session, lease=lease)
        if with_text:
            author = Author(AuthorKind.METHOD, "lexical", lease.method_id, lease.id)
            store_candidates(
                make.session, neuron_id=neuron_id, results=[ExplanationResult("fires on cats")], author=author
            )
            refresh_current(make.session, neuron_id=neuron_id)
        return lease.id

    @staticmethod
    def _call(make: Make, run_id: int) -> int:
        call = Call("explain", "d", "house", {}, None, None, None, Outcome.UNPARSABLE, "x", 1, None, False, None, 0.1)
        return store_call(make.session, run_id=run_id, call=call)

    def addresses(self) -> list[tuple[str, set[int]]]:
        """Every page, lists in every order and under every filter, each with the statuses that it may have.

        A page about something of which there is none says so.
        """
        found = []
        for path, route in ROUTES.items():
            if path.startswith("/login/openid"):  # it is there where it is configured
                continue
            lacking = set(route.param_convertors) - set(self.ids)
            values = {**self.ids, **dict.fromkeys(lacking, 1)}
            for query in QUERIES.get(path.removesuffix(".json"), ("",)):
                expected = (
                    {200, 303, 404, 409} if lacking else {200, 303} | REFUSED.get(path.removesuffix(".json"), set())
                )
                found.append(((path + query).format(**values), expected))
        return found


@pytest.fixture
def visit(make: Make, log_in_as: LogIn, request: pytest.FixtureRequest) -> Visit:
    return Visit(make, log_in_as("alice"), GAPS[request.param])


def refuse_constant(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")


@pytest.mark.parametrize("visit", GAPS, indirect=True)
def test_no_page_fails_or_invents_a_number(client: TestClient, visit: Visit) -> None:
    for address, statuses in visit.addresses():
        answer = client.get(address)
        assert answer.status_code in statuses, f"{address}: {answer.status_code} {answer.text[-300:]}"
        kind = answer.headers.get("content-type", "")
        if kind.startswith("application/json"):
            for document in answer.text.splitlines() if kind.startswith("application/jsonl") else [answer.text]:
                json.loads(document, parse_constant=refuse_constant)
        elif not address.startswith("/guide"):  # it is about words, not about numbers
            text = text_of(answer.text)
            found = NO_FACT.search(text)
            assert found is None, f"{address}: {text[max(0, found.start() - 80) : found.end() + 80]}"


@pytest.mark.parametrize(("gap", "sentence"), [(gap, says) for gap, imported in GAPS.items() for says in imported.says])
def test_a_neurons_page_says_what_is_missing(client: TestClient, make: Make, gap: str, sentence: str) -> None:
    rows = store_imported(make, GAPS[gap])
    neuron = rows.neurons[0]
    assert sentence in client.get(f"/tiny/{neuron.layer}/{neuron.index}").text


@pytest.mark.parametrize("gap", ["no mean", "no statistics, no document", "no maximum", "no scores"])
def test_a_twin_has_null_for_what_is_not_known(client: TestClient, make: Make, gap: str) -> None:
    imported = GAPS[gap]
    rows = store_imported(make, imported)
    told = client.get(f"/tiny/{rows.neurons[0].layer}/0.json").json()
    statistics = told["neuron"]["statistics"]
    assert {name for name, value in statistics.items() if value is None} == set(imported.unknown)
    assert (told["claim"]["score_2023"] is None) == (not imported.scores)


def test_a_layer_without_neurons_is_no_page(client: TestClient, make: Make) -> None:
    store_imported(make, GAPS["layers without neurons"])
    for address in ("/tiny/0/0", "/tiny/0/0.json", "/tiny/3/1", "/tiny/1/2"):
        answer = client.get(address)
        assert answer.status_code == 404
        assert "not" in answer.text


def test_a_newer_collection_shows_its_own_excerpts(client: TestClient, make: Make, context: Context) -> None:
    rows = store_imported(make, GAPS["several collections"])
    client.get("/tiny/0/0")
    shown = {row.excerpt_id for sample in context().samples for row in sample.rows}
    simulated = {row.excerpt_id for simulation in context().simulations for row in simulation.rows}
    assert shown
    assert simulated
    assert shown.isdisjoint(simulated)
    assert context().scale == rows.neurons[0].max or rows.neurons[0].max is None
