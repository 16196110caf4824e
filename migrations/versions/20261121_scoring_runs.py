"""Runs that score an explanation that is there already, a person's."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("run", sa.Column("explanation_id", sa.BigInteger(), nullable=True))
    op.create_foreign_key(
        op.f("fk_run_explanation_id_explanation"), "run", "explanation", ["explanation_id"], ["id"], use_alter=True
    )
    op.create_index(
        "ix_run_explanation_id", "run", ["explanation_id"], postgresql_where=sa.text("explanation_id IS NOT NULL")
    )


def downgrade() -> None:
    op.drop_index("ix_run_explanation_id", table_name="run")
    op.drop_constraint(op.f("fk_run_explanation_id_explanation"), "run", type_="foreignkey")
    op.drop_column("run", "explanation_id")
