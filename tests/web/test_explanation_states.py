"""What reviewers have made of an explanation stands beside its text, wherever the text is read."""

from collections.abc import Mapping
from dataclasses import dataclass

import pytest
from starlette.testclient import TestClient

from app.domain.explanation_states import ExplanationState
from app.domain.review import VerdictKind
from app.models import Explanation, Neuron, Run, Subject
from app.queries.explanations.headlines import standings_of
from app.queries.lists.kept import add_to_list, create_list
from app.queries.neurons.claims import neuron_explanations
from app.queries.neurons.selection import NeuronSelection
from app.queries.review.campaigns import CampaignRules, end_campaign
from app.queries.review.flags import open_flag, resolve_flag
from app.queries.review.items import SampleWanted, create_campaign
from app.queries.review.taking import Reviewer, take_next
from tests.db.auditing import judge
from tests.factories import Make
from tests.web.conftest import Context, LogIn

TEXT = 'fires on " import"'
PLACES = {
    "the list": "/tiny?state=explained",
    "the search": "/search?words=import",
    "a kept list": "/lists/{list}",
    "the neuron": "/tiny/0/0",
    "the comparison": "/tiny/0/0/compare",
    "two neurons compared": "/tiny/0/0/compare?against=0/1",
    "the explanation": "/explanations/{explanation}",
    "the batch": "/batches/{batch}",
    "the run": "/runs/{run}",
}
OF_TEXTS = ("the neuron", "the comparison", "the explanation", "the batch", "the run")
"""Where a text is read that is not shown first."""


@dataclass
class Explained:
    """A neuron that a run has explained, with another one beside it."""

    make: Make
    subject: Subject
    neuron: Neuron
    explanation_id: int
    ids: Mapping[str, int]

    def opened(self, client: TestClient, place: str) -> str:
        """The page of a place."""
        response = client.get(PLACES[place].format(**self.ids))
        assert response.status_code == 200
        return response.text

    def flagged(self) -> int:
        """A flag on the explanation."""
        account_id = self.make.account("charlie", "viewer").id
        return open_flag(
            self.make.session, explanation_id=self.explanation_id, account_id=account_id, reason="wrong", note=""
        )


@pytest.fixture
def explained(make: Make, log_in_as: LogIn) -> Explained:
    bob = log_in_as("bob")
    subject, method = make.subject(), make.method()
    neuron, other = make.neuron(subject), make.neuron(subject, index=1)
    explanation_id = make.explained(neuron, TEXT, method=method)
    make.explained(other, "fires on cats")
    run_id = make.session.get_one(Explanation, explanation_id).run_id
    assert run_id is not None
    batch_id = make.session.get_one(Run, run_id).batch_id
    list_id = create_list(make.session, slug="tiny", name="Seen", account_id=bob.id)
    chosen = NeuronSelection.of(subject.id, [neuron.id])
    add_to_list(make.session, list_id=list_id, selection=chosen, account_id=bob.id)
    ids = {
        "list": list_id,
        "explanation": explanation_id,
        "run": run_id,
        "batch": batch_id,
    }
    return Explained(make, subject, neuron, explanation_id, ids)


def pill(state: ExplanationState) -> str:
    return f'<span class="pill state-{state}"'


@pytest.mark.parametrize("place", PLACES)
def test_a_flag_stands_beside_the_text_until_it_is_settled(
    client: TestClient, explained: Explained, place: str
) -> None:
    assert "pill state-" not in explained.opened(client, place)
    flag_id = explained.flagged()
    assert pill(ExplanationState.FLAGGED) in explained.opened(client, place)
    judge_of_it = Reviewer(explained.make.account("nora", "reviewer").id)
    resolve_flag(explained.make.session, flag_id=flag_id, reviewer=judge_of_it, kind="holds", note="")
    html = explained.opened(client, place)
    assert pill(ExplanationState.HOLDS) in html
    assert pill(ExplanationState.FLAGGED) not in html


@pytest.mark.parametrize("place", OF_TEXTS)
def test_what_was_upheld_as_wrong_is_marked_wherever_it_is_still_read(
    client: TestClient, explained: Explained, place: str
) -> None:
    judge_of_it = Reviewer(explained.make.account("nora", "reviewer").id)
    resolve_flag(explained.make.session, flag_id=explained.flagged(), reviewer=judge_of_it, kind="wrong", note="")
    assert pill(ExplanationState.REJECTED) in explained.opened(client, place)


