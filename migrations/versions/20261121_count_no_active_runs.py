"""Active runs are counted where they are asked for: a number of theirs on the neuron had to be kept right."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_column("neuron", "n_active_runs")


def downgrade() -> None:
    op.add_column("neuron", sa.Column("n_active_runs", sa.Integer(), server_default="0", nullable=False))
    op.execute(
        "UPDATE neuron SET n_active_runs = active.n FROM"
        " (SELECT neuron_id, count(*) AS n FROM run WHERE status IN ('queued', 'running') GROUP BY neuron_id) AS active"
        " WHERE active.neuron_id = neuron.id"
    )
