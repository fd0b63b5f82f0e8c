"""More states of an instance that may cost something of their own: paused, suspended and shelved."""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

STATES = "'active', 'stopped', 'deleted', 'error', 'host_down'"
MORE_STATES = f"{STATES}, 'paused', 'suspended', 'shelved'"


def upgrade() -> None:
    """Let a notification say which of them it is."""
    allow(MORE_STATES)


def downgrade() -> None:
    """Take them for what they were taken for before: a paused instance runs, a suspended or shelved one is stopped."""
    op.execute("""
        UPDATE lifecycle_event SET state = CASE state WHEN 'paused' THEN 'active' ELSE 'stopped' END
        WHERE state IN ('paused', 'suspended', 'shelved')
    """)
    allow(STATES)


def allow(states: str) -> None:
    """Put another list of states in the place of the one that is checked."""
    op.execute("ALTER TABLE lifecycle_event DROP CONSTRAINT lifecycle_event_state_check")
    op.execute(f"ALTER TABLE lifecycle_event ADD CONSTRAINT lifecycle_event_state_check CHECK (state IN ({states}))")
