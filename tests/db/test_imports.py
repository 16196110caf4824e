"""Imports: what they store, what they refuse, and that they store nothing twice."""

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update

from app.db import Sessions, transaction
from app.domain.doubts import Doubt
from app.domain.imports import ImportCounts
from app.domain.samples import BANDS, SampleKind
from app.errors import Conflict, Invalid, NotFound
from app.formats.sources.opening import local_source
from app.models import (
    CollectedNeuron,
    Collection,
    Event,
    Excerpt,
    Explanation,
    ExplanationDoubt,
    Neuron,
    NeuronCount,
    Sample,
    Score,
    Simulation,
    Subject,
    VocabularyToken,
)
from app.queries.imports.shown import show_collection
from app.queries.imports.state import import_problems, import_row
from app.queries.neurons.records import neuron_records
from app.queries.subjects.lookup import subject_head
from app.queries.subjects.overview import overview
from app.transfer.importing import ImportOutcome, ImportRequest, run_import
from tests.factories import Make
from tests.openai_files import neuron_record, simulation_results, write_data_set, write_json

SLUG = "gpt2"


def bring(sessions: Sessions, folder: Path, slug: str = SLUG, **values: Any) -> ImportOutcome:
    return run_import(sessions, local_source(folder), ImportRequest(slug, **values), tell=lambda _: None)


def n_rows(sessions: Sessions, table: type) -> int:
    with sessions() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def test_an_import_stores_everything_that_the_files_hold(fresh_sessions: Sessions, tmp_path: Path) -> None:
    outcome = bring(fresh_sessions, write_data_set(tmp_path / "data"), name="GPT-2", activation_function="quick_gelu")
    assert (outcome.n_problems, outcome.counts.new_neurons, outcome.counts.new_explanations) == (0, 6, 6)
    assert outcome.counts.activation_records == outcome.counts.new_activation_records == 6 * 60
    with fresh_sessions() as session:
        subject = session.scalars(select(Subject)).one()
        assert (subject.n_layers, subject.neurons_per_layer, subject.name) == (2, 3, "GPT-2")
        assert subject.activation_function == "quick_gelu"
        collection = session.get_one(Collection, subject.collection_id)
        assert (collection.status, collection.context_length) == ("complete", 8)
        neuron = session.scalars(select(Neuron).where(Neuron.layer == 1, Neuron.index == 2)).one()
        known = {"mean": 0.125, "variance": 0.25, "skewness": 1.5, "kurtosis": None, "max": None}
        assert {name: getattr(neuron, name) for name in known} == known
        assert neuron.current_text == "words about importing 1/2"
        assert neuron.current_simulator == "published"
        facts = session.get_one(CollectedNeuron, (neuron.id, collection.id)).facts
        assert facts == {"quantile_boundaries": [0.5, 1.0, 2.0, 3.0], "statistics": {"skewness": 1.5}}
        records = neuron_records(session, neuron_id=neuron.id)
    wanted = neuron_record(1, 2)["most_positive_activation_records"]
    assert [r.activations.tolist() for r in records.samples[SampleKind.TOP]] == [r["activations"] for r in wanted]
    n_records = {kind: len(rows) for kind, rows in records.samples.items()}
    assert n_records == {SampleKind.TOP: 20, SampleKind.RANDOM: 20, **dict.fromkeys(BANDS[:4], 5)}


def test_kept_counts_are_one_row_per_group_at_the_end(fresh_sessions: Sessions, tmp_path: Path) -> None:
    """Without a worker that would add them up: the first page reads every row."""
    bring(fresh_sessions, write_data_set(tmp_path / "data", layers=1, neurons=2))
    bring(fresh_sessions, write_data_set(tmp_path / "data", layers=1, neurons=4))
    keys = [getattr(NeuronCount, name) for name in NeuronCount.KEYS]
    with fresh_sessions() as session:
        groups = session.execute(select(*keys, func.count(), func.sum(NeuronCount.explained)).group_by(*keys)).all()
    assert {row[-2] for row in groups} == {1}
    assert sum(row[-1] for row in groups) == 4


def test_excerpts_are_stored_once_for_all_neurons(fresh_sessions: Sessions, tmp_path: Path) -> None:
    bring(fresh_sessions, write_data_set(tmp_path / "data"))
    assert (n_rows(fresh_sessions, Excerpt), n_rows(fresh_sessions, Sample)) == (60, 6 * 6)


