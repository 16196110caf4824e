"""Two web servers over one database: no rule holds in one process alone, and both show the same."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from threading import Barrier
from typing import Any

import httpx
import pytest

from app.db import transaction
from app.domain.roles import Role
from app.queries.people.accounts import disable_account, ensure_account
from app.queries.people.logins import create_login_token
from app.work.trials import MOST_WAITING
from tests.reliability.fleet import Stage, fleet
from tests.web.test_slow_database import served

GUARD_SECONDS = 120.0
SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}


class TwoSites:
    """Two servers, and the neurons that both show."""

    def __init__(self, addresses: list[str], on: Stage) -> None:
        self.on = on
        self.clients = [
            httpx.Client(base_url=address, timeout=GUARD_SECONDS, headers=SAME_ORIGIN) for address in addresses
        ]

    def token(self, name: str = "alice") -> str:
        with transaction(self.on.sessions) as session:
            account = ensure_account(session, name=name, role=Role.ADMINISTRATOR)
            return create_login_token(session, account_id=account.id, minutes=5)

    def log_in(self, name: str = "alice") -> None:
        """One login, whose session both servers are shown."""
        answer = self.clients[0].post("/login", data={"token": self.token(name)})
        assert answer.status_code == 303
        self.clients[1].cookies = self.clients[0].cookies

    def together(self, path: str, data: dict[str, Any], times: int = 1) -> list[int]:
        """Send a form to both at once, so many times each; the statuses."""
        ready = Barrier(2 * times)

        def send(number: int) -> int:
            ready.wait(GUARD_SECONDS)
            return self.clients[number % 2].post(path, data=data).status_code

        with ThreadPoolExecutor(2 * times) as threads:
            return sorted(threads.map(send, range(2 * times)))

    def both(self, path: str) -> list[httpx.Response]:
        return [client.get(path) for client in self.clients]


@pytest.fixture
def sites(fresh_database: str, tmp_path: Path) -> Iterator[TwoSites]:
    on = Stage(fresh_database, n_neurons=30, parameters={"seconds": 0.1})
    with ExitStack() as stack:
        stack.callback(on.close)
        folders = [tmp_path / "one", tmp_path / "other"]
        for folder in folders:
            folder.mkdir()
        found = TwoSites([stack.enter_context(served(fresh_database, folder)) for folder in folders], on)
        for client in found.clients:
            stack.enter_context(client)
        yield found


def test_a_login_token_is_used_up_for_both(sites: TwoSites) -> None:
    for _ in range(5):
        statuses = sites.together("/login", {"token": sites.token()}, times=3)
        assert (statuses.count(303), len(statuses)) == (1, 6)


def test_a_session_begins_and_ends_in_both(sites: TwoSites) -> None:
    sites.log_in()
    assert [answer.status_code for answer in sites.both("/batches")] == [200, 200]
    kept = dict(sites.clients[0].cookies)
    sites.clients[1].post("/logout")
    for client in sites.clients:
        client.cookies = httpx.Cookies(kept)
    assert [answer.status_code for answer in sites.both("/batches")] == [401, 401]


def test_an_account_that_is_disabled_is_out_of_both(sites: TwoSites) -> None:
    sites.log_in()
    with transaction(sites.on.sessions) as session:
        disable_account(session, name="alice")
    assert [answer.status_code for answer in sites.both("/batches")] == [401, 401]


def test_a_form_that_is_sent_to_both_at_once_queues_once(sites: TwoSites) -> None:
    sites.log_in()
    form = {"neuron": str(sites.on.neuron_ids[0]), "n_neurons": "1", "method_id": str(sites.on.method_id)}
    statuses = sites.together("/tiny/queue", form, times=4)
    assert statuses.count(303) == 1
    assert max(statuses) < 500
    assert sites.on.count("SELECT count(*) FROM run") == 1
    sites.on.assert_counts_are_right()


def test_the_limit_of_waiting_texts_counts_those_of_both(sites: TwoSites) -> None:
    sites.log_in()
    statuses = sites.together("/tiny/0/0/try", {"text": " import"}, times=MOST_WAITING)
    assert statuses == [303] * MOST_WAITING + [409] * MOST_WAITING
    assert sites.on.count("SELECT count(*) FROM task WHERE kind = 'trial'") == MOST_WAITING


def test_work_that_one_queues_the_other_cancels_and_both_show_it(sites: TwoSites) -> None:
    sites.log_in()
    batch = sites.on.enqueue()
    path = f"/batches/{batch.batch_id}"
    assert [shown(answer)["queued"] for answer in sites.both(f"{path}.json")] == [30, 30]
    assert sites.clients[1].post(f"{path}/cancel").status_code == 303
    assert [shown(answer)["cancelled"] for answer in sites.both(f"{path}.json")] == [30, 30]


def test_who_polls_both_by_turns_sees_counts_that_only_rise(sites: TwoSites, tmp_path: Path) -> None:
    sites.log_in()
    batch = sites.on.enqueue()
    seen: list[int] = []

    def poll() -> bool:
        for answer in sites.both(f"/batches/{batch.batch_id}.json"):
            counts = shown(answer)
            assert sum(counts.values()) == 30
            seen.append(counts["succeeded"])
        return seen[-1] == 30

    with fleet(sites.on.url, tmp_path, 1, CONCURRENCY="2") as workers:
        workers.wait_until(poll)
        workers.stop()
    assert seen == sorted(seen)
    assert len(set(seen)) > 2


def test_both_give_the_same_addresses_of_files(sites: TwoSites) -> None:
    """A page of one may be followed by a file of the other."""
    ours, theirs = ({*re.findall(r"/static/[^\"]+", answer.text)} for answer in sites.both("/"))
    assert ours == theirs != set()
    assert {client.get(path).status_code for client in sites.clients for path in ours} == {200}


def shown(answer: httpx.Response) -> dict[str, int]:
    """The counts by status of a batch's page."""
    assert answer.status_code == 200, answer.text
    counts: dict[str, int] = answer.json()["batch"]["counts"]
    return counts
