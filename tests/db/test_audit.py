"""Figures, statements and exports of a campaign that was judged the way production does it."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.domain.audit.statements import LONGEST_STATEMENT, Statement
from app.domain.review import ReviewerKind, Stratifier, Verdict, VerdictKind
from app.errors import Conflict, Invalid, NotFound
from app.formats.tables import TableFormat, read_table, write_table
from app.models import Account, Event, Explanation, Flag, ReviewItem
from app.queries.audit.examples import ExampleKind, drawn_examples
from app.queries.audit.export import ROW_TYPES, ExportedTable, SampleLine, VerdictLine, exported_lines
from app.queries.audit.facts import method_facts, scorer_facts, stability_facts
from app.queries.audit.figures import campaign_figures
from app.queries.audit.plan import changed_at, history_head
from app.queries.audit.shapes import CampaignFigures
from app.queries.audit.statements import save_statements, saved_statements, statements_in_force
from app.queries.history.chain import chain_head
from app.queries.review.campaigns import standing_campaign_id
from app.queries.review.flags import open_flag
from app.queries.review.judging import undo_verdict
from app.queries.review.taking import take_next
from tests.db.auditing import Audit, audited, judge, judge_all
from tests.db.reviewing import drawn_again
from tests.db.reviewing import judge as judge_slot
from tests.factories import Make


def figures(session: Session, audit: Audit, *, shows_controls: bool = True) -> CampaignFigures:
    return campaign_figures(session, campaign_id=audit.campaign_id, width=0.2, shows_controls=shows_controls)


def test_before_the_first_verdict_nothing_is_estimated(session: Session, make: Make) -> None:
    found = figures(session, audited(make, judged=False))
    assert found.sample is not None
    assert (found.sample.population, found.sample.n_sampled, found.sample.n_settled) == (24, 16, 0)
    assert found.sample.share.value is None
    assert found.sample.n_needed is None
    assert (found.n_items, found.n_open, found.n_verdicts, found.reviewers) == (20, 20, 0, ())
    assert found.agreement.n_items == 0


def test_the_share_counts_sampled_items_alone(session: Session, make: Make) -> None:
    found = figures(session, audited(make))
    assert found.sample is not None
    assert (found.n_items, found.n_settled, found.sample.n_settled) == (20, 20, 16)
    outcomes = {each.outcome: each for each in found.sample.outcomes}
    assert sum(each.n for each in found.sample.outcomes) == 16
    assert found.sample.share == outcomes[Verdict.HOLDS].share
    # both strata were drawn alike, so that the weighted share is the plain one
    assert found.sample.share.value == pytest.approx(outcomes[Verdict.HOLDS].n / 16)
    assert sum(each.share.value or 0.0 for each in found.sample.outcomes) == pytest.approx(1)


def test_every_grouping_has_every_sampled_item_once(session: Session, make: Make) -> None:
    found = figures(session, audited(make))
    assert found.sample is not None
    assert [grouping.by for grouping in found.sample.groupings] == list(Stratifier)
    for grouping in found.sample.groupings:
        assert sum(group.n_sampled for group in grouping.groups) == 16
        assert sum(group.n_judged for group in grouping.groups) == 16
    layers = found.sample.groupings[0].groups
    assert [group.label for group in layers] == ["layer 0", "layer 1"]


def test_controls_measure_the_outcome_and_each_reviewer(session: Session, make: Make) -> None:
    found = figures(session, audited(make))
    assert found.controls is not None
    assert (found.controls.n_right, found.controls.n_wrong) == (2, 2)
    assert (found.controls.sensitivity.value, found.controls.specificity.value) == (1.0, 1.0)
    by_name = {reviewer.name: reviewer for reviewer in found.reviewers}
    assert by_name["bob"].controls == found.controls
    assert by_name["bob"].kind is ReviewerKind.PERSON
    assert by_name["alice"].controls is not None
    assert by_name["alice"].controls.sensitivity.value is None


def test_hidden_controls_leave_no_trace_in_any_figure(session: Session, make: Make) -> None:
    found = figures(session, audited(make), shows_controls=False)
    assert found.controls is None
    assert {reviewer.controls for reviewer in found.reviewers} == {None}
    assert found.sample is not None
    assert found.sample.corrected.value is None


def test_agreement_is_between_the_required_verdicts(session: Session, make: Make) -> None:
    audit = audited(make)
    found = figures(session, audit).agreement
    disputed = drawn_examples(session, campaign_id=audit.campaign_id, seed=0)[ExampleKind.DISPUTED]
    assert (found.n_items, found.n_verdicts) == (16, 32)
    assert disputed
    assert found.raw.value == pytest.approx(1 - len(disputed) / 16)


def test_a_score_that_is_higher_where_explanations_hold_predicts_it(session: Session, make: Make) -> None:
    found = figures(session, audited(make))
    (scorer,) = found.scorers
    assert (scorer.scorer, scorer.sample, scorer.prediction.area.value) == ("correlation", "top_and_random", 1.0)


def test_an_undone_verdict_counts_for_nothing(session: Session, make: Make) -> None:
    audit = audited(make, judged=False)
    slot = take_next(session, campaign_id=audit.campaign_id, reviewer=audit.bob)
    assert slot is not None
    judge(session, slot, audit.bob, VerdictKind.HOLDS)
    (given,) = exported_lines(session, campaign_id=audit.campaign_id, table=ExportedTable.VERDICTS)
    assert isinstance(given, VerdictLine)
    undo_verdict(session, verdict_id=given.verdict_id, reviewer=audit.bob)
    assert figures(session, audit).n_verdicts == 0
    lines = exported_lines(session, campaign_id=audit.campaign_id, table=ExportedTable.VERDICTS)
    assert [line.undoes_id for line in lines if isinstance(line, VerdictLine)] == [None, given.verdict_id]


def test_where_nobody_can_tell_an_item_is_settled_and_says_nothing(session: Session, make: Make) -> None:
    audit = audited(make, judged=False)
    for reviewer in (audit.bob, audit.dora):
        while (slot := take_next(session, campaign_id=audit.campaign_id, reviewer=reviewer)) is not None:
            judge(session, slot, reviewer, VerdictKind.CANNOT_TELL)
    found = figures(session, audit)
    assert found.sample is not None
    assert (found.sample.n_settled, found.sample.n_cannot_tell, found.sample.share.value) == (16, 16, None)
    assert found.controls is not None
    assert found.controls.n_right == found.controls.n_wrong == 0


def test_examples_are_drawn_by_seed_and_never_controls(session: Session, make: Make) -> None:
    audit = audited(make)
    one, again = (drawn_examples(session, campaign_id=audit.campaign_id, seed=3) for _ in range(2))
    assert one == again
    assert all(len(items) <= 10 for items in one.values())
    assert {e.item.outcome for e in one[ExampleKind.HOLDS]} == {Verdict.HOLDS}
    assert {e.item.control for items in one.values() for e in items} == {None}
    orders = {
        tuple(e.item.id for e in drawn_examples(session, campaign_id=audit.campaign_id, seed=seed)[ExampleKind.HOLDS])
        for seed in range(5)
    }
    assert len(orders) > 1


@pytest.mark.parametrize("table", ExportedTable)
@pytest.mark.parametrize("format", TableFormat)
def test_what_is_exported_reads_back_to_the_same_bytes(
    session: Session, make: Make, table: ExportedTable, format: TableFormat
) -> None:
    audit = audited(make)
    explanation_id = session.scalars(select(ReviewItem.explanation_id).order_by(ReviewItem.id)).first()
    assert explanation_id is not None
    open_flag(session, explanation_id=explanation_id, account_id=audit.bob.account_id, reason="wrong", note='=1+"a\n"')
    lines = exported_lines(session, campaign_id=audit.campaign_id, table=table)
    assert lines
    content = write_table(lines, ROW_TYPES[table], format=format)
    back = read_table(content, ROW_TYPES[table], format=format)
    assert back == lines
    assert write_table(back, ROW_TYPES[table], format=format) == content


def test_an_exported_sample_can_be_drawn_again(session: Session, make: Make) -> None:
    audit = audited(make)
    lines = exported_lines(session, campaign_id=audit.campaign_id, table=ExportedTable.SAMPLES)
    drawn = [line.explanation_id for line in lines if isinstance(line, SampleLine) and line.is_drawn]
    assert len(lines) == 24
    first = lines[0]
    assert isinstance(first, SampleLine)
    assert tuple(drawn) == drawn_again(session, draw_id=first.draw_id)


def test_flags_are_exported_with_the_campaign_that_asks_about_their_explanation(session: Session, make: Make) -> None:
    audit = audited(make)
    flagged = session.scalars(select(ReviewItem.explanation_id).order_by(ReviewItem.id)).first()
    other = make.explained(make.neuron(audit.subject, layer=1, index=11 + 10), "another")
    for explanation_id in (flagged, other):
        assert explanation_id is not None
        open_flag(session, explanation_id=explanation_id, account_id=audit.bob.account_id, reason="wrong", note="")
    own = exported_lines(session, campaign_id=audit.campaign_id, table=ExportedTable.FLAGS)
    standing = exported_lines(session, campaign_id=standing_campaign_id(session), table=ExportedTable.FLAGS)
    assert [line.explanation_id for line in own if not isinstance(line, SampleLine)] == [flagged]
    assert len(standing) == len(session.scalars(select(Flag)).all()) == 2


def test_statements_are_newer_rows_and_one_event_each(session: Session, make: Make) -> None:
    audit = audited(make, judged=False)
    alice = audit.alice.account_id

    def save(**said: str) -> None:
        statements = {Statement(name): text for name, text in said.items()}
        save_statements(session, campaign_id=audit.campaign_id, account_id=alice, statements=statements)
        session.flush()

    save(payer="Nobody", limits="  ")
    save(payer="A foundation", conflicts="None")
    assert statements_in_force(session, campaign_id=audit.campaign_id) == {
        Statement.PAYER: "A foundation",
        Statement.CONFLICTS: "None",
    }
    saved = saved_statements(session, campaign_id=audit.campaign_id)
    assert [each.changed for each in saved] == [(Statement.PAYER,), (Statement.PAYER, Statement.CONFLICTS)]
    details = session.scalars(select(Event.detail).where(Event.kind == "report.stated").order_by(Event.id)).all()
    assert [detail["before"] for detail in details] == [{"payer": None}, {"payer": "Nobody", "conflicts": None}]
    with pytest.raises(Conflict):
        save(payer="A foundation", conflicts="None")
    with pytest.raises(Invalid):
        save(payer="x" * (LONGEST_STATEMENT + 1))
    with pytest.raises(NotFound):
        save_statements(session, campaign_id=10**6, account_id=alice, statements={})


def test_a_report_knows_the_head_and_when_its_campaign_changed(session: Session, make: Make) -> None:
    audit = audited(make, ended=True)
    session.flush()
    newest = session.scalars(select(Event).order_by(Event.id.desc())).first()
    assert newest is not None
    assert changed_at(session, campaign_id=audit.campaign_id) == newest.at
    assert history_head(session).hash == chain_head(session)


def test_facts_name_the_methods_the_scorers_and_how_alike_two_runs_are(session: Session, make: Make) -> None:
    audit = audited(make, judged=False)
    item = session.scalars(select(ReviewItem).where(ReviewItem.source == "sample").order_by(ReviewItem.id)).first()
    assert item is not None
    neuron_id = session.get_one(Explanation, item.explanation_id).neuron_id
    neuron, method = make.session.get_one(type(make.neuron(audit.subject, 1, 50)), neuron_id), make.method()
    for value in (0.4, 0.6):
        make.explained(neuron, "the same text", value, method=method)
    stability = stability_facts(session, campaign_id=audit.campaign_id)
    assert (stability.n_neurons, stability.n_pairs, stability.n_equal_texts) == (1, 1, 1)
    assert stability.median_difference == pytest.approx(0.2)
    (made,) = method_facts(session, campaign_id=audit.campaign_id, subject_id=audit.subject.id)
    assert (made.author, made.n_explanations, made.share_failed) == ("alice", 16, None)
    (scored,) = scorer_facts(session, campaign_id=audit.campaign_id, subject_id=audit.subject.id)
    assert (scored.scorer, scored.n, scored.n_undefined, scored.null_twin_n) == ("correlation", 16, 0, 0)


def test_a_language_model_is_marked_among_the_reviewers(session: Session, make: Make) -> None:
    audit = audited(make, judged=False)
    session.get_one(Account, audit.dora.account_id).kind = ReviewerKind.SIMULATED
    session.flush()
    judge_all(session, audit)
    found = figures(session, audit)
    kinds = {reviewer.name: reviewer.kind for reviewer in found.reviewers}
    assert kinds["dora"] is ReviewerKind.SIMULATED


def test_the_time_of_a_simulated_reviewer_says_nothing_about_people(session: Session, make: Make) -> None:
    audit = audited(make, judged=False)
    session.get_one(Account, audit.dora.account_id).kind = ReviewerKind.SIMULATED
    session.flush()
    for who, seconds in ((audit.bob, 20), (audit.dora, 1)):
        for number in range(3):
            began = datetime.now(UTC) + timedelta(minutes=number)
            slot = take_next(session, campaign_id=audit.campaign_id, reviewer=who, now=began)
            assert slot is not None
            judged_at = began + timedelta(seconds=seconds)
            judge_slot(session, slot, who, now=judged_at)
    found = figures(session, audit)
    of = {reviewer.name: reviewer for reviewer in found.reviewers}
    assert (of["dora"].per_hour, of["dora"].median_seconds) == (None, None)
    assert of["bob"].median_seconds == pytest.approx(20)
    assert found.n_verdicts == 6
    assert found.per_hour == pytest.approx(180)