def test_a_simulation_is_that_of_the_stored_excerpts(fresh_sessions: Sessions, tmp_path: Path) -> None:
    bring(fresh_sessions, write_data_set(tmp_path / "data", layers=1, neurons=1))
    with fresh_sessions() as session:
        samples = {s.kind: s for s in session.scalars(select(Sample))}
        simulations = session.scalars(select(Simulation).order_by(Simulation.id)).all()
        assert [(s.kind, s.split, len(s.excerpt_ids)) for s in simulations] == [
            ("top", "validation", 5), ("random", "validation", 5),
        ]  # fmt: skip
        for simulation in simulations:
            assert set(simulation.excerpt_ids) <= set(samples[simulation.kind].excerpt_ids)
            assert simulation.unit == pytest.approx(0.8)
            assert simulation.distributions is not None
            assert simulation.uncalibrated is not None
        scores = {s.scorer: s for s in session.scalars(select(Score))}
    assert scores["correlation"].value == pytest.approx(scores["correlation_recomputed"].value, abs=0.005)
    assert (scores["uncentred_r2"].value, scores["absolute_deviation_explained"].value) == (0.5, 0.25)
    assert (scores["correlation"].n_valid, scores["correlation"].n_failed) == (10, 0)


def test_importing_again_adds_only_what_is_new(fresh_sessions: Sessions, tmp_path: Path) -> None:
    folder = write_data_set(tmp_path / "data")
    bring(fresh_sessions, folder)
    again = bring(fresh_sessions, folder)
    assert again.counts == ImportCounts(neurons=12, activation_records=6 * 60, explanations=6)
    results = simulation_results(1, 2, (" words about importing 1/2", " another text"))
    write_json(folder / "explanations/1/2.jsonl", results)
    write_json(folder / "collated-activations/1/3.json", neuron_record(1, 3))
    third = bring(fresh_sessions, folder)
    assert (third.counts.new_neurons, third.counts.new_explanations) == (1, 1)
    assert (n_rows(fresh_sessions, Explanation), n_rows(fresh_sessions, Neuron)) == (7, 7)


def test_neurons_of_another_model_are_refused(fresh_sessions: Sessions, tmp_path: Path) -> None:
    for model in ("gpt2-medium", "gpt2-small"):
        path = tmp_path / "v1" / model / "0" / "explanations" / "batch-0.jsonl"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({"modelId": model, "layer": "0", "index": "0", "description": f"of {model}"}))
    outcome = bring(fresh_sessions, tmp_path)
    with fresh_sessions() as session:
        assert session.scalars(select(Explanation.text)).all() == ["of gpt2-medium"]
        assert session.scalars(select(Subject.source)).all() == ["gpt2-medium"]
        (problem,) = import_problems(session, import_id=outcome.import_id, limit=9)
    assert (problem.field, problem.reason[:32]) == ("model", "it is of the model gpt2-small an")


def test_the_first_page_counts_the_neurons_that_files_brought(fresh_sessions: Sessions, tmp_path: Path) -> None:
    for index in (2, 7):
        write_json(tmp_path / f"collated-activations/3/{index}.json", neuron_record(3, index))
    bring(fresh_sessions, tmp_path)
    bring(fresh_sessions, tmp_path)
    with fresh_sessions() as session:
        (found,) = overview(session).subjects
    assert (found.n_neurons, found.n_layers, found.neurons_per_layer) == (2, 4, 8)


def test_records_of_a_neuron_in_several_files_are_put_together(fresh_sessions: Sessions, tmp_path: Path) -> None:
    more = [{"tokens": ["new"], "activations": [9.0]}]
    write_json(tmp_path / "data/a/1.json", neuron_record(0, 0, n_top=2))
    write_json(tmp_path / "data/b/1.json", neuron_record(0, 0, most_positive_activation_records=more))
    outcome = bring(fresh_sessions, tmp_path / "data")
    assert (
        outcome.counts.new_activation_records == 2 + 20 + 20 + 1
    )  # the file of b holds those of a's random samples again
    with fresh_sessions() as session:
        assert session.scalars(select(Sample.peaks).where(Sample.kind == "top")).one() == [9.0, 8.0, 7.875]


