"""Scaling groups, policies and activities."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables of scaling; activities outlive group and policy, so they do not reference them."""
    op.execute("""
        CREATE TABLE scaling_group (
            id uuid PRIMARY KEY,
            project_id text NOT NULL CHECK (project_id <> ''),
            user_id text,
            name text NOT NULL CHECK (length(name) BETWEEN 1 AND 255),
            launch jsonb NOT NULL CHECK (jsonb_typeof(launch) = 'object'),
            size_min integer NOT NULL,
            size_max integer NOT NULL,
            size_desired integer NOT NULL,
            cooldown_s integer NOT NULL CHECK (cooldown_s BETWEEN 0 AND 86400),
            victim_order text NOT NULL CHECK (victim_order IN ('newest', 'oldest')),
            state text NOT NULL CHECK (state IN ('active', 'deleting')),
            cooldown_until timestamptz,
            failures integer NOT NULL DEFAULT 0 CHECK (failures >= 0),
            retry_at timestamptz,
            launched_count integer NOT NULL DEFAULT 0 CHECK (launched_count >= 0),
            converge_at timestamptz,
            created_at timestamptz NOT NULL,
            updated_at timestamptz NOT NULL,
            CONSTRAINT scaling_group_size_bounds
                CHECK (0 <= size_min AND size_min <= size_desired AND size_desired <= size_max AND size_max <= 1000)
        )
    """)
    op.execute("CREATE INDEX scaling_group_project ON scaling_group (project_id, id)")
    op.execute("CREATE INDEX scaling_group_due ON scaling_group (converge_at) WHERE converge_at IS NOT NULL")
    op.execute("""
        CREATE TABLE scaling_policy (
            id uuid PRIMARY KEY,
            group_id uuid NOT NULL REFERENCES scaling_group ON DELETE CASCADE,
            name text NOT NULL CHECK (length(name) BETWEEN 1 AND 255),
            adjustment_type text NOT NULL
                CHECK (adjustment_type IN ('change_in_capacity', 'exact_capacity', 'percent_change_in_capacity')),
            adjustment integer NOT NULL CHECK (adjustment BETWEEN -100000 AND 100000),
            min_adjustment_step integer CHECK (min_adjustment_step BETWEEN 1 AND 1000),
            cooldown_s integer CHECK (cooldown_s BETWEEN 0 AND 86400),
            cooldown_until timestamptz,
            created_at timestamptz NOT NULL
        )
    """)
    op.execute("CREATE INDEX scaling_policy_group ON scaling_policy (group_id, id)")
    op.execute("""
        CREATE TABLE scaling_member (
            instance_id uuid PRIMARY KEY,
            group_id uuid NOT NULL REFERENCES scaling_group ON DELETE CASCADE,
            joined_at timestamptz NOT NULL,
            left_at timestamptz
        )
    """)
    op.execute("CREATE INDEX scaling_member_group ON scaling_member (group_id) WHERE left_at IS NULL")
    op.execute("""
        CREATE TABLE scaling_activity (
            id uuid PRIMARY KEY,
            group_id uuid NOT NULL,
            project_id text NOT NULL,
            policy_id uuid,
            alarm_id uuid,
            decision text NOT NULL CHECK (decision IN ('resize', 'refusal', 'replacement', 'launch_failure')),
            reason text NOT NULL CHECK (reason <> ''),
            cause text NOT NULL,
            size_before integer NOT NULL CHECK (size_before >= 0),
            size_after integer NOT NULL CHECK (size_after >= 0),
            at timestamptz NOT NULL,
            CHECK (decision = 'resize' OR size_before = size_after)
        )
    """)
    op.execute("CREATE INDEX scaling_activity_group ON scaling_activity (project_id, group_id, id)")


def downgrade() -> None:
    """Drop the tables of scaling."""
    op.execute("DROP TABLE scaling_activity, scaling_member, scaling_policy, scaling_group")
