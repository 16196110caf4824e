"""Named language models, caps and what is spent, distributions of simulations."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
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
        sa.Column("timeout_seconds", sa.Float(), server_default="120", nullable=False),
        sa.Column("price_in", sa.Float(), server_default="0", nullable=False),
        sa.Column("price_cached", sa.Float(), server_default="0", nullable=False),
        sa.Column("price_out", sa.Float(), server_default="0", nullable=False),
        sa.Column("options", postgresql.JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("capabilities", postgresql.JSONB(), nullable=True),
        sa.Column("probed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("probe_error", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("kind IN ('openai_compatible', 'local')", name=op.f("ck_provider_kind")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_provider")),
        sa.UniqueConstraint("name", name=op.f("uq_provider_name")),
    )
    op.create_table(
        "spending",
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("spent", sa.Float(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_spending_account_id_account")),
        sa.PrimaryKeyConstraint("account_id", "day", name=op.f("pk_spending")),
    )
    op.add_column("batch", sa.Column("price_cap", sa.Float(), nullable=True))
    op.add_column("batch", sa.Column("spent", sa.Float(), server_default="0", nullable=False))
    op.add_column("account", sa.Column("price_cap_per_day", sa.Float(), nullable=True))
    op.add_column("llm_call", sa.Column("run_attempt", sa.Integer(), server_default="0", nullable=False))
    op.add_column("simulation", sa.Column("distributions", sa.LargeBinary(), nullable=True))
    op.add_column("simulation", sa.Column("uncalibrated", sa.LargeBinary(), nullable=True))


def downgrade() -> None:
    op.drop_column("simulation", "uncalibrated")
    op.drop_column("simulation", "distributions")
    op.drop_column("llm_call", "run_attempt")
    op.drop_column("account", "price_cap_per_day")
    op.drop_column("batch", "spent")
    op.drop_column("batch", "price_cap")
    op.drop_table("spending")
    op.drop_table("provider")
