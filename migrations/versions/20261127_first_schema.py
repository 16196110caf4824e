"""The whole schema. Until the first release this one file is edited; after it, each change has its own."""

import hashlib
from typing import NamedTuple

import sqlalchemy as sa
from alembic import op
from procrastinate.schema import SchemaManager
from sqlalchemy.dialects import postgresql

revision = "20261127c"
down_revision = None
branch_labels = None
depends_on = None

# The schema of the queue's library, procrastinate 3.10.0, is known by its digest. An upgrade of the library comes with a
# migration of ours that runs the library's own migration scripts.
QUEUE_VERSION = "3.10.0"
QUEUE_DIGEST = "c70ec4b400a60ad9592787653aae5ae77ae41bf801d56b5bd2712751a07f2009"

# Every object of the queue's library carries its name; types last, since tables and functions use them.
DROP_QUEUE = """
DO $$
DECLARE found record;
BEGIN
    FOR found IN SELECT oid::regclass AS name FROM pg_class
        WHERE relkind = 'r' AND relname LIKE 'procrastinate\\_%' LOOP
        EXECUTE format('DROP TABLE %s CASCADE', found.name);
    END LOOP;
    FOR found IN SELECT oid::regprocedure AS name FROM pg_proc WHERE proname LIKE 'procrastinate\\_%' LOOP
        EXECUTE format('DROP FUNCTION %s CASCADE', found.name);
    END LOOP;
    FOR found IN SELECT oid::regtype AS name FROM pg_type
        WHERE typname LIKE 'procrastinate\\_%' AND typtype IN ('e', 'c') LOOP
        EXECUTE format('DROP TYPE %s CASCADE', found.name);
    END LOOP;
END $$
"""

# The bin of the score histogram, see app.queries.subjects.overview: 0 below 0, then 20 of equal width, NULL for no number.
SCORE_BIN = """
CREATE FUNCTION score_bin(score float8) RETURNS smallint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN score <> 'NaN' THEN least(width_bucket(score, 0.0::float8, 1.0::float8, 20), 20) END::smallint
$$;
"""

# The bin by which scores are ranked, see app.queries.neurons.ranks: hundredths, the outermost ones open.
RANK_BIN = """
CREATE FUNCTION rank_bin(score float8) RETURNS smallint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN score <> 'NaN' THEN floor(100 * greatest(least(score, 1.0), -1.0)) END::smallint
$$;
"""

# Neurons of a layer with a score of this kind and simulator, and how many of them are lower. Bins are compared rather
# than their borders, since a product is rounded; the range is one bin wider, for the index.
LAYER_RANK = """
CREATE FUNCTION layer_rank(of_subject bigint, of_layer smallint, of_scorer text, of_simulator text, of_score float8,
    OUT n bigint, OUT n_below bigint) LANGUAGE plpgsql STABLE AS $$
DECLARE
    own_bin smallint := rank_bin(of_score);
    low float8 := CASE WHEN own_bin > -100 THEN (own_bin - 1) / 100.0::float8 ELSE '-Infinity' END;
    n_near bigint;
BEGIN
    SELECT coalesce(sum(neurons), 0), coalesce(sum(neurons) FILTER (WHERE bin < own_bin), 0) INTO n, n_below
    FROM rank_count WHERE subject_id = of_subject AND layer = of_layer AND scorer = of_scorer
        AND simulator = of_simulator AND own_bin IS NOT NULL;
    IF n = 0 THEN
        RETURN;
    END IF;
    IF of_scorer = 'correlation' THEN
        SELECT count(*) INTO n_near FROM neuron WHERE subject_id = of_subject AND layer = of_layer
            AND current_simulator = of_simulator AND current_score >= low AND current_score < of_score
            AND rank_bin(current_score) = own_bin;
    ELSE
        SELECT count(*) INTO n_near FROM neuron WHERE subject_id = of_subject AND layer = of_layer
            AND headline_scorer = of_scorer AND headline_simulator = of_simulator
            AND headline_score >= low AND headline_score < of_score AND rank_bin(headline_score) = own_bin;
    END IF;
    n_below := n_below + n_near;
END $$;
"""


class Counted(NamedTuple):
    """A table of differences, see app.models.counts: what each row of ``source`` adds to which group.

    Each statement that changes the source adds a row per group that it changes.
    """

    target: str
    source: str
    keys: dict[str, str]
    sums: dict[str, str]
    joins: str = ""

    def select(self, rows: str, sign: str = "") -> str:
        """What these rows add, or with a sign of ``-`` take away."""
        columns = [f"{value} AS {name}" for name, value in self.keys.items()]
        columns += [f"{sign}({value}) AS {name}" for name, value in self.sums.items()]
        return f"SELECT {', '.join(columns)} FROM {rows} AS source {self.joins}"

    def insert(self, selected: str) -> str:
        """A row of differences per group that has any."""
        keys, names = ", ".join(self.keys), ", ".join([*self.keys, *self.sums])
        sums = ", ".join(f"sum({name})" for name in self.sums)
        differs = " OR ".join(f"sum({name}) <> 0" for name in self.sums)
        return (
            f"INSERT INTO {self.target} ({names}) SELECT {keys}, {sums} FROM ({selected}) AS changes"
            f" GROUP BY {keys} HAVING {differs}"
        )

    def create(self) -> str:
        """The triggers, and a function that counts everything again."""
        new, old = self.select("new_rows"), self.select("old_rows", "-")
        kinds = {
            "INSERT": ("NEW TABLE AS new_rows", new),
            "UPDATE": ("OLD TABLE AS old_rows NEW TABLE AS new_rows", f"{new} UNION ALL {old}"),
            "DELETE": ("OLD TABLE AS old_rows", old),
        }
        triggers = "".join(
            f"""
CREATE FUNCTION {self.target}_at_{event.lower()}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    {self.insert(selected)};
    RETURN NULL;
END $$;
CREATE TRIGGER {self.target}_at_{event.lower()} AFTER {event} ON {self.source} REFERENCING {tables}
    FOR EACH STATEMENT EXECUTE FUNCTION {self.target}_at_{event.lower()}();
"""
            for event, (tables, selected) in kinds.items()
        )
        return f"""{triggers}
CREATE FUNCTION recount_{self.target}() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    LOCK TABLE {self.source} IN SHARE MODE;
    LOCK TABLE {self.target} IN EXCLUSIVE MODE;
    DELETE FROM {self.target};
    {self.insert(self.select(self.source))};
END $$;
"""

    def drop(self) -> str:
        """Remove the functions; the triggers have gone with their tables."""
        functions = [f"{self.target}_at_{event}" for event in ("insert", "update", "delete")]
        return f"DROP FUNCTION {', '.join(functions)}, recount_{self.target}"


STATUSES = ("queued", "running", "succeeded", "failed", "cancelled", "no_explanation", "quarantined")
# NaN is larger than every number here: it, and what cannot be squared, would stay in a sum for ever.
HAS_SCORE = "abs(source.score) < 1e150"
HAS_MARGIN = f"{HAS_SCORE} AND abs(source.token_table) < 1e150"
COUNTED = (
    Counted(
        "run_count",
        "run",
        {"batch_id": "source.batch_id"},
        {status: f"(source.status = '{status}')::int" for status in STATUSES}
        | {
            "seconds": "CASE WHEN source.status = 'succeeded'"
            " THEN coalesce(extract(epoch FROM source.finished_at - source.started_at)::float8, 0) ELSE 0 END"
        },
    ),
    Counted(
        "change_count",
        "run_change",
        {"batch_id": "source.batch_id"},
        {change: f"(source.change = '{change}')::int" for change in ("better", "same", "worse", "first", "unclear")}
        | {"current": "(source.is_current AND NOT source.is_copy)::int"},
    ),
    Counted(
        "neuron_count",
        "neuron",
        {
            "subject_id": "source.subject_id",
            "layer": "source.layer",
            "is_headline": "(source.headline_score IS NOT NULL)",
            "simulator": "CASE WHEN source.headline_score IS NULL THEN source.current_simulator"
            " ELSE source.headline_simulator END",
            "bin": "score_bin(coalesce(source.headline_score, source.current_score))",
        },
        {
            "explained": "(source.current_explanation_id IS NOT NULL)::int",
            "flagged": "(source.n_open_flags > 0)::int",
            "doubtful": "(source.n_doubts > 0)::int",
            "rejected": "(source.current_explanation_id IS NULL AND source.n_explanations > 0)::int",
        },
    ),
    Counted(
        "rank_count",
        "neuron",
        {
            "subject_id": "source.subject_id",
            "layer": "source.layer",
            "scorer": "ranked.scorer",
            "simulator": "ranked.simulator",
            "bin": "rank_bin(ranked.score)",
        },
        {"neurons": "(rank_bin(ranked.score) IS NOT NULL)::int"},
        joins="CROSS JOIN LATERAL (VALUES (source.headline_scorer, source.headline_simulator, source.headline_score),"
        " ('correlation', source.current_simulator, source.current_score)) AS ranked (scorer, simulator, score)",
    ),
    Counted(
        "table_count",
        "neuron",
        {
            "subject_id": "source.subject_id",
            "bin": "score_bin(source.headline_score)",
            "table_bin": "score_bin(source.headline_score - source.headline_margin)",
        },
        {"neurons": "(source.headline_score IS NOT NULL AND source.headline_margin IS NOT NULL)::int"},
    ),
    Counted(
        "doubted_count",
        "explanation_doubt",
        {"subject_id": "source.subject_id", "doubt": "source.doubt"},
        {"neurons": "source.is_current::int"},
    ),
    Counted(
        "method_count",
        "method_standing",
        {
            "method_id": "source.method_id",
            "subject_id": "source.subject_id",
            "is_whole_corpus": "source.is_whole_corpus",
            "simulator": "source.simulator",
        },
        {
            "neurons": "1",
            "scored": f"CASE WHEN {HAS_SCORE} THEN 1 ELSE 0 END",
            "total": f"CASE WHEN {HAS_SCORE} THEN source.score ELSE 0 END",
            "squares": f"CASE WHEN {HAS_SCORE} THEN source.score * source.score ELSE 0 END",
            "compared": f"CASE WHEN {HAS_MARGIN} THEN 1 ELSE 0 END",
            "above": f"CASE WHEN {HAS_MARGIN} AND source.score > source.token_table THEN 1 ELSE 0 END",
            "margin": f"CASE WHEN {HAS_MARGIN} THEN source.score - source.token_table ELSE 0 END",
        },
    ),
    Counted(
        "call_count",
        "llm_call",
        {
            "day": "timezone('UTC', source.created_at)::date",
            "provider": "source.provider",
            "method_id": "run.method_id",
            "account_id": "coalesce(batch.account_id, task.account_id)",
            "is_scoring": "run.explanation_id IS NOT NULL",
        },
        {
            "calls": "1",
            "tokens_in": "coalesce(source.tokens_in, 0)",
            "tokens_cached": "coalesce(source.tokens_cached, 0)",
            "tokens_out": "coalesce(source.tokens_out, 0)",
            "price": "coalesce(source.price, 0)",
            "price_estimated": "CASE WHEN source.is_estimated THEN coalesce(source.price, 0) ELSE 0 END",
        },
        joins="LEFT JOIN run ON run.id = source.run_id LEFT JOIN batch ON batch.id = run.batch_id"
        " LEFT JOIN task ON task.id = source.task_id",
    ),
)