@pytest.mark.parametrize("place", PLACES)
def test_a_dispute_of_a_campaign_shows_once_the_campaign_has_ended(
    client: TestClient, explained: Explained, place: str
) -> None:
    make, session = explained.make, explained.make.session
    owner = make.account("alice").id
    campaign_id = create_campaign(
        session,
        name="Audit",
        subject_id=explained.subject.id,
        rules=CampaignRules("Does it hold?", verdicts_per_item=2),
        wanted=SampleWanted(NeuronSelection.of(explained.subject.id, [explained.neuron.id]), 1),
        account_id=owner,
        seed=0,
    )
    for name, kind in (("nora", VerdictKind.HOLDS), ("emil", VerdictKind.WRONG)):
        reviewer = Reviewer(make.account(name, "reviewer").id)
        slot = take_next(session, campaign_id=campaign_id, reviewer=reviewer)
        assert slot is not None
        judge(session, slot, reviewer, kind)
    assert "pill state-" not in explained.opened(client, place)
    end_campaign(session, campaign_id=campaign_id, account_id=owner)
    session.flush()
    assert pill(ExplanationState.DISPUTED) in explained.opened(client, place)


def test_what_a_campaign_has_not_judged_when_it_ends_has_no_state(explained: Explained) -> None:
    session, owner = explained.make.session, explained.make.account("alice").id
    campaign_id = create_campaign(
        session,
        name="Audit",
        subject_id=explained.subject.id,
        rules=CampaignRules("Does it hold?"),
        wanted=SampleWanted(NeuronSelection.of(explained.subject.id, [explained.neuron.id]), 1),
        account_id=owner,
        seed=0,
    )
    end_campaign(session, campaign_id=campaign_id, account_id=owner)
    session.flush()
    (row,) = neuron_explanations(session, neuron_id=explained.neuron.id)
    assert row.state is None
    assert standings_of(session, explanation_ids=[row.id])[row.id].state is None


def test_states_of_many_are_those_of_each(explained: Explained) -> None:
    session, ids = explained.make.session, [explained.explanation_id]
    assert [found.state for found in standings_of(session, explanation_ids=ids).values()] == [None]
    explained.flagged()
    (row,) = neuron_explanations(session, neuron_id=explained.neuron.id)
    states = {key: found.state for key, found in standings_of(session, explanation_ids=ids).items()}
    assert states == {row.id: row.state} == {row.id: ExplanationState.FLAGGED}


def test_the_same_text_by_several_is_folded_and_a_run_says_of_how_many_its_text_is_the_best(
    client: TestClient, explained: Explained, context: Context
) -> None:
    make = explained.make
    run_id, method_id = explained.ids["run"], make.session.get_one(Explanation, explained.explanation_id).method_id
    by_run = {"author_kind": "method", "author": "m", "run_id": run_id, "method_id": method_id}
    make.explanation(explained.neuron, "fires on dogs", rank=1, **by_run)
    make.explanation(explained.neuron, TEXT)
    html = explained.opened(client, "the neuron")
    folded = context().claim.folded
    assert sorted((row.row.text, len(row.same)) for row in folded) == [(TEXT, 1), ("fires on dogs", 0)]
    assert "best of 2" in html
    assert html.count("the same text:") == 1


def test_an_explanation_is_flagged_from_the_comparison_and_back_there(client: TestClient, explained: Explained) -> None:
    html = explained.opened(client, "the comparison")
    link = f"/explanations/{explained.explanation_id}/flag?back=/tiny/0/0/compare"
    assert f'href="{link}"' in html
    form = client.get(link)
    assert form.status_code == 200
    assert 'name="back" value="/tiny/0/0/compare"' in form.text
    sent = client.post(
        f"/explanations/{explained.explanation_id}/flags", data={"reason": "wrong", "back": "/tiny/0/0/compare"}
    )
    assert sent.headers["location"] == "/tiny/0/0/compare"
    assert pill(ExplanationState.FLAGGED) in explained.opened(client, "the comparison")
