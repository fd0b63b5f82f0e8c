"""Price plans, invoices and their lines; what is final or a record can be changed by nobody."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

EXTENSION = "CREATE EXTENSION IF NOT EXISTS btree_gist"

REFUSE_CHANGE = """
    CREATE FUNCTION billing_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION '% keeps what was written for ever: % is refused', TG_TABLE_NAME, TG_OP
            USING ERRCODE = 'integrity_constraint_violation', HINT = 'write a later row instead';
    END $$
"""

GUARD_INVOICE = """
    CREATE FUNCTION billing_guard_invoice() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        billed numeric;
        taxed numeric;
        tax numeric;
    BEGIN
        IF TG_OP = 'INSERT' THEN
            IF NEW.number IS NOT NULL THEN
                RAISE EXCEPTION 'an invoice is born a draft' USING ERRCODE = 'integrity_constraint_violation';
            END IF;
            RETURN NEW;
        END IF;
        IF OLD.number IS NOT NULL THEN
            RAISE EXCEPTION 'invoice % is final: % is refused', OLD.id, TG_OP
                USING ERRCODE = 'integrity_constraint_violation', HINT = 'correct it by an adjustment or a credit note';
        END IF;
        IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
        IF NEW.number IS NOT NULL THEN
            SELECT coalesce(sum(l.amount), 0) INTO billed FROM invoice_line l WHERE l.invoice_id = NEW.id;
            SELECT coalesce(sum(t.base), 0), coalesce(sum(t.tax), 0) INTO taxed, tax
                FROM invoice_tax t WHERE t.invoice_id = NEW.id;
            IF billed <> NEW.subtotal OR taxed <> NEW.subtotal OR tax <> NEW.tax_total THEN
                RAISE EXCEPTION 'invoice % does not foot and cannot be final', NEW.id
                    USING ERRCODE = 'integrity_constraint_violation';
            END IF;
        END IF;
        RETURN NEW;
    END $$
"""

GUARD_PART = """
    CREATE FUNCTION billing_guard_invoice_part() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        owners uuid[] := CASE TG_OP
            WHEN 'INSERT' THEN ARRAY[NEW.invoice_id]
            WHEN 'DELETE' THEN ARRAY[OLD.invoice_id]
            ELSE ARRAY[OLD.invoice_id, NEW.invoice_id] END;
    BEGIN
        IF EXISTS (SELECT 1 FROM invoice WHERE id = ANY (owners) AND number IS NOT NULL) THEN
            RAISE EXCEPTION 'the invoice of this % is final: % is refused', TG_TABLE_NAME, TG_OP
                USING ERRCODE = 'integrity_constraint_violation', HINT = 'correct it by an adjustment or a credit note';
        END IF;
        IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
        RETURN NEW;
    END $$