# What pages show has a version that each statement raises, see app.queries.common.versions. A statement that changes no
# row raises nothing. What is copied into large tables is not looked into: that would copy it once more.
NOTE_CHANGE = """
CREATE FUNCTION note_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO content_change (process, n) VALUES (pg_backend_pid(), 1)
    ON CONFLICT (process) DO UPDATE SET n = content_change.n + 1;
    RETURN NULL;
END $$;
CREATE FUNCTION note_insertion() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM new_rows) THEN
        INSERT INTO content_change (process, n) VALUES (pg_backend_pid(), 1)
        ON CONFLICT (process) DO UPDATE SET n = content_change.n + 1;
    END IF;
    RETURN NULL;
END $$;
CREATE FUNCTION note_update() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    is_changed boolean;
BEGIN
    IF TG_NARGS = 0 THEN
        is_changed := EXISTS (SELECT FROM new_rows);
    ELSE  -- columns that change while work is done, and that no page which is kept shows
        is_changed := EXISTS (
            SELECT to_jsonb(new_rows) - TG_ARGV FROM new_rows EXCEPT ALL SELECT to_jsonb(old_rows) - TG_ARGV FROM old_rows
        );
    END IF;
    IF is_changed THEN
        INSERT INTO content_change (process, n) VALUES (pg_backend_pid(), 1)
        ON CONFLICT (process) DO UPDATE SET n = content_change.n + 1;
    END IF;
    RETURN NULL;
END $$;
CREATE FUNCTION note_deletion() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM old_rows) THEN
        INSERT INTO content_change (process, n) VALUES (pg_backend_pid(), 1)
        ON CONFLICT (process) DO UPDATE SET n = content_change.n + 1;
    END IF;
    RETURN NULL;
END $$;
"""
COUNT_TABLES = tuple(counted.target for counted in COUNTED)
NOT_SHOWN = (
    "attempt_count", "content_change", "event_link", "login_token", "openid_login", "pause",
    "query_embedding", "row_seal", "spending", "turn", "worker",
)  # fmt: skip
COPIED = ("collected_neuron", "document", "excerpt", "sample", "simulation", "vocabulary")
WORK_COLUMNS = ("lease_token", "lease_until", "due_at", "stage", "progress", "worker_id", "executions")
WHILE_AT_WORK = {
    "run": WORK_COLUMNS,
    "task": WORK_COLUMNS,
    "collection": ("lease_until", "stage", "progress", "part_tokens", "tokens_done", "tokens_per_second"),
    "web_session": ("seen_at",),
}


def note_changes(table: str) -> str:
    """The triggers that raise the version when a table changes."""
    inserted = (
        "FOR EACH STATEMENT EXECUTE FUNCTION note_change()"
        if table in COPIED
        else "REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION note_insertion()"
    )
    columns = ", ".join(f"'{column}'" for column in WHILE_AT_WORK.get(table, ()))
    return f"""
CREATE TRIGGER note_insert AFTER INSERT ON {table} {inserted};
CREATE TRIGGER note_update AFTER UPDATE ON {table} REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION note_update({columns});
CREATE TRIGGER note_delete AFTER DELETE ON {table} REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION note_deletion();
"""


# In place of foreign keys from run: see app.models.Run.
CHECK_RUNS = """
CREATE FUNCTION check_inserted_runs() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM new_runs LEFT JOIN batch ON batch.id = new_runs.batch_id AND batch.method_id = new_runs.method_id
            AND batch.explanation_id IS NOT DISTINCT FROM new_runs.explanation_id
        WHERE batch.id IS NULL
    ) OR (
        SELECT count(*) FROM new_runs JOIN batch ON batch.id = new_runs.batch_id
        JOIN neuron ON neuron.id = new_runs.neuron_id AND neuron.subject_id = batch.subject_id
    ) < (SELECT count(*) FROM new_runs) THEN
        RAISE foreign_key_violation
            USING MESSAGE = 'a run has a batch, the method and the explanation of the batch, a neuron of its subject';
    END IF;
    RETURN NULL;
END $$;
CREATE FUNCTION refuse_moved_runs() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE restrict_violation USING MESSAGE = 'a run keeps its batch, neuron, method and explanation';
END $$;
CREATE FUNCTION refuse_orphaned_runs() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    has_runs boolean;
BEGIN
    EXECUTE format('SELECT EXISTS (SELECT FROM gone JOIN run ON run.%I_id = gone.id)', TG_TABLE_NAME) INTO has_runs;
    IF has_runs THEN
        RAISE foreign_key_violation USING MESSAGE = format('runs refer to this row of %I', TG_TABLE_NAME);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER check_inserted_runs AFTER INSERT ON run REFERENCING NEW TABLE AS new_runs
    FOR EACH STATEMENT EXECUTE FUNCTION check_inserted_runs();
CREATE TRIGGER refuse_moved_runs BEFORE UPDATE OF batch_id, neuron_id, method_id, explanation_id ON run
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_moved_runs();
CREATE TRIGGER refuse_orphaned_runs AFTER DELETE ON batch REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_orphaned_runs();
CREATE TRIGGER refuse_orphaned_runs AFTER DELETE ON neuron REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_orphaned_runs();
"""
DROP_CHECK_RUNS = "DROP FUNCTION check_inserted_runs, refuse_moved_runs, refuse_orphaned_runs"


def run(script: str) -> None:
    """Several statements at once, taken literally: a percent sign is no placeholder here."""
    cursor = op.get_bind().connection.cursor()
    cursor.execute(script)
    cursor.close()


# generated: begin
TABLES = (
    "account",
    "attempt_count",
    "call_count",
    "change_count",
    "content_change",
    "corpus",
    "doubted_count",
    "embedding_model",
    "method",
    "method_count",
    "neuron_count",
    "openid_login",
    "pause",
    "rank_count",
    "row_seal",
    "run",
    "run_count",
    "table_count",
    "tokenizer",
    "turn",
    "worker",
    "api_token",
    "document",
    "login_token",
    "news",
    "openid_identity",
    "provider",
    "query_embedding",
    "saved_search",
    "second_factor",
    "spending",
    "subject",
    "vocabulary",
    "web_session",
    "batch",
    "campaign",
    "collection",
    "excerpt",
    "neuron",
    "neuron_list",
    "task",
    "audit_statement",
    "campaign_draw",
    "campaign_version",
    "collected_neuron",
    "data_import",
    "event",
    "explanation",
    "listed_neuron",
    "llm_call",
    "sample",
    "corpus_check",
    "event_link",
    "explanation_doubt",
    "import_problem",
    "imported_judgement",
    "review_item",
    "run_change",
    "score",
    "simulation",
    "check_mistake",
    "flag",
    "method_standing",
    "rejected_explanation",
    "review_control",
    "review_skip",
    "review_slot",
    "verdict",
)


