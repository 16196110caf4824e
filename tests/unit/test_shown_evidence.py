from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from app.domain.executed import Mistake
from app.domain.samples import SampleKind
from app.domain.shown_evidence import SHOWN, Firing, chosen, evidence_seed, firing

sets = st.dictionaries(st.sampled_from([*SampleKind, *Mistake]), st.integers(0, 60))


@given(sets, st.integers(0, 2**40))
def test_every_set_is_represented_and_the_choice_repeats(
    n_records: Mapping[SampleKind | Mistake, int], seed: int
) -> None:
    found = chosen(n_records, seed=seed)
    assert found == chosen(n_records, seed=seed)
    for kind, most in SHOWN.items():
        n = n_records.get(kind, 0)
        assert len(found[kind]) == len(set(found[kind])) == min(most, n)
        assert all(0 <= index < n for index in found[kind])


def test_the_highest_peak_is_always_shown() -> None:
    assert all(0 in chosen({SampleKind.TOP: 50}, seed=seed)[SampleKind.TOP] for seed in range(200))


def test_false_alarms_misses_and_hard_negatives_are_among_the_evidence() -> None:
    assert {Mistake.FALSE_ALARM, Mistake.MISS, SampleKind.HARD_NEGATIVE, SampleKind.RANDOM} <= set(SHOWN)


def test_items_have_evidence_of_their_own() -> None:
    assert evidence_seed(7, 1) == evidence_seed(7, 1)
    assert len({evidence_seed(campaign, item) for campaign in range(50) for item in range(50)}) == 2500


def test_excerpts_are_named_by_what_the_neuron_does_on_them() -> None:
    assert [firing(step) for step in (-10, 0, 1, 4, 5, 10)] == [
        Firing.HARDLY, Firing.HARDLY, Firing.WEAKLY, Firing.WEAKLY, Firing.STRONGLY, Firing.STRONGLY,
    ]  # fmt: skip
    assert [each.label for each in Firing] == ["Fires strongly", "Fires weakly", "Hardly fires"]
