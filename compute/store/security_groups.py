"""Rows of security groups and their rules."""

from collections.abc import Sequence
from datetime import datetime
from typing import LiteralString
from uuid import UUID

from psycopg.rows import class_row

from compute.model import SecurityGroup, SecurityGroupRule
from foundation.database import Transaction

INSERT_GROUP: LiteralString = """
    INSERT INTO security_group (id, project_id, name, description, created_at) VALUES (%s, %s, %s, %s, %s)
    ON CONFLICT (project_id, name) DO NOTHING
"""


def insert_group(tx: Transaction, group: SecurityGroup) -> bool:
    """Write a group; False when the project has one of the name."""
    parameters = (group.id, group.project_id, group.name, group.description, group.created_at)
    return tx.execute(INSERT_GROUP, parameters).rowcount == 1


SELECT_GROUPS: LiteralString = """
    SELECT id, project_id, name, description, created_at FROM security_group
    WHERE %(project_id)s::text IS NULL OR project_id = %(project_id)s
    ORDER BY created_at, id LIMIT 10000
"""


def list_groups(tx: Transaction, *, project_id: str | None) -> Sequence[SecurityGroup]:
    """List the security groups of a project (None: all)."""
    with tx.cursor(row_factory=class_row(SecurityGroup)) as cursor:
        return cursor.execute(SELECT_GROUPS, {"project_id": project_id}).fetchall()


INSERT_DEFAULT_RULES: LiteralString = """
    INSERT INTO security_group_rule (id, security_group_id, direction, ethertype, remote_group_id, created_at)
    SELECT rule.id, %(group_id)s, rule.direction, rule.ethertype,
        CASE WHEN rule.direction = 'ingress' THEN %(group_id)s END, %(now)s
    FROM unnest(%(ids)s::uuid[], ARRAY['egress', 'egress', 'ingress', 'ingress'], ARRAY['IPv4', 'IPv6', 'IPv4', 'IPv6'])
        AS rule (id, direction, ethertype)
"""


def insert_default_rules(tx: Transaction, group_id: UUID, *, rule_ids: Sequence[UUID], now: datetime) -> None:
    """Write the four rules that every default group has: out to all, in from its own members."""
    tx.execute(INSERT_DEFAULT_RULES, {"group_id": group_id, "ids": list(rule_ids), "now": now})


SELECT_RULES: LiteralString = """
    SELECT r.id, r.security_group_id, g.project_id, r.direction, r.ethertype, r.protocol, r.port_range_min,
        r.port_range_max, r.remote_ip_prefix::text AS remote_ip_prefix, r.remote_group_id, r.created_at
    FROM security_group_rule r JOIN security_group g ON g.id = r.security_group_id
    WHERE %(project_id)s::text IS NULL OR g.project_id = %(project_id)s
    ORDER BY r.created_at, r.id LIMIT 100000
"""


def list_rules(tx: Transaction, *, project_id: str | None) -> Sequence[SecurityGroupRule]:
    """List the rules of a project's groups (None: all)."""
    with tx.cursor(row_factory=class_row(SecurityGroupRule)) as cursor:
        return cursor.execute(SELECT_RULES, {"project_id": project_id}).fetchall()
