"""Synthetic neurons by COPY: every table that pages read, in a database of its own.

``python -m benchmarks.synthetic --neurons 307200 --database postgresql://...`` fills a migrated database that holds
no subject yet; without ``--database`` it fills a temporary one and prints seconds and memory. The numbers are drawn,
not computed by a model: each neuron likes one token, fires on it with noise around it, and its explanation says so.
"""

import argparse
import json
import math
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import psycopg
from rich.console import Console
from sqlalchemy import select
from sqlalchemy.engine import make_url

from app.db import make_engine, make_sessions, transaction
from app.domain.flags import FlagReason
from app.domain.sites import Site, SiteKind
from app.models import Explanation
from app.queries.common.counting import recount
from app.queries.review.flags import open_flags
from benchmarks.binary_copy import arrays, copy_rows, numbers
from benchmarks.database import empty_database
from benchmarks.synthetic_neurons import Filler, Ids, make_filler, same_number, write_chunk
from benchmarks.synthetic_text import CONTEXT_LENGTH, Text, library_text

SLUG = "synthetic"
CHUNK = 1_024
N_EXCERPTS = 20_000
SHARE_FLAGGED = 0.005


@contextmanager
def synthetic_database(n_neurons: int) -> Iterator[str]:
    """Address of a temporary embedded database with ``n_neurons`` synthetic neurons; it is gone afterwards."""
    with empty_database() as url:
        fill(url, n_neurons)
        yield url


def layers_of(n_neurons: int) -> int:
    """As many layers as GPT-2 XL has, or as the demo has where there are few neurons."""
    return 48 if n_neurons >= 100_000 else 4


def fill(url: str, n_neurons: int, *, n_layers: int | None = None, n_excerpts: int = N_EXCERPTS, seed: int = 0) -> None:
    """Write ``n_neurons`` neurons with everything that belongs to them into a migrated database."""
    text = library_text(n_excerpts)
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain) as connection:
        # Foreign keys hold by construction; checking them row by row would take longer than the COPY.
        connection.execute("SET session_replication_role = replica")
        n_layers = n_layers or layers_of(n_neurons)
        ids = _shared_rows(connection, text, n_layers, math.ceil(n_neurons / n_layers))
        filler = make_filler(connection, text, ids, seed, math.ceil(n_neurons / n_layers))
        for start in range(0, n_neurons, CHUNK):
            write_chunk(filler, np.arange(start, min(start + CHUNK, n_neurons)))
        _write_batch(filler, min(200, n_neurons))
        _write_running_batch(filler, n_neurons)
        for table in ("neuron", "explanation", "score", "run", "batch"):
            connection.execute(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), max(id)) FROM {table}")
    _flag_and_count(url, filler.ids)
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")


def _flag_and_count(url: str, ids: Ids) -> None:
    """Flag some explanations as a person does, and count what the triggers would have counted."""
    engine = make_engine(url)
    with transaction(make_sessions(engine)) as session:
        recount(session)
        chosen = session.scalars(select(Explanation.id).where(Explanation.id % round(1 / SHARE_FLAGGED) == 0)).all()
        if chosen:
            open_flags(
                session,
                explanation_ids=chosen,
                subject_id=ids.subject,
                account_id=ids.account,
                reason=FlagReason.TOO_NARROW,
                note="It also fires elsewhere.",
            )
    engine.dispose()


def _shared_rows(connection: psycopg.Connection, text: Text, n_layers: int, neurons_per_layer: int) -> Ids:
    def insert(statement: str, *values: object) -> int:
        row = connection.execute(f"{statement} RETURNING id", values).fetchone()
        return int(row[0]) if row is not None else 0

    tokenizer = insert("INSERT INTO tokenizer (digest, name) VALUES ('synthetic', 'words')")
    n = len(text.tokens)
    copy_rows(
        connection, "vocabulary", {"tokenizer_id": same_number(tokenizer, n), "token_id": numbers(range(n), ">i4")},
        ("bytes", (token.decode() for token in text.tokens)),
    )  # fmt: skip
    corpus = insert("INSERT INTO corpus (digest, name, source) VALUES ('synthetic', 'standard library', 'installed')")
    site = Site(SiteKind.MLP_POST_ACTIVATION, "transformer.h.{layer}.mlp.c_proj", (neurons_per_layer,) * n_layers)
    subject = insert(
        "INSERT INTO subject (slug, name, source, architecture, site, n_layers, neurons_per_layer, tokenizer_id,"
        " activation_function, dtype, bos_policy) VALUES"
        " (%s, 'Synthetic', 'benchmarks.synthetic', 'none', %s, %s, %s, %s, 'gelu', 'float32', 'none')",
        SLUG, json.dumps(site.as_json()), n_layers, neurons_per_layer, tokenizer,
    )  # fmt: skip
    collection = insert(
        "INSERT INTO collection (subject_id, corpus_id, status, context_length, seed, dtype, device, code_version,"
        " tokens_planned, tokens_done, n_excerpts, finished_at) VALUES"
        " (%s, %s, 'complete', %s, 0, 'float32', 'cpu', 'synthetic', %s, %s, %s, now())",
        subject, corpus, CONTEXT_LENGTH, text.excerpts.size, text.excerpts.size, len(text.excerpts),
    )  # fmt: skip
    connection.execute("UPDATE subject SET collection_id = %s", [collection])
    account = insert("INSERT INTO account (name, role) VALUES ('synthetic', 'administrator')")
    method = insert(
        "INSERT INTO method (name, version, label, explainer, simulator, scorers)"
        " VALUES ('synthetic', 1, 'Drawn', 'synthetic', 'synthetic', '[\"correlation\"]')"
    )
    return Ids(subject, collection, method, account, _write_excerpts(connection, text, corpus, tokenizer))