"""

TABLES = """
    CREATE TABLE price_plan (
        id uuid PRIMARY KEY,
        name text NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 255),
        currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
        is_default boolean NOT NULL DEFAULT false,
        created_at timestamptz NOT NULL,
        UNIQUE (id, currency)
    );
    CREATE UNIQUE INDEX price_plan_default ON price_plan (is_default) WHERE is_default;

    CREATE TABLE price_version (
        id uuid PRIMARY KEY,
        plan_id uuid NOT NULL REFERENCES price_plan (id),
        number integer NOT NULL CHECK (number > 0),
        effective_from timestamptz NOT NULL,
        prices text NOT NULL CHECK (prices IS JSON ARRAY),
        created_at timestamptz NOT NULL,
        UNIQUE (plan_id, number),
        UNIQUE (plan_id, effective_from)
    );

    CREATE TABLE billing_account (
        project_id text PRIMARY KEY CHECK (project_id <> ''),
        time_zone text NOT NULL CHECK (time_zone <> ''),
        currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
        tax_rate numeric(7, 6) NOT NULL CHECK (tax_rate >= 0 AND tax_rate < 1),
        rounding text NOT NULL CHECK (rounding IN ('floor', 'half_up', 'ceiling')),
        issuer_name text NOT NULL,
        series text NOT NULL CHECK (series ~ '^[A-Z0-9][A-Z0-9-]{0,31}$'),
        updated_at timestamptz NOT NULL,
        UNIQUE (project_id, currency)
    );

    CREATE TABLE billing_account_plan (
        project_id text NOT NULL,
        currency text NOT NULL,
        plan_id uuid NOT NULL,
        effective_from timestamptz NOT NULL,
        PRIMARY KEY (project_id, effective_from),
        FOREIGN KEY (project_id, currency) REFERENCES billing_account (project_id, currency),
        FOREIGN KEY (plan_id, currency) REFERENCES price_plan (id, currency)
    );

    CREATE TABLE invoice_series (
        series text PRIMARY KEY CHECK (series ~ '^[A-Z0-9][A-Z0-9-]{0,31}$'),
        last_number bigint NOT NULL CHECK (last_number >= 0),
        last_chain text NOT NULL CHECK (last_chain ~ '^[0-9a-f]{64}$')
    );

    CREATE TABLE invoice (
        id uuid PRIMARY KEY,
        project_id text NOT NULL CHECK (project_id <> ''),
        kind text NOT NULL CHECK (kind IN ('invoice', 'adjustment', 'credit_note')),
        version integer NOT NULL CHECK (version > 0),
        revision integer NOT NULL CHECK (revision > 0),
        period_start timestamptz NOT NULL,
        period_end timestamptz NOT NULL,
        rated_until timestamptz NOT NULL,
        time_zone text NOT NULL,
        currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
        tax_rate numeric(7, 6) NOT NULL CHECK (tax_rate >= 0 AND tax_rate < 1),
        rounding text NOT NULL CHECK (rounding IN ('floor', 'half_up', 'ceiling')),
        issuer_name text NOT NULL,
        series text NOT NULL,
        subtotal numeric(38, 12) NOT NULL,
        tax_total numeric(38, 12) NOT NULL,
        total numeric(38, 12) NOT NULL CHECK (total = subtotal + tax_total),
        snapshot text NOT NULL,
        document text NOT NULL CHECK (document IS JSON OBJECT),
        digest text NOT NULL CHECK (digest = encode(sha256(convert_to(document, 'UTF8')), 'hex')),
        number bigint CHECK (number > 0),
        finalized_at timestamptz,
        previous_chain text CHECK (previous_chain ~ '^[0-9a-f]{64}$'),
        chain_digest text CHECK (chain_digest ~ '^[0-9a-f]{64}$'),
        created_at timestamptz NOT NULL,
        CHECK (period_start < period_end),
        CHECK (rated_until BETWEEN period_start AND period_end),
        CHECK (num_nulls(number, finalized_at, previous_chain, chain_digest) IN (0, 4)),
        CHECK (number IS NULL OR rated_until = period_end),
        UNIQUE (project_id, period_start, period_end, kind, version),
        UNIQUE (series, number),
        CONSTRAINT invoice_periods_do_not_overlap EXCLUDE USING gist
            (project_id WITH =, kind WITH =, version WITH =, tstzrange(period_start, period_end) WITH &&)
            WHERE (number IS NOT NULL)
    );
    CREATE INDEX invoice_project ON invoice (project_id, id);

    CREATE TABLE invoice_line (
        invoice_id uuid NOT NULL REFERENCES invoice (id),
        number integer NOT NULL CHECK (number > 0),
        meter text NOT NULL CHECK (meter <> ''),
        resource_id uuid NOT NULL,
        resource_name text NOT NULL,
        state text NOT NULL,
        flavor_name text NOT NULL,
        started_at timestamptz NOT NULL,
        ended_at timestamptz NOT NULL CHECK (started_at < ended_at),
        base_quantity numeric(38, 12) NOT NULL,
        base_unit text NOT NULL,
        unit text NOT NULL,
        unit_price numeric(38, 24) NOT NULL CHECK (unit_price >= 0),
        per_base numeric(38, 12) NOT NULL CHECK (per_base > 0),
        price_version_id uuid NOT NULL REFERENCES price_version (id),
        price_version_number integer NOT NULL,
        tax_rate numeric(7, 6) NOT NULL CHECK (tax_rate >= 0 AND tax_rate < 1),
        amount_unrounded numeric(38, 12) NOT NULL,
        amount numeric(38, 12) NOT NULL,
        charge_count integer NOT NULL CHECK (charge_count > 0),
        usage_digest text NOT NULL CHECK (usage_digest ~ '^[0-9a-f]{64}$'),
        PRIMARY KEY (invoice_id, number),
        CONSTRAINT invoice_line_is_quantity_times_price
            CHECK (abs(base_quantity * unit_price - amount_unrounded * per_base) <= per_base * 1e-12)
    );

    CREATE TABLE invoice_tax (
        invoice_id uuid NOT NULL REFERENCES invoice (id),
        tax_rate numeric(7, 6) NOT NULL CHECK (tax_rate >= 0 AND tax_rate < 1),
        base numeric(38, 12) NOT NULL,
        tax numeric(38, 12) NOT NULL,
        PRIMARY KEY (invoice_id, tax_rate)
    );

    CREATE TABLE invoice_event (
        id uuid PRIMARY KEY,
        invoice_id uuid NOT NULL REFERENCES invoice (id),
        kind text NOT NULL CHECK (kind IN ('drafted', 'redrafted', 'finalized', 'sent', 'paid', 'void')),
        at timestamptz NOT NULL,
        actor text NOT NULL CHECK (actor <> ''),
        reason text NOT NULL CHECK (reason <> ''),
        request_id text NOT NULL
    );
    CREATE INDEX invoice_event_invoice ON invoice_event (invoice_id, id);

    CREATE TABLE billing_audit (
        id uuid PRIMARY KEY,
        at timestamptz NOT NULL,
        actor text NOT NULL CHECK (actor <> ''),
        reason text NOT NULL CHECK (reason <> ''),
        request_id text NOT NULL,
        action text NOT NULL CHECK (action <> ''),
        project_id text,
        subject text NOT NULL,
        detail text NOT NULL CHECK (detail IS JSON OBJECT)
    );
    CREATE INDEX billing_audit_subject ON billing_audit (subject, id);