def test_files_that_are_missing_in_a_layer_are_told_and_cost_no_other(fresh_sessions: Sessions, tmp_path: Path) -> None:
    folder = write_data_set(tmp_path / "data", neurons=25)
    for name in ("explanations/1/7.jsonl", "explanations/1/9.jsonl", "collated-activations/1/9.json"):
        (folder / name).unlink()
    (folder / "collated-activations/0/3.json").unlink()  # whose explanation brings records
    for _ in range(2):
        outcome = bring(fresh_sessions, folder)
        with fresh_sessions() as session:
            problems = import_problems(session, import_id=outcome.import_id, limit=99)
        assert [(each.file, each.is_gap) for each in problems] == [
            ("collated-activations/0/3.json", True),
            ("explanations/1/7.jsonl", True),
            ("collated-activations/1/9.json", True),
            ("explanations/1/9.jsonl", True),
        ]
        assert outcome.n_problems == len(problems)
    assert n_rows(fresh_sessions, Neuron) == 49


def test_a_part_of_a_layer_lacks_nothing(fresh_sessions: Sessions, tmp_path: Path) -> None:
    folder = write_data_set(tmp_path / "data", layers=1, neurons=25)
    for index in range(5, 20):
        (folder / f"explanations/0/{index}.jsonl").unlink()
        (folder / f"collated-activations/0/{index}.json").unlink()
    (folder / "explanations/0/2.jsonl").unlink()
    assert bring(fresh_sessions, folder).n_problems == 0


def test_malformed_records_are_refused_and_the_others_stay(fresh_sessions: Sessions, tmp_path: Path) -> None:
    folder = write_data_set(tmp_path / "data", layers=1, neurons=2)
    bad = neuron_record(0, 2)
    bad["random_sample"][3]["activations"].pop()
    bad["most_positive_activation_records"][0]["activations"][0] = None
    bad["random_sample"][0]["activations"][0] = 1e300
    write_json(folder / "collated-activations/0/2.json", bad)
    (folder / "collated-activations/0/3.json").write_text("<xml/>")
    outcome = bring(fresh_sessions, folder)
    assert (outcome.counts.new_neurons, outcome.n_problems) == (3, 4)
    with fresh_sessions() as session:
        problems = import_problems(session, import_id=outcome.import_id, limit=10)
        row = import_row(session, import_id=outcome.import_id)
    assert [(p.file, p.field) for p in problems] == [
        ("collated-activations/0/2.json", "most_positive_activation_records[0].activations[0]"),
        ("collated-activations/0/2.json", "random_sample[3].activations"),
        ("collated-activations/0/3.json", None),
        ("collated-activations/0/2.json", "random[0].activations"),
    ]
    assert problems[1].reason == "it has 8 tokens and 7 activations"
    assert row is not None
    assert (row.status, row.is_shown, row.progress) == ("complete", True, 1.0)


def test_a_score_that_its_simulations_do_not_give_is_doubted(fresh_sessions: Sessions, tmp_path: Path) -> None:
    write_json(tmp_path / "data/collated-activations/0/0.json", neuron_record(0, 0))
    write_json(tmp_path / "data/explanations/0/0.jsonl", simulation_results(0, 0, score=0.25))
    write_json(tmp_path / "data/explanations/0/1.jsonl", simulation_results(0, 1, (" another",)))
    bring(fresh_sessions, tmp_path / "data")
    with fresh_sessions() as session:
        doubted = session.execute(
            select(Neuron.index, ExplanationDoubt.figure)
            .join(Neuron, Neuron.id == ExplanationDoubt.neuron_id)
            .where(ExplanationDoubt.doubt == Doubt.IMPORT_DIFFERS)
        ).all()
    assert [(index, round(figure, 3) < 0) for index, figure in doubted] == [(0, True)]


def test_explanations_alone_bring_the_records_that_they_were_scored_on(
    fresh_sessions: Sessions, tmp_path: Path
) -> None:
    write_json(tmp_path / "data/explanations/0/0.jsonl", simulation_results(0, 0))
    bring(fresh_sessions, tmp_path / "data")
    with fresh_sessions() as session:
        samples = {s.kind: len(s.excerpt_ids) for s in session.scalars(select(Sample))}
    assert samples == {"top": 5, "random": 5}


