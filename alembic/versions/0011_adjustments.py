"""Lines of an invoice that adjust an earlier one."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Let a line name the invoice and the line that it adjusts; only such a line may rest on no charge, where usage turned out not to have been."""
    op.execute("""
        ALTER TABLE invoice_line
            ADD COLUMN adjusts_invoice_id uuid REFERENCES invoice (id),
            ADD COLUMN adjusts_invoice text,
            ADD COLUMN adjusts_line integer CHECK (adjusts_line > 0),
            ADD CONSTRAINT invoice_line_adjusts_another
                CHECK (adjusts_invoice_id <> invoice_id),
            ADD CONSTRAINT invoice_line_names_what_it_adjusts
                CHECK ((adjusts_invoice_id IS NULL) = (adjusts_invoice IS NULL)
                    AND (adjusts_invoice_id IS NOT NULL OR adjusts_line IS NULL)),
            DROP CONSTRAINT invoice_line_charge_count_check,
            ADD CONSTRAINT invoice_line_charge_count_check
                CHECK (charge_count > 0 OR (charge_count = 0 AND adjusts_invoice_id IS NOT NULL)),
            ADD CONSTRAINT invoice_line_usage_is_not_negative
                CHECK (base_quantity >= 0 OR adjusts_invoice_id IS NOT NULL)
    """)
    op.execute(
        "CREATE INDEX invoice_line_adjusts ON invoice_line (adjusts_invoice_id) WHERE adjusts_invoice_id IS NOT NULL"
    )


def downgrade() -> None:
    """Forget what adjusted what; an installation that has such invoices keeps them by not going down."""
    op.execute("DROP INDEX invoice_line_adjusts")
    op.execute("""
        ALTER TABLE invoice_line
            DROP CONSTRAINT invoice_line_usage_is_not_negative,
            DROP CONSTRAINT invoice_line_charge_count_check,
            ADD CONSTRAINT invoice_line_charge_count_check CHECK (charge_count > 0),
            DROP CONSTRAINT invoice_line_names_what_it_adjusts,
            DROP CONSTRAINT invoice_line_adjusts_another,
            DROP COLUMN adjusts_line,
            DROP COLUMN adjusts_invoice,
            DROP COLUMN adjusts_invoice_id
    """)
