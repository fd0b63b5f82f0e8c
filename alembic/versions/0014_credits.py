"""Corrections may take back more than was used at a price: a line of what was counted may be a credit, one of time never is."""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Allow a counted quantity to be below zero."""
    op.execute("""
        ALTER TABLE invoice_line
            DROP CONSTRAINT invoice_line_usage_is_not_negative,
            ADD CONSTRAINT invoice_line_time_is_not_negative
                CHECK (base_quantity >= 0 OR adjusts_invoice_id IS NOT NULL OR meter NOT IN ('instance', 'disk'))
    """)


def downgrade() -> None:
    """Allow no more credits; those that were given are on invoices that never change, and stay."""
    op.execute("""
        ALTER TABLE invoice_line
            DROP CONSTRAINT invoice_line_time_is_not_negative,
            ADD CONSTRAINT invoice_line_usage_is_not_negative
                CHECK (base_quantity >= 0 OR adjusts_invoice_id IS NOT NULL) NOT VALID
    """)