def create_tables() -> None:
    op.create_table(
        "account",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), server_default="person", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("email", sa.String(), nullable=True),
        sa.Column("password_hash", sa.String(), nullable=True),
        sa.Column("price_cap_per_day", sa.Double(), nullable=True),
        sa.Column("news_seen_id", sa.BigInteger(), server_default="0", nullable=False),
        sa.CheckConstraint("kind IN ('person', 'language_model', 'simulated')", name=op.f("ck_account_kind")),
        sa.CheckConstraint(
            "role IN ('viewer', 'reviewer', 'operator', 'adjudicator', 'administrator')", name=op.f("ck_account_role")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account")),
        sa.UniqueConstraint("email", name=op.f("uq_account_email")),
        sa.UniqueConstraint("name", name=op.f("uq_account_name")),
    )
    op.create_table(
        "attempt_count",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_attempt_count")),
    )
    op.create_table(
        "call_count",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("method_id", sa.BigInteger(), nullable=True),
        sa.Column("account_id", sa.BigInteger(), nullable=True),
        sa.Column("is_scoring", sa.Boolean(), nullable=False),
        sa.Column("calls", sa.Integer(), nullable=False),
        sa.Column("tokens_in", sa.BigInteger(), nullable=False),
        sa.Column("tokens_cached", sa.BigInteger(), nullable=False),
        sa.Column("tokens_out", sa.BigInteger(), nullable=False),
        sa.Column("price", sa.Double(), nullable=False),
        sa.Column("price_estimated", sa.Double(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_call_count")),
    )
    op.create_index("ix_call_count_day", "call_count", ["day"], unique=False)
    op.create_table(
        "change_count",
        sa.Column("batch_id", sa.BigInteger(), nullable=False),
        sa.Column("better", sa.Integer(), nullable=False),
        sa.Column("same", sa.Integer(), nullable=False),
        sa.Column("worse", sa.Integer(), nullable=False),
        sa.Column("first", sa.Integer(), nullable=False),
        sa.Column("unclear", sa.Integer(), nullable=False),
        sa.Column("current", sa.Integer(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_change_count")),
    )
    op.create_index("ix_change_count_batch_id", "change_count", ["batch_id"], unique=False)
    op.create_table(
        "content_change",
        sa.Column("process", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("process", name=op.f("pk_content_change")),
    )
    op.create_table(
        "corpus",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_corpus")),
        sa.UniqueConstraint("digest", name=op.f("uq_corpus_digest")),
    )
    op.create_table(
        "doubted_count",
        sa.Column("subject_id", sa.BigInteger(), nullable=False),
        sa.Column("doubt", sa.String(), nullable=False),
        sa.Column("neurons", sa.Integer(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_doubted_count")),
    )
    op.create_table(
        "embedding_model",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("label", sa.String(), nullable=False),
        sa.Column("dimensions", sa.Integer(), nullable=False),
        sa.Column("chosen_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_embedding_model")),
        sa.UniqueConstraint("source", "digest", name=op.f("uq_embedding_model_source_digest")),
    )
    op.create_table(
        "method",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("label", sa.String(), nullable=False),
        sa.Column("explainer", sa.String(), nullable=False),
        sa.Column("simulator", sa.String(), nullable=False),
        sa.Column("scorers", postgresql.JSONB(), nullable=False),
        sa.Column("provider", sa.String(), nullable=True),
        sa.Column("parameters", postgresql.JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_method")),
        sa.UniqueConstraint("name", "version", name=op.f("uq_method_name_version")),
    )
    op.create_table(
        "method_count",
        sa.Column("method_id", sa.BigInteger(), nullable=False),
        sa.Column("subject_id", sa.BigInteger(), nullable=False),
        sa.Column("is_whole_corpus", sa.Boolean(), nullable=False),
        sa.Column("simulator", sa.String(), nullable=True),
        sa.Column("neurons", sa.Integer(), nullable=False),
        sa.Column("scored", sa.Integer(), nullable=False),
        sa.Column("total", sa.Double(), nullable=False),
        sa.Column("squares", sa.Double(), nullable=False),
        sa.Column("compared", sa.Integer(), nullable=False),
        sa.Column("above", sa.Integer(), nullable=False),
        sa.Column("margin", sa.Double(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_method_count")),
    )
    op.create_table(
        "neuron_count",
        sa.Column("subject_id", sa.BigInteger(), nullable=False),
        sa.Column("layer", sa.SmallInteger(), nullable=False),
        sa.Column("is_headline", sa.Boolean(), nullable=False),
        sa.Column("simulator", sa.String(), nullable=True),
        sa.Column("bin", sa.SmallInteger(), nullable=True),
        sa.Column("explained", sa.Integer(), nullable=False),
        sa.Column("flagged", sa.Integer(), nullable=False),
        sa.Column("doubtful", sa.Integer(), nullable=False),
        sa.Column("rejected", sa.Integer(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_neuron_count")),
    )
    op.create_table(
        "openid_login",
        sa.Column("state_hash", sa.String(), nullable=False),
        sa.Column("browser_hash", sa.String(), nullable=False),
        sa.Column("nonce", sa.String(), nullable=False),
        sa.Column("code_verifier", sa.String(), nullable=False),
        sa.Column("back", sa.String(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("state_hash", name=op.f("pk_openid_login")),
    )
    op.create_table(
        "pause",
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("n_failures", sa.Integer(), server_default="1", nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("provider", name=op.f("pk_pause")),
    )
    op.create_table(
        "rank_count",
        sa.Column("subject_id", sa.BigInteger(), nullable=False),
        sa.Column("layer", sa.SmallInteger(), nullable=False),
        sa.Column("scorer", sa.String(), nullable=True),
        sa.Column("simulator", sa.String(), nullable=True),
        sa.Column("bin", sa.SmallInteger(), nullable=True),
        sa.Column("neurons", sa.Integer(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rank_count")),
    )
    op.create_index(
        "ix_rank_count_layer",
        "rank_count",
        ["subject_id", "layer", "scorer", "simulator", "bin"],
        unique=False,
        postgresql_include=["neurons"],
    )
    op.create_table(
        "row_seal",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("table_name", sa.String(), nullable=False),
        sa.Column("keys", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("digests", sa.ARRAY(sa.LargeBinary()), nullable=False),
        sa.CheckConstraint("cardinality(keys) = cardinality(digests)", name=op.f("ck_row_seal_digests")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_row_seal")),
    )
    op.create_table(
        "run",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("batch_id", sa.BigInteger(), nullable=False),
        sa.Column("neuron_id", sa.BigInteger(), nullable=False),
        sa.Column("method_id", sa.BigInteger(), nullable=False),
        sa.Column("explanation_id", sa.BigInteger(), nullable=True),
        sa.Column("before_explanation_id", sa.BigInteger(), nullable=True),
        sa.Column("status", sa.String(), server_default="queued", nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lease_token", sa.Uuid(), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attempt", sa.Integer(), server_default="0", nullable=False),
        sa.Column("deaths", sa.Integer(), server_default="0", nullable=False),
        sa.Column("executions", sa.Integer(), server_default="0", nullable=False),
        sa.Column("stage", sa.String(), server_default="queued", nullable=False),
        sa.Column("progress", sa.Double(), server_default="0", nullable=False),
        sa.Column("error", sa.String(), nullable=True),
        sa.Column("worker_id", sa.Uuid(), nullable=True),
        sa.Column("queued_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "status IN ('queued', 'running', 'succeeded', 'failed', 'cancelled', 'no_explanation', 'quarantined')",
            name=op.f("ck_run_status"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_run")),
    )
    op.create_index("ix_run_batch_id", "run", ["batch_id", "id"], unique=False)
    op.create_index(
        "ix_run_begun",
        "run",
        ["batch_id", "status", "id"],
        unique=False,
        postgresql_where=sa.text("status <> 'queued'"),
    )
    op.create_index(
        "ix_run_explanation_id",
        "run",
        ["explanation_id"],
        unique=False,
        postgresql_where=sa.text("explanation_id IS NOT NULL"),
    )
    op.create_index(
        "ix_run_lease", "run", ["lease_until"], unique=False, postgresql_where=sa.text("status = 'running'")
    )
    op.create_index("ix_run_neuron_id", "run", ["neuron_id"], unique=False)
    op.create_index(
        "ix_run_no_explanation",
        "run",
        ["neuron_id"],
        unique=False,
        postgresql_where=sa.text("status = 'no_explanation'"),
    )
    op.create_index(
        "ix_run_queued", "run", ["batch_id", "id"], unique=False, postgresql_where=sa.text("status = 'queued'")
    )
    op.create_index(
        "uq_run_active",
        "run",
        ["neuron_id", "method_id"],
        unique=True,
        postgresql_where=sa.text("status IN ('queued', 'running')"),
    )
    op.create_table(
        "run_count",
        sa.Column("batch_id", sa.BigInteger(), nullable=False),
        sa.Column("queued", sa.Integer(), nullable=False),
        sa.Column("running", sa.Integer(), nullable=False),
        sa.Column("succeeded", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("cancelled", sa.Integer(), nullable=False),
        sa.Column("no_explanation", sa.Integer(), nullable=False),
        sa.Column("quarantined", sa.Integer(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_run_count")),
    )
    op.create_index("ix_run_count_batch_id", "run_count", ["batch_id"], unique=False)
    op.create_table(
        "table_count",
        sa.Column("subject_id", sa.BigInteger(), nullable=False),
        sa.Column("bin", sa.SmallInteger(), nullable=True),
        sa.Column("table_bin", sa.SmallInteger(), nullable=True),
        sa.Column("neurons", sa.Integer(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_table_count")),
    )
    op.create_table(
        "tokenizer",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tokenizer")),
        sa.UniqueConstraint("digest", name=op.f("uq_tokenizer_digest")),
    )
    op.create_table(
        "turn",
        sa.Column("lane", sa.String(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("taken_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("n_taken", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("lane", "account_id", name=op.f("pk_turn")),
    )
    op.create_table(
        "worker",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("device", sa.String(), nullable=False),
        sa.Column("doing", sa.String(), server_default="idle", nullable=False),
        sa.Column("n_finished", sa.Integer(), server_default="0", nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("stopped_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_worker")),
    )
    op.create_table(
        "api_token",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("token_hash", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("scope IN ('read', 'review', 'queue', 'all')", name=op.f("ck_api_token_scope")),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_api_token_account_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_token")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_api_token_token_hash")),
    )
    op.create_index(op.f("ix_api_token_account_id"), "api_token", ["account_id"], unique=False)
    op.create_table(
        "document",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("corpus_id", sa.BigInteger(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("byte_offset", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["corpus_id"], ["corpus.id"], name=op.f("fk_document_corpus_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_document")),
        sa.UniqueConstraint("corpus_id", "ordinal", name=op.f("uq_document_corpus_id_ordinal")),
    )
    op.create_index(
        "ix_document_name",
        "document",
        ["corpus_id", sa.literal_column("hashtextextended(name, 0)")],
        unique=False,
    )
    op.create_table(
        "login_token",
        sa.Column("token_hash", sa.String(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_login_token_account_id")),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_login_token")),
    )
    op.create_table(
        "news",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("flag_id", sa.BigInteger(), nullable=True),
        sa.Column("batch_id", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("kind IN ('flag_settled', 'batch_ended')", name=op.f("ck_news_kind")),
        sa.CheckConstraint("(flag_id IS NULL) <> (batch_id IS NULL)", name=op.f("ck_news_about_one")),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_news_account_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_news")),
    )
    op.create_index("ix_news_account_id", "news", ["account_id", "id"], unique=False)
    op.create_table(
        "openid_identity",
        sa.Column("issuer", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_openid_identity_account_id")),
        sa.PrimaryKeyConstraint("issuer", "subject", name=op.f("pk_openid_identity")),
        sa.UniqueConstraint("account_id", "issuer", name=op.f("uq_openid_identity_account_id_issuer")),
    )
    op.create_table(
        "provider",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("base_url", sa.String(), nullable=True),
        sa.Column("key_variable", sa.String(), nullable=True),
        sa.Column("key_encrypted", sa.LargeBinary(), nullable=True),
        sa.Column("allowed_networks", postgresql.JSONB(), server_default=sa.text("'[]'::jsonb"), nullable=False),
        sa.Column("concurrency", sa.Integer(), server_default="8", nullable=False),
        sa.Column("requests_per_minute", sa.Integer(), nullable=True),
        sa.Column("tokens_per_minute", sa.Integer(), nullable=True),
        sa.Column("timeout_seconds", sa.Double(), server_default="120", nullable=False),
        sa.Column("price_in", sa.Double(), server_default="0", nullable=False),
        sa.Column("price_cached", sa.Double(), server_default="0", nullable=False),
        sa.Column("price_out", sa.Double(), server_default="0", nullable=False),
        sa.Column("options", postgresql.JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("capabilities", postgresql.JSONB(), nullable=True),
        sa.Column("probed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("probe_error", sa.String(), nullable=True),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("key_set_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("key_set_by", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("kind IN ('openai_compatible', 'local')", name=op.f("ck_provider_kind")),
        sa.ForeignKeyConstraint(["key_set_by"], ["account.id"], name=op.f("fk_provider_key_set_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_provider")),
        sa.UniqueConstraint("name", name=op.f("uq_provider_name")),
    )
    op.create_table(
        "query_embedding",
        sa.Column("model_id", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("embedding", sa.ARRAY(sa.REAL()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["model_id"], ["embedding_model.id"], name=op.f("fk_query_embedding_model_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("model_id", "digest", name=op.f("pk_query_embedding")),
    )
    op.create_table(
        "saved_search",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_saved_search_account_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_saved_search")),
        sa.UniqueConstraint("account_id", "name", name=op.f("uq_saved_search_account_id_name")),
    )
    op.create_table(
        "second_factor",
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("secret_encrypted", sa.LargeBinary(), nullable=False),
        sa.Column("last_step", sa.BigInteger(), nullable=False),
        sa.Column("recovery_hashes", sa.ARRAY(sa.String()), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_second_factor_account_id")),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_second_factor")),
    )
    op.create_table(
        "spending",
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("spent", sa.Double(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_spending_account_id")),
        sa.PrimaryKeyConstraint("account_id", "day", name=op.f("pk_spending")),
    )
    op.create_table(
        "subject",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("slug", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("revision", sa.String(), nullable=True),
        sa.Column("weights_digest", sa.String(), nullable=True),
        sa.Column("architecture", sa.String(), nullable=False),
        sa.Column("site", postgresql.JSONB(), nullable=False),
        sa.Column("n_layers", sa.Integer(), nullable=False),
        sa.Column("neurons_per_layer", sa.Integer(), nullable=False),
        sa.Column("tokenizer_id", sa.BigInteger(), nullable=False),
        sa.Column("activation_function", sa.String(), nullable=True),
        sa.Column("dtype", sa.String(), nullable=False),
        sa.Column("bos_policy", sa.String(), nullable=False),
        sa.Column("permutation_seed", sa.BigInteger(), nullable=True),
        sa.Column("null_twin_of_id", sa.BigInteger(), nullable=True),
        sa.Column("collection_id", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["null_twin_of_id"], ["subject.id"], name=op.f("fk_subject_null_twin_of_id")),
        sa.ForeignKeyConstraint(["tokenizer_id"], ["tokenizer.id"], name=op.f("fk_subject_tokenizer_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subject")),
        sa.UniqueConstraint("slug", name=op.f("uq_subject_slug")),
    )
    op.create_table(
        "vocabulary",
        sa.Column("tokenizer_id", sa.BigInteger(), nullable=False),
        sa.Column("token_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("bytes", sa.LargeBinary(), nullable=False),
        sa.Column("model_id", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["tokenizer_id"], ["tokenizer.id"], name=op.f("fk_vocabulary_tokenizer_id")),
        sa.PrimaryKeyConstraint("tokenizer_id", "token_id", name=op.f("pk_vocabulary")),
    )
    op.create_table(
        "web_session",
        sa.Column("token_hash", sa.String(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("agent", sa.String(), server_default="", nullable=False),
        sa.Column("by_openid", sa.Boolean(), server_default="false", nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_web_session_account_id")),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_web_session")),
    )
    op.create_table(
        "batch",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("subject_id", sa.BigInteger(), nullable=False),
        sa.Column("method_id", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=True),
        sa.Column("explanation_id", sa.BigInteger(), nullable=True),
        sa.Column("n_runs", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("cancelled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("title", sa.String(), server_default="", nullable=False),
        sa.Column("filters", sa.String(), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("price_cap", sa.Double(), nullable=True),
        sa.Column("spent", sa.Double(), server_default="0", nullable=False),
        sa.Column("spent_estimated", sa.Double(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_batch_account_id")),
        sa.ForeignKeyConstraint(["method_id"], ["method.id"], name=op.f("fk_batch_method_id")),
        sa.ForeignKeyConstraint(["subject_id"], ["subject.id"], name=op.f("fk_batch_subject_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_batch")),
    )
    op.create_index("ix_batch_account_id", "batch", ["account_id", "id"], unique=False)
    op.create_index("ix_batch_method_id", "batch", ["method_id"], unique=False)
    op.create_index("ix_batch_unended", "batch", ["id"], unique=False, postgresql_where=sa.text("ended_at IS NULL"))
    op.create_table(
        "campaign",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("subject_id", sa.BigInteger(), nullable=True),
        sa.Column("is_standing", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("state", sa.String(), server_default="open", nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(state = 'ended') = (ended_at IS NOT NULL)", name=op.f("ck_campaign_ended")),
        sa.CheckConstraint("state IN ('preparing', 'open', 'ended')", name=op.f("ck_campaign_state")),
        sa.CheckConstraint("is_standing OR subject_id IS NOT NULL", name=op.f("ck_campaign_subject")),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_campaign_account_id")),
        sa.ForeignKeyConstraint(["subject_id"], ["subject.id"], name=op.f("fk_campaign_subject_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_campaign")),
    )
    op.create_index("ix_campaign_subject_id", "campaign", ["subject_id"], unique=False)
    op.create_index(
        "uq_campaign_standing", "campaign", ["is_standing"], unique=True, postgresql_where=sa.text("is_standing")
    )
    op.create_table(
        "collection",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("subject_id", sa.BigInteger(), nullable=False),
        sa.Column("corpus_id", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.String(), server_default="running", nullable=False),
        sa.Column("context_length", sa.Integer(), nullable=False),
        sa.Column("seed", sa.Integer(), nullable=False),
        sa.Column("dtype", sa.String(), nullable=False),
        sa.Column("device", sa.String(), nullable=False),
        sa.Column("code_version", sa.String(), nullable=False),
        sa.Column("tokens_planned", sa.BigInteger(), nullable=False),
        sa.Column("tokens_done", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("tokens_per_second", sa.Double(), nullable=True),
        sa.Column("n_excerpts", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("n_copies", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("notes", postgresql.JSONB(), server_default=sa.text("'[]'::jsonb"), nullable=False),
        sa.Column("error", sa.String(), nullable=True),
        sa.Column("key", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("stage", sa.String(), server_default="cut", nullable=False),
        sa.Column("progress", sa.Double(), server_default="0", nullable=False),
        sa.Column("part_tokens", postgresql.JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "stage IN ('cut', 'pilot', 'collect', 'look', 'check', 'store')", name=op.f("ck_collection_stage")
        ),
        sa.CheckConstraint("status IN ('running', 'complete', 'failed')", name=op.f("ck_collection_status")),
        sa.ForeignKeyConstraint(["corpus_id"], ["corpus.id"], name=op.f("fk_collection_corpus_id")),
        sa.ForeignKeyConstraint(["subject_id"], ["subject.id"], name=op.f("fk_collection_subject_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_collection")),
        sa.UniqueConstraint("key", name=op.f("uq_collection_key")),
    )
    op.create_index("ix_collection_subject_id", "collection", ["subject_id"], unique=False)
    op.create_table(
        "excerpt",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("corpus_id", sa.BigInteger(), nullable=False),
        sa.Column("document_id", sa.BigInteger(), nullable=True),
        sa.Column("tokenizer_id", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("length", sa.Integer(), nullable=False),
        sa.Column("token_ids", sa.ARRAY(sa.Integer()), nullable=False),
        sa.ForeignKeyConstraint(["corpus_id"], ["corpus.id"], name=op.f("fk_excerpt_corpus_id")),
        sa.ForeignKeyConstraint(["document_id"], ["document.id"], name=op.f("fk_excerpt_document_id")),
        sa.ForeignKeyConstraint(["tokenizer_id"], ["tokenizer.id"], name=op.f("fk_excerpt_tokenizer_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_excerpt")),
        sa.UniqueConstraint(
            "document_id",
            "tokenizer_id",
            "position",
            "length",
            name=op.f("uq_excerpt_document_id_tokenizer_id_position_length"),
        ),
    )
    op.create_index(
        "ix_excerpt_text",
        "excerpt",
        ["corpus_id", sa.literal_column("hash_array_extended(token_ids, 0)")],
        unique=False,
        postgresql_where=sa.text("document_id IS NULL"),
    )
    op.create_table(
        "neuron",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("subject_id", sa.BigInteger(), nullable=False),
        sa.Column("layer", sa.SmallInteger(), nullable=False),
        sa.Column("index", sa.Integer(), nullable=False),
        sa.Column("mean", sa.Double(), nullable=True),
        sa.Column("variance", sa.Double(), nullable=True),
        sa.Column("skewness", sa.Double(), nullable=True),
        sa.Column("kurtosis", sa.Double(), nullable=True),
        sa.Column("min", sa.Double(), nullable=True),
        sa.Column("max", sa.Double(), nullable=True),
        sa.Column("firing_rate", sa.Double(), nullable=True),
        sa.Column("peak_quantiles", sa.ARRAY(sa.REAL()), nullable=True),
        sa.Column("histogram_counts", sa.ARRAY(sa.BigInteger()), nullable=True),
        sa.Column("histogram_edges", sa.ARRAY(sa.REAL()), nullable=True),
        sa.Column("current_explanation_id", sa.BigInteger(), nullable=True),
        sa.Column("current_text", sa.String(), nullable=True),
        sa.Column("current_score", sa.Double(), nullable=True),
        sa.Column("current_simulator", sa.String(), nullable=True),
        sa.Column("headline_score", sa.Double(), nullable=True),
        sa.Column("headline_scorer", sa.String(), nullable=True),
        sa.Column("headline_simulator", sa.String(), nullable=True),
        sa.Column("headline_precision", sa.Double(), nullable=True),
        sa.Column("headline_recall", sa.Double(), nullable=True),
        sa.Column("headline_margin", sa.Double(), nullable=True),
        sa.Column("twin_percentile", sa.Double(), nullable=True),
        sa.Column("n_explanations", sa.Integer(), server_default="0", nullable=False),
        sa.Column("n_open_flags", sa.Integer(), server_default="0", nullable=False),
        sa.Column("n_doubts", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column(
            "search",
            postgresql.TSVECTOR(),
            sa.Computed(
                "to_tsvector('english'::regconfig, coalesce(current_text, '')) || to_tsvector('simple'::regconfig, coalesce(current_text, ''))",
                persisted=True,
            ),
            nullable=True,
        ),
        sa.ForeignKeyConstraint(["subject_id"], ["subject.id"], name=op.f("fk_neuron_subject_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_neuron")),
        sa.UniqueConstraint(
            "subject_id",
            "layer",
            "index",
            name=op.f("uq_neuron_subject_id_layer_index"),
            postgresql_include=[
                "headline_score",
                "current_score",
                "firing_rate",
                "n_doubts",
                "n_open_flags",
                "n_explanations",
                "current_explanation_id",
            ],
        ),
    )
    op.create_index(
        "ix_neuron_doubtful", "neuron", ["subject_id"], unique=False, postgresql_where=sa.text("n_doubts > 0")
    )
    op.create_index(
        "ix_neuron_explained",
        "neuron",
        ["subject_id", "layer", "index"],
        unique=False,
        postgresql_where=sa.text("current_explanation_id IS NOT NULL"),
    )
    op.create_index("ix_neuron_firing_rate", "neuron", ["subject_id", "firing_rate", "id"], unique=False)
    op.create_index(
        "ix_neuron_flags", "neuron", ["subject_id"], unique=False, postgresql_where=sa.text("n_open_flags > 0")
    )
    op.create_index("ix_neuron_headline", "neuron", ["subject_id", "headline_score", "id"], unique=False)
    op.create_index(
        "ix_neuron_layer_headline",
        "neuron",
        ["subject_id", "layer", "headline_scorer", "headline_simulator", "headline_score"],
        unique=False,
    )
    op.create_index(
        "ix_neuron_layer_score",
        "neuron",
        ["subject_id", "layer", "current_simulator", "current_score"],
        unique=False,
        postgresql_include=["current_explanation_id"],
    )
    op.create_index("ix_neuron_margin", "neuron", ["subject_id", "headline_margin", "id"], unique=False)
    op.create_index("ix_neuron_max", "neuron", ["subject_id", "max", "id"], unique=False)
    op.create_index(
        "ix_neuron_rejected",
        "neuron",
        ["subject_id", "layer", "index"],
        unique=False,
        postgresql_where=sa.text("current_explanation_id IS NULL AND n_explanations > 0"),
    )
    op.create_index(
        "ix_neuron_same_text", "neuron", ["subject_id", sa.literal_column("md5(current_text)")], unique=False
    )
    op.create_index("ix_neuron_score", "neuron", ["subject_id", "current_score", "id"], unique=False)
    op.create_index("ix_neuron_search", "neuron", ["search"], unique=False, postgresql_using="gin")
    op.create_index(
        "ix_neuron_search_sample",
        "neuron",
        ["search"],
        unique=False,
        postgresql_using="gin",
        postgresql_where=sa.text("id % 17 = 0"),
    )
    op.create_index("ix_neuron_twin_percentile", "neuron", ["subject_id", "twin_percentile", "id"], unique=False)
    op.create_index(
        "ix_neuron_unexplained",
        "neuron",
        ["subject_id", "layer", "index"],
        unique=False,
        postgresql_where=sa.text("current_explanation_id IS NULL"),
    )
    op.create_table(
        "neuron_list",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("subject_id", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_neuron_list_account_id")),
        sa.ForeignKeyConstraint(["subject_id"], ["subject.id"], name=op.f("fk_neuron_list_subject_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_neuron_list")),
        sa.UniqueConstraint("account_id", "subject_id", "name", name=op.f("uq_neuron_list_account_id_subject_id_name")),
    )
    op.create_index("ix_neuron_list_subject_id", "neuron_list", ["subject_id"], unique=False)
    op.create_table(
        "task",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("lane", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("subject_id", sa.BigInteger(), nullable=True),
        sa.Column("account_id", sa.BigInteger(), nullable=True),
        sa.Column("provider", sa.String(), nullable=True),
        sa.Column("unique_key", sa.String(), nullable=True),
        sa.Column("parameters", postgresql.JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("result", postgresql.JSONB(), nullable=True),
        sa.Column("status", sa.String(), server_default="queued", nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lease_token", sa.Uuid(), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attempt", sa.Integer(), server_default="0", nullable=False),
        sa.Column("deaths", sa.Integer(), server_default="0", nullable=False),
        sa.Column("executions", sa.Integer(), server_default="0", nullable=False),
        sa.Column("stage", sa.String(), server_default="queued", nullable=False),
        sa.Column("progress", sa.Double(), server_default="0", nullable=False),
        sa.Column("error", sa.String(), nullable=True),
        sa.Column("worker_id", sa.Uuid(), nullable=True),
        sa.Column("queued_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "status IN ('queued', 'running', 'succeeded', 'failed', 'cancelled', 'no_explanation', 'quarantined')",
            name=op.f("ck_task_status"),
        ),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_task_account_id")),
        sa.ForeignKeyConstraint(["subject_id"], ["subject.id"], name=op.f("fk_task_subject_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_task")),
    )
    op.create_index(
        "ix_task_active",
        "task",
        ["status", "id"],
        unique=False,
        postgresql_where=sa.text("status IN ('queued', 'running')"),
    )
    op.create_index("ix_task_subject_id", "task", ["subject_id", "id"], unique=False)
    op.create_index(
        "uq_task_active",
        "task",
        ["unique_key"],
        unique=True,
        postgresql_where=sa.text("status IN ('queued', 'running')"),
    )
    op.create_table(
        "audit_statement",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column("statements", postgresql.JSONB(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_audit_statement_account_id")),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaign.id"], name=op.f("fk_audit_statement_campaign_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_statement")),
    )
    op.create_index("ix_audit_statement_campaign_id", "audit_statement", ["campaign_id", "id"], unique=False)
    op.create_table(
        "campaign_draw",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("stratified_by", sa.String(), nullable=True),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("parameters", postgresql.JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("frame", sa.ARRAY(sa.BigInteger()), server_default=sa.text("'{}'::bigint[]"), nullable=False),
        sa.Column(
            "frame_strata", sa.ARRAY(sa.SmallInteger()), server_default=sa.text("'{}'::smallint[]"), nullable=False
        ),
        sa.Column("strata", postgresql.JSONB(), server_default=sa.text("'[]'::jsonb"), nullable=False),
        sa.Column("n_items", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "(source = 'sample') = (cardinality(frame) > 0)", name=op.f("ck_campaign_draw_sample_has_frame")
        ),
        sa.CheckConstraint(
            "source IN ('flag', 'doubt', 'filter', 'sample', 'control')", name=op.f("ck_campaign_draw_source")
        ),
        sa.CheckConstraint(
            "stratified_by IN ('layer', 'score_band', 'score_2023_band', 'firing_rate')",
            name=op.f("ck_campaign_draw_stratified_by"),
        ),
        sa.CheckConstraint("cardinality(frame) = cardinality(frame_strata)", name=op.f("ck_campaign_draw_frame")),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_campaign_draw_account_id")),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaign.id"], name=op.f("fk_campaign_draw_campaign_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_campaign_draw")),
    )
    op.create_index("ix_campaign_draw_campaign_id", "campaign_draw", ["campaign_id"], unique=False)
    op.create_table(
        "campaign_version",
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("question", sa.String(), nullable=False),
        sa.Column("instructions", sa.String(), nullable=False),
        sa.Column("instructions_digest", sa.String(), nullable=False),
        sa.Column("verdicts_per_item", sa.SmallInteger(), nullable=False),
        sa.Column("participants", sa.String(), nullable=False),
        sa.Column("account_ids", sa.ARRAY(sa.BigInteger()), server_default=sa.text("'{}'::bigint[]"), nullable=False),
        sa.Column("is_blind", sa.Boolean(), nullable=False),
        sa.Column("asks_guess", sa.Boolean(), nullable=False),
        sa.Column("control_share", sa.Double(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "(participants = 'named') = (cardinality(account_ids) > 0)", name=op.f("ck_campaign_version_named")
        ),
        sa.CheckConstraint("participants IN ('reviewers', 'named')", name=op.f("ck_campaign_version_participants")),
        sa.CheckConstraint("control_share BETWEEN 0 AND 0.5", name=op.f("ck_campaign_version_control_share")),
        sa.CheckConstraint("verdicts_per_item BETWEEN 1 AND 5", name=op.f("ck_campaign_version_verdicts_per_item")),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_campaign_version_account_id")),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaign.id"], name=op.f("fk_campaign_version_campaign_id")),
        sa.PrimaryKeyConstraint("campaign_id", "number", name=op.f("pk_campaign_version")),
    )
    op.create_table(
        "collected_neuron",
        sa.Column("neuron_id", sa.BigInteger(), nullable=False),
        sa.Column("collection_id", sa.BigInteger(), nullable=False),
        sa.Column("mean", sa.Double(), nullable=True),
        sa.Column("variance", sa.Double(), nullable=True),
        sa.Column("max", sa.Double(), nullable=True),
        sa.Column("n_alike", sa.SmallInteger(), nullable=True),
        sa.Column("band_edges", sa.ARRAY(sa.REAL()), nullable=True),
        sa.Column("stratum_sizes", sa.ARRAY(sa.BigInteger()), nullable=True),
        sa.Column("token_ids", sa.ARRAY(sa.Integer()), nullable=False),
        sa.Column("token_means", sa.ARRAY(sa.REAL()), nullable=False),
        sa.Column("token_counts", sa.ARRAY(sa.BigInteger()), nullable=False),
        sa.Column(
            "strongest_tokens", sa.ARRAY(sa.Integer()), sa.Computed("token_ids[1:10]", persisted=True), nullable=False
        ),
        sa.Column("nearest", sa.ARRAY(sa.Integer()), nullable=True),
        sa.Column("facts", postgresql.JSONB(), nullable=True),
        sa.ForeignKeyConstraint(["collection_id"], ["collection.id"], name=op.f("fk_collected_neuron_collection_id")),
        sa.ForeignKeyConstraint(["neuron_id"], ["neuron.id"], name=op.f("fk_collected_neuron_neuron_id")),
        sa.PrimaryKeyConstraint("neuron_id", "collection_id", name=op.f("pk_collected_neuron")),
    )
    op.create_index(
        "ix_collected_neuron_strongest", "collected_neuron", ["strongest_tokens"], unique=False, postgresql_using="gin"
    )
    op.create_table(
        "data_import",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("subject_id", sa.BigInteger(), nullable=False),
        sa.Column("collection_id", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=True),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("format", sa.String(), nullable=False),
        sa.Column("status", sa.String(), server_default="running", nullable=False),
        sa.Column("owner", sa.Uuid(), nullable=False),
        sa.Column("ordinal", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("entry", sa.String(), server_default="", nullable=False),
        sa.Column("line", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("state", postgresql.JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("counts", postgresql.JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("n_problems", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("progress", sa.Double(), server_default="0", nullable=False),
        sa.Column("error", sa.String(), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "format IN ('openai', 'neuronpedia', 'delphi', 'saedashboard', 'transluce', 'jsonl', 'parquet')",
            name=op.f("ck_data_import_format"),
        ),
        sa.CheckConstraint("status IN ('running', 'complete', 'failed')", name=op.f("ck_data_import_status")),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_data_import_account_id")),
        sa.ForeignKeyConstraint(["collection_id"], ["collection.id"], name=op.f("fk_data_import_collection_id")),
        sa.ForeignKeyConstraint(["subject_id"], ["subject.id"], name=op.f("fk_data_import_subject_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_data_import")),
    )
    op.create_index("ix_data_import_key", "data_import", ["key", "id"], unique=False)
    op.create_index("ix_data_import_subject_id", "data_import", ["subject_id"], unique=False)
    op.create_table(
        "event",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=True),
        sa.Column("subject_id", sa.BigInteger(), nullable=True),
        sa.Column("neuron_id", sa.BigInteger(), nullable=True),
        sa.Column("detail", postgresql.JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.CheckConstraint(
            "kind IN ('account.added', 'account.bound', 'account.disabled', 'account.email_set', 'account.enabled', 'account.logged_in', 'account.invited', 'account.logged_out', 'account.role_changed', 'batch.cancelled', 'batch.queued', 'campaign.changed', 'campaign.created', 'campaign.ended', 'campaign.opened', 'cap.set', 'check.completed', 'collection.completed', 'collection.shown', 'explanation.written', 'factor.added', 'factor.removed', 'flag.opened', 'flag.withdrawn', 'flags.opened', 'import.completed', 'import.started', 'item.sent_back', 'items.added', 'items.withdrawn', 'list.changed', 'list.created', 'list.deleted', 'password.set', 'provider.added', 'provider.changed', 'provider.disabled', 'provider.enabled', 'provider.key_deleted', 'provider.key_set', 'provider.paused', 'provider.probed', 'provider.removed', 'report.stated', 'run.cancelled', 'run.failed', 'run.no_explanation', 'run.quarantined', 'run.retried', 'run.succeeded', 'search.deleted', 'search.saved', 'session.ended', 'task.cancelled', 'task.failed', 'task.quarantined', 'task.queued', 'task.retried', 'token.created', 'token.revoked', 'verdict.given', 'verdict.undone')",
            name=op.f("ck_event_kind"),
        ),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_event_account_id")),
        sa.ForeignKeyConstraint(["neuron_id"], ["neuron.id"], name=op.f("fk_event_neuron_id")),
        sa.ForeignKeyConstraint(["subject_id"], ["subject.id"], name=op.f("fk_event_subject_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event")),
    )
    op.create_index("ix_event_kind", "event", ["kind", "id"], unique=False)
    op.create_index("ix_event_neuron_id", "event", ["neuron_id", "id"], unique=False)
    op.create_table(
        "explanation",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("neuron_id", sa.BigInteger(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("author_kind", sa.String(), nullable=False),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column("method_id", sa.BigInteger(), nullable=True),
        sa.Column("run_id", sa.BigInteger(), nullable=True),
        sa.Column("rank", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("collection_id", sa.BigInteger(), nullable=True),
        sa.Column("account_id", sa.BigInteger(), nullable=True),
        sa.Column("provenance", postgresql.JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("author_kind IN ('method', 'import', 'person')", name=op.f("ck_explanation_author_kind")),
        sa.CheckConstraint("rank >= 0", name=op.f("ck_explanation_rank")),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_explanation_account_id")),
        sa.ForeignKeyConstraint(["collection_id"], ["collection.id"], name=op.f("fk_explanation_collection_id")),
        sa.ForeignKeyConstraint(["method_id"], ["method.id"], name=op.f("fk_explanation_method_id")),
        sa.ForeignKeyConstraint(["neuron_id"], ["neuron.id"], name=op.f("fk_explanation_neuron_id")),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_explanation_run_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_explanation")),
    )
    op.create_index(
        "ix_explanation_account_id",
        "explanation",
        ["account_id"],
        unique=False,
        postgresql_where=sa.text("account_id IS NOT NULL"),
    )
    op.create_index(
        "ix_explanation_author_kind",
        "explanation",
        ["author_kind", "neuron_id"],
        unique=False,
        postgresql_where=sa.text("author_kind <> 'method'"),
    )
    op.create_index("ix_explanation_neuron_id", "explanation", ["neuron_id"], unique=False)
    op.create_index("uq_explanation_run_id_rank", "explanation", ["run_id", "rank"], unique=True)
    op.create_table(
        "listed_neuron",
        sa.Column("list_id", sa.BigInteger(), nullable=False),
        sa.Column("neuron_id", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("note", sa.String(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(
            ["list_id"], ["neuron_list.id"], name=op.f("fk_listed_neuron_list_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["neuron_id"], ["neuron.id"], name=op.f("fk_listed_neuron_neuron_id")),
        sa.PrimaryKeyConstraint("list_id", "neuron_id", name=op.f("pk_listed_neuron")),
    )
    op.create_index("ix_listed_neuron_neuron_id", "listed_neuron", ["neuron_id"], unique=False)
    op.create_index("ix_listed_neuron_position", "listed_neuron", ["list_id", "position"], unique=False)
    op.create_table(
        "llm_call",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=True),
        sa.Column("task_id", sa.BigInteger(), nullable=True),
        sa.Column("step", sa.String(), nullable=False),
        sa.Column("request_digest", sa.String(), nullable=False),
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("request", postgresql.JSONB(), nullable=False),
        sa.Column("reply", postgresql.JSONB(), nullable=True),
        sa.Column("returned_model", sa.String(), nullable=True),
        sa.Column("parser_version", sa.String(), nullable=True),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("error", sa.String(), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("run_attempt", sa.Integer(), server_default="0", nullable=False),
        sa.Column("tokens_in", sa.Integer(), nullable=True),
        sa.Column("tokens_cached", sa.Integer(), nullable=True),
        sa.Column("tokens_out", sa.Integer(), nullable=True),
        sa.Column("is_estimated", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("price", sa.Double(), nullable=True),
        sa.Column("latency_seconds", sa.Double(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "outcome IN ('ok', 'refused', 'truncated', 'unparsable', 'failed')", name=op.f("ck_llm_call_outcome")
        ),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_llm_call_run_id")),
        sa.ForeignKeyConstraint(["task_id"], ["task.id"], name=op.f("fk_llm_call_task_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_llm_call")),
    )
    op.create_index("ix_llm_call_created_at", "llm_call", ["created_at"], unique=False)
    op.create_index("ix_llm_call_run_id", "llm_call", ["run_id"], unique=False)
    op.create_index(
        "ix_llm_call_task_id", "llm_call", ["task_id"], unique=False, postgresql_where=sa.text("task_id IS NOT NULL")
    )
    op.create_table(
        "sample",
        sa.Column("neuron_id", sa.BigInteger(), nullable=False),
        sa.Column("collection_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("excerpt_ids", sa.ARRAY(sa.BigInteger()), nullable=False),
        sa.Column("activations", sa.LargeBinary(), nullable=False),
        sa.Column("peaks", sa.ARRAY(sa.REAL()), nullable=False),
        sa.Column("probabilities", sa.ARRAY(sa.REAL()), nullable=True),
        sa.Column("facts", postgresql.JSONB(), nullable=True),
        sa.CheckConstraint(
            "kind IN ('top', 'band_0', 'band_1', 'band_2', 'band_3', 'band_4', 'random', 'hard_negative', 'bottom', 'other')",
            name=op.f("ck_sample_kind"),
        ),
        sa.ForeignKeyConstraint(["collection_id"], ["collection.id"], name=op.f("fk_sample_collection_id")),
        sa.ForeignKeyConstraint(["neuron_id"], ["neuron.id"], name=op.f("fk_sample_neuron_id")),
        sa.PrimaryKeyConstraint("neuron_id", "collection_id", "kind", name=op.f("pk_sample")),
    )
    op.create_table(
        "corpus_check",
        sa.Column("explanation_id", sa.BigInteger(), nullable=False),
        sa.Column("collection_id", sa.BigInteger(), nullable=False),
        sa.Column("reading", sa.String(), nullable=False),
        sa.Column("firing_level", sa.SmallInteger(), nullable=False),
        sa.Column("n_tokens", sa.BigInteger(), nullable=False),
        sa.Column("n_firing", sa.BigInteger(), nullable=False),
        sa.Column("n_claimed", sa.BigInteger(), nullable=False),
        sa.Column("n_right", sa.BigInteger(), nullable=False),
        sa.Column(
            "precision",
            sa.Double(),
            sa.Computed("n_right::float8 / nullif(n_claimed, 0)", persisted=True),
            nullable=True,
        ),
        sa.Column(
            "recall", sa.Double(), sa.Computed("n_right::float8 / nullif(n_firing, 0)", persisted=True), nullable=True
        ),
        sa.Column(
            "f1",
            sa.Double(),
            sa.Computed("2 * n_right::float8 / (nullif(n_firing, 0) + n_claimed)", persisted=True),
            nullable=True,
        ),
        sa.Column("average_precision", sa.Double(), nullable=True),
        sa.Column("code_version", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["collection_id"], ["collection.id"], name=op.f("fk_corpus_check_collection_id")),
        sa.ForeignKeyConstraint(["explanation_id"], ["explanation.id"], name=op.f("fk_corpus_check_explanation_id")),
        sa.PrimaryKeyConstraint("explanation_id", "collection_id", name=op.f("pk_corpus_check")),
    )
    op.create_index(
        "ix_corpus_check_same_reading",
        "corpus_check",
        ["collection_id", sa.literal_column("md5(reading)")],
        unique=False,
    )
    op.create_table(
        "event_link",
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("event_id", sa.BigInteger(), nullable=True),
        sa.Column("seal_id", sa.BigInteger(), nullable=True),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("num_nonnulls(event_id, seal_id) = 1", name=op.f("ck_event_link_of_one")),
        sa.ForeignKeyConstraint(["event_id"], ["event.id"], name=op.f("fk_event_link_event_id")),
        sa.ForeignKeyConstraint(["seal_id"], ["row_seal.id"], name=op.f("fk_event_link_seal_id")),
        sa.PrimaryKeyConstraint("position", name=op.f("pk_event_link")),
        sa.UniqueConstraint("event_id", name=op.f("uq_event_link_event_id")),
        sa.UniqueConstraint("seal_id", name=op.f("uq_event_link_seal_id")),
    )
    op.create_table(
        "explanation_doubt",
        sa.Column("explanation_id", sa.BigInteger(), nullable=False),
        sa.Column("doubt", sa.String(), nullable=False),
        sa.Column("figure", sa.Double(), nullable=False),
        sa.Column("low", sa.Double(), nullable=True),
        sa.Column("high", sa.Double(), nullable=True),
        sa.Column("subject_id", sa.BigInteger(), nullable=False),
        sa.Column("neuron_id", sa.BigInteger(), nullable=False),
        sa.Column("is_current", sa.Boolean(), nullable=False),
        sa.CheckConstraint(
            "doubt IN ('shuffled', 'below_table', 'null_twin', 'neighbours', 'not_on_random', 'too_broad', 'too_narrow', 'several_meanings', 'shared', 'unstable', 'failed_simulations', 'one_document', 'first_position', 'copies', 'import_differs', 'reasoning', 'markdown', 'prompt_words', 'too_long')",
            name=op.f("ck_explanation_doubt_doubt"),
        ),
        sa.CheckConstraint("(low IS NULL) = (high IS NULL)", name=op.f("ck_explanation_doubt_interval")),
        sa.ForeignKeyConstraint(
            ["explanation_id"], ["explanation.id"], name=op.f("fk_explanation_doubt_explanation_id")
        ),
        sa.ForeignKeyConstraint(["neuron_id"], ["neuron.id"], name=op.f("fk_explanation_doubt_neuron_id")),
        sa.ForeignKeyConstraint(["subject_id"], ["subject.id"], name=op.f("fk_explanation_doubt_subject_id")),
        sa.PrimaryKeyConstraint("explanation_id", "doubt", name=op.f("pk_explanation_doubt")),
    )
    op.create_index(
        "ix_explanation_doubt_current",
        "explanation_doubt",
        ["subject_id", "doubt", "neuron_id"],
        unique=False,
        postgresql_where=sa.text("is_current"),
        postgresql_include=["explanation_id"],
    )
    op.create_index("ix_explanation_doubt_neuron_id", "explanation_doubt", ["neuron_id"], unique=False)
    op.create_table(
        "import_problem",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("import_id", sa.BigInteger(), nullable=False),
        sa.Column("file", sa.String(), nullable=False),
        sa.Column("line", sa.BigInteger(), nullable=True),
        sa.Column("field", sa.String(), nullable=True),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("is_gap", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["import_id"], ["data_import.id"], name=op.f("fk_import_problem_import_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_import_problem")),
    )
    op.create_index("ix_import_problem_import_id", "import_problem", ["import_id", "id"], unique=False)
    op.create_table(
        "imported_judgement",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("explanation_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("content", postgresql.JSONB(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("kind IN ('flag', 'verdict')", name=op.f("ck_imported_judgement_kind")),
        sa.ForeignKeyConstraint(
            ["explanation_id"], ["explanation.id"], name=op.f("fk_imported_judgement_explanation_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_imported_judgement")),
        sa.UniqueConstraint("explanation_id", "digest", name=op.f("uq_imported_judgement_explanation_id_digest")),
    )
    op.create_table(
        "review_item",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column("draw_id", sa.BigInteger(), nullable=False),
        sa.Column("explanation_id", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("stratum", sa.SmallInteger(), nullable=True),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("headline", sa.Double(), nullable=True),
        sa.Column("score", sa.Double(), nullable=True),
        sa.Column("state", sa.String(), server_default="open", nullable=False),
        sa.Column("outcome", sa.String(), nullable=True),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "(source = 'sample') = (stratum IS NOT NULL)", name=op.f("ck_review_item_sample_has_stratum")
        ),
        sa.CheckConstraint(
            "(state = 'settled') = (outcome IS NOT NULL)", name=op.f("ck_review_item_settled_with_outcome")
        ),
        sa.CheckConstraint(
            "outcome IN ('holds', 'partly', 'fails', 'cannot_tell')", name=op.f("ck_review_item_outcome")
        ),
        sa.CheckConstraint(
            "source IN ('flag', 'doubt', 'filter', 'sample', 'control')", name=op.f("ck_review_item_source")
        ),
        sa.CheckConstraint("state IN ('open', 'disputed', 'settled', 'withdrawn')", name=op.f("ck_review_item_state")),
        sa.CheckConstraint("(outcome IS NULL) = (settled_at IS NULL)", name=op.f("ck_review_item_settled_at")),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaign.id"], name=op.f("fk_review_item_campaign_id")),
        sa.ForeignKeyConstraint(["draw_id"], ["campaign_draw.id"], name=op.f("fk_review_item_draw_id")),
        sa.ForeignKeyConstraint(["explanation_id"], ["explanation.id"], name=op.f("fk_review_item_explanation_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_review_item")),
    )
    op.create_index("ix_review_item_campaign_id", "review_item", ["campaign_id", "position"], unique=False)
    op.create_index("ix_review_item_draw_id", "review_item", ["draw_id"], unique=False)
    op.create_index("ix_review_item_explanation_id", "review_item", ["explanation_id"], unique=False)
    op.create_index(
        "ix_review_item_outcome",
        "review_item",
        ["outcome", "explanation_id"],
        unique=False,
        postgresql_where=sa.text("outcome IS NOT NULL AND source <> 'control'"),
    )
    op.create_index(
        "uq_review_item_unsettled",
        "review_item",
        ["campaign_id", "explanation_id"],
        unique=True,
        postgresql_where=sa.text("source <> 'control' AND state IN ('open', 'disputed')"),
    )
    op.create_table(
        "run_change",
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("batch_id", sa.BigInteger(), nullable=False),
        sa.Column("explanation_id", sa.BigInteger(), nullable=False),
        sa.Column("is_copy", sa.Boolean(), nullable=False),
        sa.Column("change", sa.String(), nullable=False),
        sa.Column("scorer", sa.String(), nullable=True),
        sa.Column("before", sa.Double(), nullable=True),
        sa.Column("after", sa.Double(), nullable=True),
        sa.Column("difference", sa.Double(), nullable=True),
        sa.Column("is_current", sa.Boolean(), nullable=False),
        sa.CheckConstraint(
            "change IN ('better', 'same', 'worse', 'first', 'unclear')", name=op.f("ck_run_change_change")
        ),
        sa.ForeignKeyConstraint(["explanation_id"], ["explanation.id"], name=op.f("fk_run_change_explanation_id")),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_run_change_run_id")),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_run_change")),
    )
    op.create_index("ix_run_change_batch_id", "run_change", ["batch_id", "difference", "run_id"], unique=False)
    op.create_index("ix_run_change_change", "run_change", ["batch_id", "change", "difference", "run_id"], unique=False)
    op.create_table(
        "score",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("explanation_id", sa.BigInteger(), nullable=False),
        sa.Column("method_id", sa.BigInteger(), nullable=True),
        sa.Column("run_id", sa.BigInteger(), nullable=True),
        sa.Column("collection_id", sa.BigInteger(), nullable=True),
        sa.Column("scorer", sa.String(), nullable=False),
        sa.Column("sample", sa.String(), nullable=False),
        sa.Column("simulator", sa.String(), nullable=True),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("undefined_reason", sa.String(), nullable=True),
        sa.Column("interval_low", sa.Double(), nullable=True),
        sa.Column("interval_high", sa.Double(), nullable=True),
        sa.Column("n_valid", sa.BigInteger(), nullable=False),
        sa.Column("n_failed", sa.Integer(), nullable=False),
        sa.Column("token_lookup_baseline", sa.Double(), nullable=True),
        sa.Column("shuffled_baseline", sa.Double(), nullable=True),
        sa.Column("chance", sa.Double(), nullable=True),
        sa.Column("origin", postgresql.JSONB(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("(value IS NULL) <> (undefined_reason IS NULL)", name=op.f("ck_score_value_or_reason")),
        sa.ForeignKeyConstraint(["collection_id"], ["collection.id"], name=op.f("fk_score_collection_id")),
        sa.ForeignKeyConstraint(["explanation_id"], ["explanation.id"], name=op.f("fk_score_explanation_id")),
        sa.ForeignKeyConstraint(["method_id"], ["method.id"], name=op.f("fk_score_method_id")),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_score_run_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_score")),
    )
    op.create_index("ix_score_explanation_id", "score", ["explanation_id"], unique=False)
    op.create_table(
        "simulation",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("explanation_id", sa.BigInteger(), nullable=False),
        sa.Column("method_id", sa.BigInteger(), nullable=True),
        sa.Column("run_id", sa.BigInteger(), nullable=True),
        sa.Column("collection_id", sa.BigInteger(), nullable=True),
        sa.Column("simulator", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("split", sa.String(), nullable=False),
        sa.Column("unit", sa.Double(), nullable=False),
        sa.Column("excerpt_ids", sa.ARRAY(sa.BigInteger()), nullable=False),
        sa.Column("expected", sa.LargeBinary(), nullable=False),
        sa.Column("distributions", sa.LargeBinary(), nullable=True),
        sa.Column("uncalibrated", sa.LargeBinary(), nullable=True),
        sa.Column("failures", postgresql.JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "kind IN ('top', 'band_0', 'band_1', 'band_2', 'band_3', 'band_4', 'random', 'hard_negative', 'bottom', 'other')",
            name=op.f("ck_simulation_kind"),
        ),
        sa.CheckConstraint("split IN ('train', 'calibration', 'validation', 'test')", name=op.f("ck_simulation_split")),
        sa.CheckConstraint("unit > 0", name=op.f("ck_simulation_unit")),
        sa.ForeignKeyConstraint(["collection_id"], ["collection.id"], name=op.f("fk_simulation_collection_id")),
        sa.ForeignKeyConstraint(["explanation_id"], ["explanation.id"], name=op.f("fk_simulation_explanation_id")),
        sa.ForeignKeyConstraint(["method_id"], ["method.id"], name=op.f("fk_simulation_method_id")),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_simulation_run_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_simulation")),
    )
    op.create_index("ix_simulation_explanation_id", "simulation", ["explanation_id"], unique=False)
    op.create_table(
        "check_mistake",
        sa.Column("explanation_id", sa.BigInteger(), nullable=False),
        sa.Column("collection_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("n_tokens", sa.BigInteger(), nullable=False),
        sa.Column("token_ids", sa.ARRAY(sa.Integer()), nullable=False),
        sa.Column("token_counts", sa.ARRAY(sa.BigInteger()), nullable=False),
        sa.Column("excerpt_ids", sa.ARRAY(sa.BigInteger()), nullable=False),
        sa.Column("activations", sa.LargeBinary(), nullable=False),
        sa.Column("expected", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("kind IN ('false_alarm', 'miss')", name=op.f("ck_check_mistake_kind")),
        sa.ForeignKeyConstraint(
            ["explanation_id", "collection_id"],
            ["corpus_check.explanation_id", "corpus_check.collection_id"],
            name=op.f("fk_check_mistake_explanation_id_collection_id"),
        ),
        sa.PrimaryKeyConstraint("explanation_id", "collection_id", "kind", name=op.f("pk_check_mistake")),
    )
    op.create_table(
        "flag",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("explanation_id", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("note", sa.String(), server_default="", nullable=False),
        sa.Column("item_id", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "reason IN ('wrong', 'too_broad', 'too_narrow', 'several_meanings', 'unreadable', 'other')",
            name=op.f("ck_flag_reason"),
        ),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_flag_account_id")),
        sa.ForeignKeyConstraint(["explanation_id"], ["explanation.id"], name=op.f("fk_flag_explanation_id")),
        sa.ForeignKeyConstraint(["item_id"], ["review_item.id"], name=op.f("fk_flag_item_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_flag")),
    )
    op.create_index("ix_flag_account_id", "flag", ["account_id", "id"], unique=False)
    op.create_index("ix_flag_explanation_id", "flag", ["explanation_id"], unique=False)
    op.create_index("ix_flag_item_id", "flag", ["item_id"], unique=False)
    op.create_table(
        "method_standing",
        sa.Column("method_id", sa.BigInteger(), nullable=False),
        sa.Column("neuron_id", sa.BigInteger(), nullable=False),
        sa.Column("is_whole_corpus", sa.Boolean(), nullable=False),
        sa.Column("subject_id", sa.BigInteger(), nullable=False),
        sa.Column("explanation_id", sa.BigInteger(), nullable=False),
        sa.Column("score_id", sa.BigInteger(), nullable=True),
        sa.Column("score", sa.Double(), nullable=True),
        sa.Column("simulator", sa.String(), nullable=True),
        sa.Column("token_table", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["explanation_id"], ["explanation.id"], name=op.f("fk_method_standing_explanation_id")),
        sa.ForeignKeyConstraint(["method_id"], ["method.id"], name=op.f("fk_method_standing_method_id")),
        sa.ForeignKeyConstraint(["neuron_id"], ["neuron.id"], name=op.f("fk_method_standing_neuron_id")),
        sa.ForeignKeyConstraint(["score_id"], ["score.id"], name=op.f("fk_method_standing_score_id")),
        sa.ForeignKeyConstraint(["subject_id"], ["subject.id"], name=op.f("fk_method_standing_subject_id")),
        sa.PrimaryKeyConstraint("method_id", "neuron_id", "is_whole_corpus", name=op.f("pk_method_standing")),
    )
    op.create_table(
        "rejected_explanation",
        sa.Column("explanation_id", sa.BigInteger(), nullable=False),
        sa.Column("item_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["explanation_id"], ["explanation.id"], name=op.f("fk_rejected_explanation_explanation_id")
        ),
        sa.ForeignKeyConstraint(["item_id"], ["review_item.id"], name=op.f("fk_rejected_explanation_item_id")),
        sa.PrimaryKeyConstraint("explanation_id", name=op.f("pk_rejected_explanation")),
    )
    op.create_table(
        "review_control",
        sa.Column("item_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("truth", sa.String(), nullable=False),
        sa.Column("planted_text", sa.String(), nullable=True),
        sa.Column("repeats_item_id", sa.BigInteger(), nullable=True),
        sa.Column("detail", postgresql.JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("(kind = 'repeat') = (repeats_item_id IS NOT NULL)", name=op.f("ck_review_control_repeat")),
        sa.CheckConstraint(
            "(kind IN ('swapped', 'broad', 'narrow')) = (planted_text IS NOT NULL)",
            name=op.f("ck_review_control_planted_text"),
        ),
        sa.CheckConstraint(
            "kind IN ('swapped', 'broad', 'narrow', 'known_function', 'repeat')", name=op.f("ck_review_control_kind")
        ),
        sa.CheckConstraint(
            "truth IN ('holds', 'partly', 'fails', 'cannot_tell')", name=op.f("ck_review_control_truth")
        ),
        sa.ForeignKeyConstraint(["item_id"], ["review_item.id"], name=op.f("fk_review_control_item_id")),
        sa.ForeignKeyConstraint(
            ["repeats_item_id"], ["review_item.id"], name=op.f("fk_review_control_repeats_item_id")
        ),
        sa.PrimaryKeyConstraint("item_id", name=op.f("pk_review_control")),
    )
    op.create_table(
        "review_skip",
        sa.Column("item_id", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("skipped_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_review_skip_account_id")),
        sa.ForeignKeyConstraint(["item_id"], ["review_item.id"], name=op.f("fk_review_skip_item_id")),
        sa.PrimaryKeyConstraint("item_id", "account_id", name=op.f("pk_review_skip")),
    )
    op.create_table(
        "review_slot",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("item_id", sa.BigInteger(), nullable=False),
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("number", sa.SmallInteger(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("state", sa.String(), server_default="free", nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=True),
        sa.Column("lease_token", sa.Uuid(), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("taken_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("guess", sa.String(), nullable=True),
        sa.CheckConstraint("(state = 'free') = (account_id IS NULL)", name=op.f("ck_review_slot_account")),
        sa.CheckConstraint("(state = 'held') = (lease_token IS NOT NULL)", name=op.f("ck_review_slot_lease_token")),
        sa.CheckConstraint(
            "kind IN ('review', 'further', 'adjudication', 'sent_back')", name=op.f("ck_review_slot_kind")
        ),
        sa.CheckConstraint("state IN ('free', 'held', 'judged')", name=op.f("ck_review_slot_state")),
        sa.CheckConstraint("(lease_token IS NULL) = (lease_until IS NULL)", name=op.f("ck_review_slot_lease_until")),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_review_slot_account_id")),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaign.id"], name=op.f("fk_review_slot_campaign_id")),
        sa.ForeignKeyConstraint(["item_id"], ["review_item.id"], name=op.f("fk_review_slot_item_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_review_slot")),
        sa.UniqueConstraint("item_id", "account_id", name=op.f("uq_review_slot_item_id_account_id")),
        sa.UniqueConstraint("item_id", "number", name=op.f("uq_review_slot_item_id_number")),
    )
    op.create_index("ix_review_slot_account_id", "review_slot", ["account_id", "campaign_id"], unique=False)
    op.create_index(
        "ix_review_slot_waiting",
        "review_slot",
        ["campaign_id", "position", "number"],
        unique=False,
        postgresql_where=sa.text("state <> 'judged'"),
    )
    op.create_table(
        "verdict",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("item_id", sa.BigInteger(), nullable=False),
        sa.Column("slot_id", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(), nullable=True),
        sa.Column("confidence", sa.String(), nullable=True),
        sa.Column("note", sa.String(), server_default="", nullable=False),
        sa.Column("guess", sa.String(), server_default="", nullable=False),
        sa.Column("seconds", sa.Double(), nullable=True),
        sa.Column("undoes_id", sa.BigInteger(), nullable=True),
        sa.Column("detail", postgresql.JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("confidence IN ('low', 'medium', 'high')", name=op.f("ck_verdict_confidence")),
        sa.CheckConstraint(
            "kind IN ('holds', 'too_broad', 'too_narrow', 'several_meanings', 'wrong', 'unreadable', 'about_the_output', 'cannot_tell')",
            name=op.f("ck_verdict_kind"),
        ),
        sa.CheckConstraint("(kind IS NULL) = (confidence IS NULL)", name=op.f("ck_verdict_kind_with_confidence")),
        sa.CheckConstraint("(kind IS NULL) = (undoes_id IS NOT NULL)", name=op.f("ck_verdict_kind_or_undoes")),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_verdict_account_id")),
        sa.ForeignKeyConstraint(
            ["campaign_id", "version"],
            ["campaign_version.campaign_id", "campaign_version.number"],
            name=op.f("fk_verdict_campaign_id_version"),
        ),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaign.id"], name=op.f("fk_verdict_campaign_id")),
        sa.ForeignKeyConstraint(["item_id"], ["review_item.id"], name=op.f("fk_verdict_item_id")),
        sa.ForeignKeyConstraint(["slot_id"], ["review_slot.id"], name=op.f("fk_verdict_slot_id")),
        sa.ForeignKeyConstraint(["undoes_id"], ["verdict.id"], name=op.f("fk_verdict_undoes_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_verdict")),
        sa.UniqueConstraint("undoes_id", name=op.f("uq_verdict_undoes_id")),
    )
    op.create_index("ix_verdict_account_id", "verdict", ["account_id", "campaign_id", "id"], unique=False)
    op.create_index("ix_verdict_campaign_id", "verdict", ["campaign_id", "id"], unique=False)
    op.create_index("ix_verdict_item_id", "verdict", ["item_id", "id"], unique=False)
    op.create_foreign_key("fk_news_batch_id", "news", "batch", ["batch_id"], ["id"])
    op.create_foreign_key("fk_news_flag_id", "news", "flag", ["flag_id"], ["id"])
    op.create_foreign_key("fk_subject_collection_id", "subject", "collection", ["collection_id"], ["id"])
    op.create_foreign_key("fk_batch_explanation_id", "batch", "explanation", ["explanation_id"], ["id"])
    op.create_foreign_key(
        "fk_neuron_current_explanation_id", "neuron", "explanation", ["current_explanation_id"], ["id"]
    )


# generated: end


APPEND_ONLY = (
    "audit_statement",
    "campaign_draw",
    "campaign_version",
    "check_mistake",
    "corpus_check",
    "event",
    "event_link",
    "explanation",
    "imported_judgement",
    "review_control",
    "row_seal",
    "score",
    "simulation",
    "verdict",
)
SEALED = {
    "audit_statement": ["id"],
    "campaign_draw": ["id"],
    "campaign_version": ["campaign_id", "number"],
    "check_mistake": ["explanation_id", "collection_id", "kind"],
    "corpus_check": ["explanation_id", "collection_id"],
    "explanation": ["id"],
    "imported_judgement": ["id"],
    "review_control": ["item_id"],
    "score": ["id"],
    "simulation": ["id"],
    "verdict": ["id"],
}
"""Those whose rows are not events themselves, with the columns of their keys: what they hold is part of the chain."""
REFUSE_CHANGES = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rows of % are never changed or deleted: a correction is a newer row', TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$;
"""
# Runs at the end of each transaction, so that the lock is held no longer than the commit takes: whoever comes next
# sees the link that this one has written. The texts are those of app.queries.history.chain.
LINK_EVENTS = """
CREATE FUNCTION event_text(event) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_array($1.id, (extract(epoch FROM $1.at) * 1000000)::bigint, $1.kind, $1.account_id,
        $1.subject_id, $1.neuron_id, $1.detail)::text
$$;
CREATE FUNCTION seal_text(row_seal) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_build_array('seal', $1.id, $1.table_name,
        encode(sha256(convert_to(array_to_string($1.keys, ';'), 'UTF8')), 'hex'),
        (SELECT encode(sha256(string_agg(digest, '' ORDER BY n)), 'hex')
            FROM unnest($1.digests) WITH ORDINALITY AS of_row(digest, n)))::text
$$;
CREATE FUNCTION add_link(of_event bigint, of_seal bigint, words text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    newest record;
BEGIN
    PERFORM pg_advisory_xact_lock(20033, 1);
    SELECT position, hash INTO newest FROM event_link ORDER BY position DESC LIMIT 1;
    INSERT INTO event_link (position, event_id, seal_id, hash) VALUES (
        coalesce(newest.position, 0) + 1,
        of_event,
        of_seal,
        sha256(coalesce(newest.hash, ''::bytea) || convert_to(words, 'UTF8'))
    );
END $$;
CREATE FUNCTION link_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM add_link(NEW.id, NULL, event_text(NEW));
    RETURN NULL;
END $$;
CREATE FUNCTION link_seal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM add_link(NULL, NEW.id, seal_text(NEW));
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER link_event AFTER INSERT ON event
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION link_event();
CREATE CONSTRAINT TRIGGER link_seal AFTER INSERT ON row_seal
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION link_seal();
"""
# What a row says, whatever the settings of the session are. A column without a value is left out, so that a column
# that is added later changes no digest.
SEAL_ROWS = """
CREATE FUNCTION seal_{table}() RETURNS trigger LANGUAGE plpgsql
    SET timezone = 'UTC' SET extra_float_digits = 1 SET bytea_output = 'hex' AS $$
BEGIN
    INSERT INTO row_seal (table_name, keys, digests)
    SELECT '{table}', array_agg(key), array_agg(digest) FROM (
        SELECT concat_ws(',', {columns}) AS key, sha256(convert_to((
            SELECT jsonb_object_agg(name, value)::text FROM jsonb_each(to_jsonb(new_rows)) AS of_row(name, value)
            WHERE value <> 'null'), 'UTF8')) AS digest
        FROM new_rows) AS made
    HAVING count(*) > 0;
    RETURN NULL;
END $$;
CREATE TRIGGER seal_rows AFTER INSERT ON {table} REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION seal_{table}();
"""


# Flags are items of this campaign; it never ends.
STANDING_CAMPAIGN = """
WITH campaign AS (
    INSERT INTO campaign (name, is_standing, seed) VALUES ('Flagged explanations', true, 0) RETURNING id
), instructions AS (
    SELECT 'Somebody has flagged this explanation. Judge the explanation by the evidence, not the flag.'::text AS text
)
INSERT INTO campaign_version (campaign_id, number, question, instructions, instructions_digest, verdicts_per_item,
    participants, is_blind, asks_guess, control_share)
SELECT campaign.id, 1, 'Does the explanation say what this neuron fires on?', instructions.text,
    encode(sha256(convert_to(instructions.text, 'UTF8')), 'hex'), 1, 'reviewers', false, false, 0
FROM campaign, instructions;
"""


def create_triggers() -> None:
    run(REFUSE_CHANGES)
    for table in APPEND_ONLY:
        run(
            f"CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON {table} FOR EACH ROW"
            " EXECUTE FUNCTION refuse_change();"
            f"CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON {table} EXECUTE FUNCTION refuse_change()"
        )
    run(LINK_EVENTS)
    for table, columns in SEALED.items():
        run(SEAL_ROWS.format(table=table, columns=", ".join(columns)))
    run(SCORE_BIN)
    run(RANK_BIN)
    for counted in COUNTED:
        run(counted.create())
    run(LAYER_RANK)
    run(NOTE_CHANGE)
    for table in TABLES:
        if table not in NOT_SHOWN and table not in COUNT_TABLES:
            run(note_changes(table))
    run(CHECK_RUNS)
    # The index of queued runs is read from its start, over the entries of all runs that were taken since it was cleaned.
    run("ALTER TABLE run SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02)")


def queue_schema() -> str:
    """The SQL of the pinned version of the queue's library. Raises RuntimeError where another one is installed."""
    schema = SchemaManager.get_schema()
    if hashlib.sha256(schema.encode()).hexdigest() != QUEUE_DIGEST:
        raise RuntimeError(
            f"The installed procrastinate brings another schema than version {QUEUE_VERSION}, which this migration was"
            f" written for. Install procrastinate=={QUEUE_VERSION}."
        )
    return schema


def upgrade() -> None:
    run(queue_schema())
    create_tables()
    create_triggers()
    run(STANDING_CAMPAIGN)


def downgrade() -> None:
    run(DROP_QUEUE)
    run("DROP FUNCTION event_text(event), seal_text(row_seal)")
    run("DROP TABLE IF EXISTS explanation_embedding")  # made by the program, where the database has pgvector
    run(f"DROP TABLE {', '.join(TABLES)} CASCADE")
    run("DROP FUNCTION link_event, link_seal, add_link, refuse_change")
    run(f"DROP FUNCTION {', '.join(f'seal_{table}' for table in SEALED)}")
    for counted in COUNTED:
        run(counted.drop())
    run("DROP FUNCTION score_bin, rank_bin, layer_rank, note_change, note_insertion, note_update, note_deletion")
    run(DROP_CHECK_RUNS)
