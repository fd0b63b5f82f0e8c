"""The schema: the migrations, applied to an empty database, give what alembic/schema.sql shows; and they go down and up again."""

import re
import subprocess

import psycopg

from foundation.database import set_forms
from foundation.ids import new_hex_id
from tests.conftest import ROOT, migrate, migrated_database

SCHEMA = ROOT / "alembic" / "schema.sql"


def dump_schema(url: str) -> str:
    """Describe the schema as text that depends on nothing but the schema: tables, columns, constraints, indexes, triggers, functions."""
    with psycopg.connect(url) as connection:
        set_forms(connection)
        rows = connection.execute(DESCRIBE_SCHEMA).fetchall()
    return "\n".join(re.sub(r"\s+", " ", row[0]).strip() for row in rows) + "\n"


DESCRIBE_SCHEMA = """
    WITH ours AS (
        SELECT c.oid, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p', 'v')
    )
    SELECT line FROM (
        SELECT 'column ' || relname || '.' || attname || ' ' || format_type(atttypid, atttypmod)
               || CASE WHEN attnotnull THEN ' NOT NULL' ELSE '' END
               || coalesce(' DEFAULT ' || pg_get_expr(adbin, adrelid), '')
               || CASE attidentity WHEN '' THEN '' ELSE ' IDENTITY' END AS line
        FROM ours JOIN pg_attribute a ON attrelid = ours.oid AND attnum > 0 AND NOT attisdropped
        LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
        UNION ALL
        SELECT 'constraint ' || relname || ' ' || conname || ' ' || pg_get_constraintdef(k.oid)
        FROM ours JOIN pg_constraint k ON conrelid = ours.oid AND contype <> 't'
        UNION ALL
        SELECT 'index ' || pg_get_indexdef(indexrelid) FROM ours JOIN pg_index ON indrelid = ours.oid
        UNION ALL
        SELECT 'trigger ' || pg_get_triggerdef(t.oid) FROM ours JOIN pg_trigger t ON tgrelid = ours.oid AND NOT tgisinternal
        UNION ALL
        SELECT 'function ' || pg_get_functiondef(p.oid)
        FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE n.nspname = 'public' AND NOT EXISTS (
            SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
    ) described ORDER BY line COLLATE "C"
"""


def test_the_migrations_give_the_committed_schema(database_url: str) -> None:
    now = dump_schema(database_url)
    committed = SCHEMA.read_text() if SCHEMA.exists() else ""
    if now != committed:
        (ROOT / "var").mkdir(exist_ok=True)
        (ROOT / "var" / "schema.sql").write_text(now)
    assert now == committed, (
        "the migrations changed the schema: read var/schema.sql, then copy it to alembic/schema.sql"
    )


def test_the_migrations_go_up_down_and_up(cluster_url: str) -> None:
    with migrated_database(cluster_url, f"test_{new_hex_id()}") as url:
        first = dump_schema(url)
        migrate(url, "base")
        migrate(url, "head")
        assert dump_schema(url) == first


def test_git_keeps_no_second_way_to_make_the_schema() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "*.sql"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert listed in (["alembic/schema.sql"], []), "SQL lives beside its function; only the snapshot is a file"