def _write_excerpts(connection: psycopg.Connection, text: Text, corpus: int, tokenizer: int) -> int:
    """Documents and excerpts. Returns the first excerpt's id."""
    n, m = len(text.documents), len(text.excerpts)
    copy_rows(
        connection,
        "document",
        {
            "id": numbers(range(1, n + 1), ">i8"),
            "corpus_id": same_number(corpus, n),
            "ordinal": numbers(range(n), ">i4"),
        },
        ("name", text.documents),
    )
    copy_rows(
        connection,
        "excerpt",
        {
            "id": numbers(range(1, m + 1), ">i8"),
            "corpus_id": same_number(corpus, m),
            "document_id": numbers(text.document_of + 1, ">i8"),
            "tokenizer_id": same_number(tokenizer, m),
            "position": numbers(text.position_of, ">i4"),
            "length": numbers(np.full(m, CONTEXT_LENGTH), ">i4"),
            "token_ids": arrays(text.excerpts, ">i4", 23),
        },
    )
    for table in ("document", "excerpt"):
        connection.execute(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), max(id)) FROM {table}")
    return 1


def _write_batch(filler: Filler, n: int) -> None:
    """One batch of ``n`` runs in every state that a run can be in."""
    row = filler.connection.execute(
        "INSERT INTO batch (subject_id, method_id, account_id, n_runs) VALUES (%s, %s, %s, %s) RETURNING id",
        [filler.ids.subject, filler.ids.method, filler.ids.account, n],
    ).fetchone()
    filler.connection.execute(
        "INSERT INTO run (batch_id, neuron_id, method_id, status, stage, error, attempt, executions, progress)"
        " SELECT %s, n, %s, status,"
        " CASE status WHEN 'running' THEN 'simulate' WHEN 'queued' THEN 'queued' ELSE 'done' END,"
        " CASE WHEN status IN ('failed', 'quarantined') THEN 'The records hold no activation above 0.' END, 1, 1,"
        " CASE status WHEN 'running' THEN 0.5 WHEN 'queued' THEN 0 ELSE 1 END"
        " FROM (SELECT n, (ARRAY['queued','running','succeeded','succeeded','succeeded','failed','cancelled',"
        "'quarantined'])[1 + n %% 8] AS status FROM generate_series(1, %s) AS n) AS runs",
        [row[0] if row is not None else 0, filler.ids.method, n],
    )


def _write_running_batch(filler: Filler, n: int) -> None:
    """A batch over all neurons, two fifths of it done, by a method that asks a language model twice per run."""
    method = filler.connection.execute(
        "INSERT INTO method (name, version, label, explainer, simulator, scorers, provider)"
        " VALUES ('asked', 1, 'Asked', 'synthetic', 'synthetic', '[\"correlation\"]', 'synthetic') RETURNING id"
    ).fetchone()
    batch = filler.connection.execute(
        "INSERT INTO batch (subject_id, method_id, account_id, n_runs) VALUES (%s, %s, %s, %s) RETURNING id",
        [filler.ids.subject, method[0] if method is not None else 0, filler.ids.account, n],
    ).fetchone()
    filler.connection.execute(
        "INSERT INTO run (batch_id, neuron_id, method_id, status, stage, executions, progress, started_at, finished_at)"
        " SELECT %(batch)s, n, %(method)s, status, status, CASE status WHEN 'queued' THEN 0 ELSE 1 END,"
        " CASE status WHEN 'succeeded' THEN 1 WHEN 'running' THEN 0.5 ELSE 0 END,"
        " CASE WHEN status <> 'queued' THEN now() - interval '3 s' END, CASE WHEN status = 'succeeded' THEN now() END"
        " FROM (SELECT n, CASE WHEN n <= %(n)s * 2 / 5 THEN 'succeeded' WHEN n <= %(n)s * 2 / 5 + 4 THEN 'running'"
        " ELSE 'queued' END AS status FROM generate_series(1, %(n)s) AS n) AS runs",
        {"batch": batch[0] if batch is not None else 0, "method": method[0] if method is not None else 0, "n": n},
    )
    filler.connection.execute(
        "INSERT INTO llm_call (run_id, step, request_digest, provider, request, reply, outcome, attempt, tokens_in,"
        " tokens_cached, tokens_out, price, latency_seconds, created_at)"
        " SELECT id, step, step, 'synthetic', '{\"messages\": []}', '{}', 'ok', 1, 900, 300, 40, 0.0002, 1.5,"
        " now() - make_interval(days => (id %% 30)::int)"
        " FROM run CROSS JOIN (VALUES ('explain'), ('simulate')) AS steps (step)"
        " WHERE status = 'succeeded' AND batch_id = %s",
        [batch[0] if batch is not None else 0],
    )


def main() -> None:
    """Fill a database and print the time and memory that it took."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.synthetic", description=__doc__)
    parser.add_argument("--neurons", type=int, default=10_000)
    parser.add_argument("--database", help="address of a migrated database without subjects; else a temporary one")
    arguments = parser.parse_args()
    started = time.perf_counter()
    if arguments.database is not None:
        fill(arguments.database, arguments.neurons)
    else:
        with synthetic_database(arguments.neurons):
            pass
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    seconds = time.perf_counter() - started
    Console().print(f"{arguments.neurons:,} neurons in {seconds:.1f} s, {memory:.0f} MiB of this process at most")


if __name__ == "__main__":
    main()
