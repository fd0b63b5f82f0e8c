"""Alarms, their history and webhook deliveries."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables of alarms; history and deliveries outlive the alarm, so they do not reference it."""
    op.execute("""
        CREATE TABLE alarm (
            id uuid PRIMARY KEY,
            project_id text NOT NULL CHECK (project_id <> ''),
            user_id text,
            name text NOT NULL CHECK (length(name) BETWEEN 1 AND 255),
            description text NOT NULL,
            enabled boolean NOT NULL,
            type text NOT NULL CHECK (type IN (
                'gnocchi_resources_threshold',
                'gnocchi_aggregation_by_metrics_threshold',
                'gnocchi_aggregation_by_resources_threshold')),
            rule jsonb NOT NULL CHECK (jsonb_typeof(rule) = 'object'),
            severity text NOT NULL CHECK (severity IN ('low', 'moderate', 'critical')),
            ok_actions text[] NOT NULL,
            alarm_actions text[] NOT NULL,
            insufficient_data_actions text[] NOT NULL,
            repeat_actions boolean NOT NULL,
            time_constraints jsonb NOT NULL CHECK (jsonb_typeof(time_constraints) = 'array'),
            evaluation_interval_s integer CHECK (evaluation_interval_s BETWEEN 1 AND 86400),
            state text NOT NULL CHECK (state IN ('ok', 'alarm', 'insufficient data')),
            state_reason text NOT NULL,
            state_reason_data jsonb NOT NULL,
            state_at timestamptz NOT NULL,
            created_at timestamptz NOT NULL,
            updated_at timestamptz NOT NULL,
            evaluated_at timestamptz,
            next_evaluation_at timestamptz NOT NULL,
            last_value float8 CHECK (last_value NOT IN ('NaN', 'Infinity', '-Infinity'))
        )
    """)
    op.execute("CREATE INDEX alarm_due ON alarm (next_evaluation_at) WHERE enabled")
    op.execute("CREATE INDEX alarm_project ON alarm (project_id, id)")
    op.execute("""
        CREATE TABLE alarm_history (
            id uuid PRIMARY KEY,
            alarm_id uuid NOT NULL,
            project_id text NOT NULL,
            user_id text,
            type text NOT NULL CHECK (type IN ('creation', 'rule change', 'state transition', 'deletion')),
            detail jsonb NOT NULL,
            severity text NOT NULL CHECK (severity IN ('low', 'moderate', 'critical')),
            at timestamptz NOT NULL
        )
    """)
    op.execute("CREATE INDEX alarm_history_alarm ON alarm_history (project_id, alarm_id, id)")
    op.execute("CREATE INDEX alarm_history_project ON alarm_history (project_id, id)")
    op.execute("""
        CREATE TABLE alarm_quota (
            project_id text PRIMARY KEY,
            alarms_max integer NOT NULL CHECK (alarms_max >= -1)
        )
    """)
    _create_deliveries()


def _create_deliveries() -> None:
    op.execute("""
        CREATE TABLE webhook_secret (
            project_id text PRIMARY KEY,
            secret bytea NOT NULL CHECK (length(secret) BETWEEN 24 AND 64),
            previous_secret bytea CHECK (length(previous_secret) BETWEEN 24 AND 64),
            previous_until timestamptz,
            CHECK ((previous_secret IS NULL) = (previous_until IS NULL))
        )
    """)
    op.execute("""
        CREATE TABLE delivery (
            id uuid PRIMARY KEY,
            project_id text NOT NULL,
            alarm_id uuid,
            event_id uuid NOT NULL,
            url text NOT NULL,
            body text NOT NULL,
            state text NOT NULL CHECK (state IN ('pending', 'delivered', 'failed')),
            attempts integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
            attempts_max integer NOT NULL CHECK (attempts_max > 0),
            next_attempt_at timestamptz NOT NULL,
            lease_owner text,
            lease_until timestamptz,
            created_at timestamptz NOT NULL,
            finished_at timestamptz,
            UNIQUE (event_id, url),
            CHECK (attempts <= attempts_max),
            CHECK ((lease_owner IS NULL) = (lease_until IS NULL)),
            CHECK ((state = 'pending') = (finished_at IS NULL))
        )
    """)
    op.execute("CREATE INDEX delivery_due ON delivery (next_attempt_at) WHERE state = 'pending'")
    op.execute("CREATE INDEX delivery_project ON delivery (project_id, id)")
    op.execute("""
        CREATE TABLE delivery_attempt (
            delivery_id uuid NOT NULL REFERENCES delivery ON DELETE CASCADE,
            attempt integer NOT NULL CHECK (attempt > 0),
            started_at timestamptz NOT NULL,
            finished_at timestamptz,
            outcome text CHECK (outcome IN ('delivered', 'rejected', 'unreachable', 'refused', 'abandoned')),
            status_code integer,
            latency_ms integer CHECK (latency_ms >= 0),
            answer text,
            error text,
            PRIMARY KEY (delivery_id, attempt),
            CHECK ((outcome IS NULL) = (finished_at IS NULL))
        )
    """)


def downgrade() -> None:
    """Drop the tables of alarms."""
    op.execute("DROP TABLE delivery_attempt, delivery, webhook_secret, alarm_quota, alarm_history, alarm")
