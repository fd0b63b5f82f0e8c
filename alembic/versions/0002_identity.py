"""Domains, projects, users, roles, their assignments, and tokens."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables of identity; a token is known by its SHA-256 only, a password by its argon2id hash."""
    op.execute("""
        CREATE TABLE identity_domain (
            id text PRIMARY KEY,
            name text NOT NULL UNIQUE CHECK (name <> '' AND length(name) <= 64),
            description text NOT NULL DEFAULT '',
            enabled boolean NOT NULL DEFAULT true
        )
    """)
    op.execute("""
        CREATE TABLE project (
            id text PRIMARY KEY CHECK (id <> '' AND length(id) <= 64),
            name text NOT NULL CHECK (name <> '' AND length(name) <= 64),
            domain_id text NOT NULL REFERENCES identity_domain (id),
            description text NOT NULL DEFAULT '' CHECK (length(description) <= 4096),
            enabled boolean NOT NULL DEFAULT true,
            created_at timestamptz NOT NULL,
            UNIQUE (domain_id, name)
        )
    """)
    op.execute("""
        CREATE TABLE user_account (
            id text PRIMARY KEY CHECK (id <> '' AND length(id) <= 64),
            name text NOT NULL CHECK (name <> '' AND length(name) <= 255),
            domain_id text NOT NULL REFERENCES identity_domain (id),
            description text NOT NULL DEFAULT '' CHECK (length(description) <= 4096),
            email text CHECK (length(email) <= 255),
            enabled boolean NOT NULL DEFAULT true,
            default_project_id text REFERENCES project (id) ON DELETE SET NULL,
            password_hash text CHECK (password_hash LIKE '$argon2id$%'),
            created_at timestamptz NOT NULL,
            UNIQUE (domain_id, name)
        )
    """)
    op.execute("CREATE INDEX user_account_default_project ON user_account (default_project_id)")
    op.execute("""
        CREATE TABLE role (
            id text PRIMARY KEY,
            name text NOT NULL UNIQUE CHECK (name <> '' AND length(name) <= 64)
        )
    """)
    op.execute("""
        CREATE TABLE role_assignment (
            user_id text NOT NULL REFERENCES user_account (id) ON DELETE CASCADE,
            project_id text REFERENCES project (id) ON DELETE CASCADE,
            role_id text NOT NULL REFERENCES role (id) ON DELETE CASCADE,
            UNIQUE NULLS NOT DISTINCT (user_id, project_id, role_id)
        )
    """)
    op.execute("CREATE INDEX role_assignment_project ON role_assignment (project_id)")
    op.execute("CREATE INDEX role_assignment_role ON role_assignment (role_id)")
    op.execute("""
        CREATE TABLE token (
            hash bytea PRIMARY KEY CHECK (length(hash) = 32),
            audit_id text NOT NULL,
            methods text[] NOT NULL CHECK (cardinality(methods) > 0),
            user_id text NOT NULL REFERENCES user_account (id) ON DELETE CASCADE,
            project_id text REFERENCES project (id) ON DELETE CASCADE,
            is_system boolean NOT NULL DEFAULT false,
            issued_at timestamptz NOT NULL,
            expires_at timestamptz NOT NULL,
            CHECK (issued_at < expires_at),
            CHECK (NOT (is_system AND project_id IS NOT NULL))
        )
    """)
    op.execute("CREATE INDEX token_user ON token (user_id)")
    op.execute("CREATE INDEX token_project ON token (project_id)")
    op.execute("CREATE INDEX token_expires_at ON token (expires_at)")


def downgrade() -> None:
    """Drop the tables of identity."""
    op.execute("DROP TABLE token, role_assignment, role, user_account, project, identity_domain")
