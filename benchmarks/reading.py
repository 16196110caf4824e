"""Random explanations of a subject with the evidence that a person needs to judge them by reading.

``python -m benchmarks.reading stdlib-gpt2 --number 60 --seed 1`` prints them from the data folder. Whether a text is
true and well worded is for the reader to count.
"""

import argparse
import random
import sys

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db import make_sessions, transaction
from app.domain.activations import ActivationRecord, NeuronRecords, SampleKind
from app.domain.tokens import Vocabulary
from app.models import Neuron, Subject
from app.queries.neurons.location import neuron_address
from app.queries.neurons.records import records_of_neurons, vocabulary
from app.schema import open_installation
from app.settings import Settings

SHOWN = {SampleKind.TOP: 6, SampleKind.BAND_4: 2, SampleKind.BAND_3: 2}
STRONGEST = 12
BEFORE, AFTER = 9, 3
"""Tokens around a peak."""


def main() -> None:
    """Print the explanations that the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("subject", help="slug of the subject")
    parser.add_argument("--number", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    wanted = parser.parse_args()
    engine = open_installation(Settings())
    with transaction(make_sessions(engine)) as session:
        for neuron in explained(session, slug=wanted.subject, number=wanted.number, seed=wanted.seed):
            sys.stdout.write("\n".join(lines(session, neuron)) + "\n\n")
    engine.dispose()


def explained(session: Session, *, slug: str, number: int, seed: int) -> list[Neuron]:
    """So many explained neurons of a subject, drawn at random, in the order in which they were drawn."""
    found = session.scalars(
        select(Neuron)
        .join(Subject, Subject.id == Neuron.subject_id)
        .where(Subject.slug == slug, Neuron.current_explanation_id.is_not(None))
        .order_by(Neuron.id)
    ).all()
    return random.Random(seed).sample(list(found), min(number, len(found)))


def lines(session: Session, neuron: Neuron) -> list[str]:
    """An explanation with its scores, the tokens that explain most of the neuron, and its highest excerpts."""
    address = neuron_address(session, neuron_id=neuron.id)
    records = records_of_neurons(session, neurons=[address.measured], collection_id=address.collection_id)[neuron.id]
    words = vocabulary(session, tokenizer_id=address.tokenizer_id)
    scores = (("whole corpus", neuron.headline_score), ("2023", neuron.current_score))
    known = ", ".join(f"{name} {value:.2f}" for name, value in scores if value is not None)
    return [
        f"{neuron.layer}/{neuron.index} ({known}): {neuron.current_text}",
        *_strongest(records, words),
        *(_excerpt(kind, r, words, records) for kind, n in SHOWN.items() for r in records.of(kind)[:n]),
    ]


def _strongest(records: NeuronRecords, words: Vocabulary) -> list[str]:
    if records.tokens is None:
        return []
    shown = records.tokens.strongest(STRONGEST)
    return ["  tokens " + "  ".join(f"{_text(words, i)} {_level(mean, records)} x{count}" for i, mean, count in shown)]


def _excerpt(kind: SampleKind, record: ActivationRecord, words: Vocabulary, records: NeuronRecords) -> str:
    at = int(record.activations.argmax())
    before, after = record.token_ids[max(0, at - BEFORE) : at], record.token_ids[at + 1 : at + 1 + AFTER]
    text = "".join(_text(words, i) for i in before) + f"«{_text(words, record.token_ids[at])}»"
    text += "".join(_text(words, i) for i in after)
    return f"  {kind} {_level(record.peak, records)} {text}"


def _level(value: float, records: NeuronRecords) -> str:
    return f"{10 * value / records.level_10:.1f}"


def _text(words: Vocabulary, token_id: int) -> str:
    return repr(words.tokens[token_id].decode("utf-8", errors="replace"))[1:-1]


if __name__ == "__main__":
    main()