def test_several_collections_of_a_subject_live_side_by_side(fresh_sessions: Sessions, tmp_path: Path) -> None:
    first = bring(fresh_sessions, write_data_set(tmp_path / "a", layers=1), collection="first")
    second = bring(fresh_sessions, write_data_set(tmp_path / "b", layers=1), collection="second")
    assert (second.counts.new_neurons, second.counts.new_activation_records) == (0, 3 * 60)
    with fresh_sessions() as session:
        rows = [import_row(session, import_id=i) for i in (first.import_id, second.import_id)]
        head = subject_head(session, slug=SLUG)
    assert [row.is_shown for row in rows if row is not None] == [True, False]
    assert (head.corpus, head.others) == ("first", ["second"])


def test_what_is_shown_is_switched_with_its_statistics(fresh_sessions: Sessions, tmp_path: Path) -> None:
    first = write_data_set(tmp_path / "a", layers=1)
    write_json(tmp_path / "b/0.json", neuron_record(0, 0, mean=0.75, skewness=None, variance=None, kurtosis=4.5))
    ids = [
        bring(fresh_sessions, first, collection="first").import_id,
        bring(fresh_sessions, tmp_path / "b", collection="second").import_id,
    ]
    with fresh_sessions() as session:
        rows = [row for i in ids if (row := import_row(session, import_id=i)) is not None]
    names = ("mean", "variance", "skewness", "kurtosis")

    def shown(collection_id: int) -> tuple[float | None, ...]:
        with transaction(fresh_sessions) as session:
            assert show_collection(session, collection_id=collection_id, account_id=None) == SLUG
        with fresh_sessions() as session:
            neuron = session.scalars(select(Neuron).where(Neuron.layer == 0, Neuron.index == 0)).one()
            return tuple(getattr(neuron, name) for name in names)

    assert shown(rows[0].collection_id) == (0.125, 0.25, 1.5, None)
    assert shown(rows[1].collection_id) == (0.75, None, None, 4.5)
    assert shown(rows[0].collection_id) == (0.125, 0.25, 1.5, None)
    with fresh_sessions() as session:
        kinds = session.scalars(select(Event.kind).where(Event.kind == "collection.shown")).all()
    assert len(kinds) == 2


def test_a_collection_that_is_not_complete_is_not_shown(fresh_sessions: Sessions, tmp_path: Path) -> None:
    bring(fresh_sessions, write_data_set(tmp_path / "a", layers=1))
    with transaction(fresh_sessions) as session:
        session.execute(update(Collection).values(status="running"))
        subject = session.scalars(select(Subject)).one()
        assert subject.collection_id is not None
        with pytest.raises(Conflict, match="not complete"):
            show_collection(session, collection_id=subject.collection_id, account_id=None)
        with pytest.raises(NotFound):
            show_collection(session, collection_id=999, account_id=None)


def test_a_folder_without_a_known_format_is_refused(fresh_sessions: Sessions, tmp_path: Path) -> None:
    (tmp_path / "readme.md").write_text("nothing")
    with pytest.raises(Invalid, match="--format"):
        bring(fresh_sessions, tmp_path)
    assert n_rows(fresh_sessions, Subject) == 0


@pytest.mark.parametrize("slug", ["", "Über", "import", "a/b"])
def test_a_subject_needs_a_name_that_an_address_can_hold(fresh_sessions: Sessions, tmp_path: Path, slug: str) -> None:
    with pytest.raises(Invalid, match="name in addresses"):
        bring(fresh_sessions, write_data_set(tmp_path), slug)


def test_text_that_the_database_cannot_hold_is_stored_in_another_form(fresh_sessions: Sessions, tmp_path: Path) -> None:
    record = neuron_record(0, 0, random_sample=[{"tokens": ["a\x00b", "\x00"], "activations": [1, 2]}])
    write_json(tmp_path / "0.json", record)
    (tmp_path / "0.jsonl").write_text(json.dumps(simulation_results(0, 0, ("NUL \x00 here",))))
    assert bring(fresh_sessions, tmp_path).n_problems == 0
    with fresh_sessions() as session:
        assert session.scalars(select(Explanation.text)).one() == "NUL ␀ here"


