"""What OpenStack's notifications tell: resources other than instances that exist and have a size, messages heard, messages not taken."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

RESOURCE_TYPES = (
    "subnet",
    "router",
    "security_group",
    "database_instance",
    "data_cluster",
    "baremetal_node",
    "dns_zone",
    "request_account",
)


def upgrade() -> None:
    """Make the tables, and the resource types that Ceilometer has no name for."""
    op.execute("""
        CREATE TABLE resource_event (
            event_id uuid PRIMARY KEY,
            resource_id uuid NOT NULL,
            resource_type text NOT NULL,
            project_id text NOT NULL,
            kind text NOT NULL,
            meter text NOT NULL CHECK (meter <> '' AND length(meter) <= 200),
            unit text NOT NULL CHECK (length(unit) <= 25),
            is_end boolean NOT NULL,
            size numeric NOT NULL CHECK (size >= 0 AND size < 1e24),
            grade text NOT NULL DEFAULT '',
            name text NOT NULL DEFAULT '',
            observed_at timestamptz NOT NULL,
            written_xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
            CHECK (NOT is_end OR size = 0)
        )
    """)
    op.execute("CREATE INDEX resource_event_of_project ON resource_event (project_id, meter, resource_id)")
    op.execute("CREATE INDEX resource_event_of_resource ON resource_event (resource_id, meter, observed_at, event_id)")
    op.execute("""
        CREATE TABLE heard_notification (
            message_id text PRIMARY KEY CHECK (message_id <> '' AND length(message_id) <= 255),
            event_type text NOT NULL,
            heard_at timestamptz NOT NULL
        )
    """)
    op.execute("CREATE INDEX heard_notification_at ON heard_notification (heard_at)")
    op.execute("""
        CREATE TABLE dead_letter (
            id uuid PRIMARY KEY,
            digest bytea NOT NULL CHECK (length(digest) = 32),
            body bytea NOT NULL,
            body_bytes bigint NOT NULL CHECK (body_bytes >= length(body)),
            exchange text NOT NULL,
            routing_key text NOT NULL,
            message_id text,
            event_type text,
            reason text NOT NULL CHECK (reason <> ''),
            state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'replayed', 'discarded')),
            times_seen integer NOT NULL DEFAULT 1 CHECK (times_seen > 0),
            first_seen_at timestamptz NOT NULL,
            last_seen_at timestamptz NOT NULL,
            settled_at timestamptz,
            CHECK ((state = 'waiting') = (settled_at IS NULL)),
            CHECK (last_seen_at >= first_seen_at)
        )
    """)
    op.execute("CREATE UNIQUE INDEX dead_letter_waiting ON dead_letter (digest) WHERE state = 'waiting'")
    op.execute("CREATE INDEX dead_letter_of_state ON dead_letter (state, id)")
    for name in RESOURCE_TYPES:
        op.execute(f"INSERT INTO resource_type (name) VALUES ('{name}') ON CONFLICT DO NOTHING")


def downgrade() -> None:
    """Drop the tables; a resource type that is used by then stays."""
    for table in ("dead_letter", "heard_notification", "resource_event"):
        op.execute(f"DROP TABLE {table}")
    for name in RESOURCE_TYPES:
        op.execute(
            f"DELETE FROM resource_type WHERE name = '{name}' AND NOT EXISTS"
            f" (SELECT FROM resource WHERE resource_type = '{name}')"
        )