"""

RECORDS = ("price_version", "billing_account_plan", "invoice_event", "billing_audit")
"""Tables that only grow."""
PARTS = ("invoice_line", "invoice_tax")


def upgrade() -> None:
    """Make the tables of billing; the guards fire for every role, the superuser and a replica's applier included."""
    for statement in (EXTENSION, TABLES, REFUSE_CHANGE, GUARD_INVOICE, GUARD_PART):
        op.execute(statement)
    for table in RECORDS:
        guard(table, events="UPDATE OR DELETE", function="billing_refuse_change")
    guard("invoice", events="INSERT OR UPDATE OR DELETE", function="billing_guard_invoice")
    for table in PARTS:
        guard(table, events="INSERT OR UPDATE OR DELETE", function="billing_guard_invoice_part")
    for table in (*RECORDS, "invoice", *PARTS):
        op.execute(f"""
            CREATE TRIGGER {table}_never_emptied BEFORE TRUNCATE ON {table}
            FOR EACH STATEMENT EXECUTE FUNCTION billing_refuse_change();
            ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_never_emptied
        """)


def guard(table: str, *, events: str, function: str) -> None:
    """Let a function judge each change of a row of the table."""
    op.execute(f"""
        CREATE TRIGGER {table}_guard BEFORE {events} ON {table} FOR EACH ROW EXECUTE FUNCTION {function}();
        ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_guard
    """)


def downgrade() -> None:
    """Drop the tables of billing; the extension stays, it may be others' too."""
    op.execute("""
        DROP TABLE billing_audit, invoice_event, invoice_tax, invoice_line, invoice, invoice_series,
            billing_account_plan, billing_account, price_version, price_plan;
        DROP FUNCTION billing_refuse_change(), billing_guard_invoice(), billing_guard_invoice_part()
    """)
