"""Resources looked up by the name that their creator gave them."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Find by its name what others of a project have made: its id, which says whose it is, is not known to the reader."""
    op.execute("CREATE INDEX resource_original ON resource (original_resource_id)")


def downgrade() -> None:
    """Look through all resources again."""
    op.execute("DROP INDEX resource_original")
