"""CloudEvents as they came and what was answered, and the meters that count them."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables of events and event meters, and the resource type of what events are about."""
    make_events()
    make_event_refusals()
    make_event_meters()
    op.execute("""
        INSERT INTO resource_type (name, attributes) VALUES ('event_subject', jsonb_build_object('subject',
            jsonb_build_object('type', 'string', 'required', false, 'min_length', 0, 'max_length', 1024)))
        ON CONFLICT (name) DO NOTHING
    """)


def downgrade() -> None:
    """Drop them; what was counted stays with its resources."""
    op.execute("DROP TABLE event_meter")
    op.execute("DROP TABLE event_refusal")
    op.execute("DROP TABLE event")
    op.execute("""
        DELETE FROM resource_type t WHERE name = 'event_subject'
            AND NOT EXISTS (SELECT FROM resource WHERE resource_type = t.name)
            AND NOT EXISTS (SELECT FROM resource_revision WHERE resource_type = t.name)
    """)


def make_events() -> None:
    """An event is kept once for ever: its id is a digest of project, source and the sender's id."""
    op.execute("""
        CREATE TABLE event (
            id uuid PRIMARY KEY,
            project_id text NOT NULL CHECK (project_id <> ''),
            source text NOT NULL CHECK (source <> ''),
            event_id text NOT NULL CHECK (event_id <> ''),
            type text NOT NULL CHECK (type <> ''),
            subject text CHECK (subject <> ''),
            observed_at timestamptz NOT NULL CHECK (observed_at >= TIMESTAMPTZ 'epoch'),
            received_at timestamptz NOT NULL,
            place integer NOT NULL CHECK (place >= 0),
            sent_by text NOT NULL,
            may_lower boolean NOT NULL,
            content_digest bigint NOT NULL,
            attributes json CHECK (json_typeof(attributes) = 'object'),
            data json,
            is_binary boolean NOT NULL DEFAULT false,
            written_xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
            CHECK (NOT is_binary OR json_typeof(data) = 'string')
        )
    """)
    op.execute("CREATE INDEX event_of_project ON event (project_id, received_at, place)")


def make_event_refusals() -> None:
    """Repeats and what could not be taken, for a while, so that a sender can see why."""
    op.execute("""
        CREATE TABLE event_refusal (
            id uuid PRIMARY KEY,
            project_id text NOT NULL CHECK (project_id <> ''),
            source text,
            event_id text,
            type text,
            received_at timestamptz NOT NULL,
            place integer NOT NULL CHECK (place >= 0),
            sent_by text NOT NULL,
            outcome text NOT NULL CHECK (outcome IN ('duplicate', 'rejected')),
            reason text NOT NULL CHECK (reason <> ''),
            field text,
            content text
        )
    """)
    op.execute("CREATE INDEX event_refusal_of_project ON event_refusal (project_id, received_at, place)")
    op.execute("CREATE INDEX event_refusal_received ON event_refusal (received_at)")


def make_event_meters() -> None:
    """What is counted of events of a type; without a project in every project. A deleted one keeps its name."""
    op.execute("""
        CREATE TABLE event_meter (
            id uuid PRIMARY KEY,
            project_id text CHECK (project_id <> ''),
            name text NOT NULL CHECK (name <> '' AND length(name) <= 100),
            event_type text NOT NULL CHECK (event_type <> ''),
            aggregation text NOT NULL CHECK (aggregation IN ('sum', 'count', 'max', 'last')),
            value_path text,
            unit text NOT NULL CHECK (length(unit) <= 31),
            group_by jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(group_by) = 'object'),
            description text NOT NULL DEFAULT '',
            created_at timestamptz NOT NULL,
            created_by text NOT NULL,
            deleted_at timestamptz,
            past_until timestamptz,
            past_received_at timestamptz,
            past_place integer,
            past_id uuid,
            past_counted bigint NOT NULL DEFAULT 0 CHECK (past_counted >= 0),
            past_skipped bigint NOT NULL DEFAULT 0 CHECK (past_skipped >= 0),
            CHECK ((aggregation = 'count') = (value_path IS NULL)),
            UNIQUE NULLS NOT DISTINCT (project_id, name)
        )
    """)
    op.execute("CREATE INDEX event_meter_name ON event_meter (name)")
    op.execute("CREATE INDEX event_meter_past ON event_meter (past_until) WHERE past_until IS NOT NULL")