def test_another_format_becomes_a_subject_with_what_it_knows(fresh_sessions: Sessions, tmp_path: Path) -> None:
    address = {"modelId": "gpt2-small", "layer": "5-res-jb", "index": "7"}
    top = {**address, "tokens": ["Ġthe", "Ġcat", "Ċ"], "values": [0, 2.5, 0], "binMin": -1}
    files: dict[str, Any] = {
        "features/batch-0.jsonl": [{**address, "maxActApprox": 2.5, "frac_nonzero": 0.01, "pos_str": ["x"]}],
        "activations/batch-3.jsonl": [top, {**top, "values": [1.5, 0, 0], "binMin": 1, "binMax": 2}],
        "explanations/batch-1.jsonl": [
            {**address, "description": "<think>Okay, so we need to look</think> cats", "explanationModelName": "o4"},
            {**address, "layer": "6-mlp", "description": "of another set"},
        ],
    }
    for name, rows in files.items():
        (tmp_path / "data" / name).parent.mkdir(parents=True)
        (tmp_path / "data" / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    outcome = bring(fresh_sessions, tmp_path / "data", "sae")
    with fresh_sessions() as session:
        subject = session.scalars(select(Subject)).one()
        neuron = session.scalars(select(Neuron)).one()
        kinds = session.scalars(select(Sample.kind).order_by(Sample.kind)).all()
        (problem,) = import_problems(session, import_id=outcome.import_id, limit=5)
        doubts = session.scalars(select(ExplanationDoubt.doubt)).all()
        tokens = session.scalars(select(VocabularyToken.bytes).order_by(VocabularyToken.token_id)).all()
    assert (subject.n_layers, subject.site["module_path"], subject.site["kind"]) == (6, "{layer}-res-jb", "imported")
    assert (neuron.layer, neuron.index, neuron.max, neuron.firing_rate, neuron.mean) == (5, 7, 2.5, 0.01, None)
    assert list(kinds) == ["other", "top"]
    assert problem.reason == "it is of {layer}-mlp and the subject of {layer}-res-jb: import it as a subject of its own"
    assert Doubt.REASONING in doubts
    assert list(tokens) == [b" the", b" cat", b"\n"]


def test_scores_of_delphi_stand_with_the_explanation_of_another_file(fresh_sessions: Sessions, tmp_path: Path) -> None:
    row = {"str_tokens": ["a", " year"], "activations": [0, 3], "activating": True, "distance": 1, "prediction": True}
    files: dict[str, Any] = {
        "explanations/layers.3.mlp_latent9.txt": "years",
        "scores/detection/layers.3.mlp_latent9.txt": [row, {**row, "activations": [0, 0], "activating": False,
                                                            "prediction": False}],
        "scores/detection/layers.3.mlp_latent10.txt": [row],
        "scores/fuzz/layers.3.mlp_latent10.txt": [row],
    }  # fmt: skip
    for name, value in files.items():
        write_json(tmp_path / "data" / name, value)
    outcome = bring(fresh_sessions, tmp_path / "data", "latents")
    with fresh_sessions() as session:
        score = session.scalars(select(Score)).one()
        problems = import_problems(session, import_id=outcome.import_id, limit=5)
        assert session.get_one(Explanation, score.explanation_id).text == "years"
    assert (score.scorer, score.value, score.n_valid, score.chance) == ("detection", 1.0, 2, 0.5)
    without = {f"scores/{scorer}/layers.3.mlp_latent10.txt" for scorer in ("detection", "fuzz")}
    assert {problem.file for problem in problems} == without
    assert bring(fresh_sessions, tmp_path / "data", "latents").counts.new_scores == 0


def test_tokens_of_a_collected_subject_keep_their_ids(fresh_sessions: Sessions, tmp_path: Path) -> None:
    with transaction(fresh_sessions) as session:
        subject = Make(session).subject("tiny", n_layers=1, neurons_per_layer=2)
        collection_id = subject.collection_id
    write_json(tmp_path / "data/0.json", neuron_record(0, 1))
    write_json(tmp_path / "data/1.json", neuron_record(0, 2))
    outcome = bring(fresh_sessions, tmp_path / "data", "tiny")
    assert (outcome.counts.new_neurons, outcome.n_problems) == (1, 1)
    with fresh_sessions() as session:
        subject = session.scalars(select(Subject)).one()
        excerpt = session.scalars(select(Excerpt).order_by(Excerpt.id)).first()
        assert excerpt is not None
        neuron = session.scalars(select(Neuron)).one()
        (problem,) = import_problems(session, import_id=outcome.import_id, limit=5)
    # The factory's words are " the", " cat", " sat", " on", " import": the files' words, at the same places.
    assert excerpt.token_ids == [0] * 7 + [4]
    assert subject.collection_id == collection_id
    assert (neuron.mean, subject.n_layers) == (None, 1)
    assert problem.reason == "the subject has no neuron 0/2: it has 1 layers of at most 2 neurons"
