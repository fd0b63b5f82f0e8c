"""From a search filter to the resources and metrics that it means, within what a project may see."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, LiteralString, TypeAlias
from uuid import UUID

from psycopg import sql
from psycopg.types.json import Jsonb

from foundation.database import Transaction
from metering.filters import Comparison, Either, Every, Filter, FilterInvalid, Negated, Operator, Scalar
from metering.model import resource_id_of

Condition: TypeAlias = tuple[sql.Composable, list[Any]]

TEXT_COLUMNS: Mapping[str, LiteralString] = {
    "type": "r.resource_type",
    "original_resource_id": "r.original_resource_id",
    "creator": "r.creator",
    "project_id": "r.project_id",
    "user_id": "r.user_id",
    "created_by_user_id": "split_part(r.creator, ':', 1)",
    "created_by_project_id": "split_part(r.creator, ':', 2)",
}
TIME_COLUMNS: Mapping[str, LiteralString] = {
    "started_at": "r.started_at",
    "ended_at": "r.ended_at",
    "revision_start": "r.revision_start",
}
SEARCHABLE = frozenset({*TEXT_COLUMNS, *TIME_COLUMNS, "id", "resource_id", "revision_end"})
"""What a filter may name of every resource; further names are attributes of its type."""
SYMBOLS: Mapping[Operator, LiteralString] = {
    Operator.EQ: " IS NOT DISTINCT FROM ",
    Operator.NE: " IS DISTINCT FROM ",
    Operator.LT: " < ",
    Operator.LE: " <= ",
    Operator.GT: " > ",
    Operator.GE: " >= ",
    Operator.LIKE: " LIKE ",
}


def condition_of(tree: Filter) -> Condition:
    """Return the SQL condition on `resource r` that a filter means, with its parameters."""
    match tree:
        case Every(terms):
            return joined(terms, " AND ")
        case Either(terms):
            return joined(terms, " OR ")
        case Negated(term):
            condition, parameters = condition_of(term)
            return sql.SQL("(({}) IS NOT TRUE)").format(condition), parameters
        case Comparison():
            return compared(tree)


def joined(terms: Sequence[Filter], word: LiteralString) -> Condition:
    """Join conditions by AND or OR."""
    parts = [condition_of(term) for term in terms]
    condition = sql.SQL(word).join([part for part, _ in parts])
    return sql.SQL("({})").format(condition), [value for _, values in parts for value in values]


def compared(term: Comparison) -> Condition:
    """Return the condition of one comparison, by what kind of attribute it is about."""
    if term.operator is Operator.IN:
        values = term.value if isinstance(term.value, tuple) else (term.value,)
        if not values:
            return sql.SQL("false"), []
        return joined([Comparison(Operator.EQ, term.attribute, value) for value in values], " OR ")
    assert not isinstance(term.value, tuple)
    if term.attribute in ("id", "resource_id"):
        return compared_id(term.operator, term.value)
    if term.attribute in TEXT_COLUMNS:
        value = "" if term.value is None else as_text(term.value)
        return sql.SQL("(") + sql.SQL(TEXT_COLUMNS[term.attribute] + SYMBOLS[term.operator] + "%s)"), [value]
    if term.attribute in TIME_COLUMNS:
        if term.operator is Operator.LIKE:
            raise FilterInvalid(f"'{term.attribute}' is a time: compare it with =, <, <=, > or >=, not with like")
        value = None if term.value is None else as_instant(term)
        return sql.SQL("(" + TIME_COLUMNS[term.attribute] + SYMBOLS[term.operator] + "%s::timestamptz)"), [value]
    return compared_attribute(term.operator, term.attribute, term.value)


def compared_id(operator: Operator, value: Scalar) -> Condition:
    """Compare the id; a name stands for the id that is made of it."""
    if operator is Operator.LIKE:
        return sql.SQL("(r.id::text LIKE %s)"), [as_text(value)]
    if value is None and operator in (Operator.EQ, Operator.NE):
        return sql.SQL("false" if operator is Operator.EQ else "true"), []
    return sql.SQL("(r.id" + SYMBOLS[operator] + "%s::uuid)"), [resource_id_of(as_text(value))]


def compared_attribute(operator: Operator, attribute: str, value: Scalar) -> Condition:
    """Compare an attribute of the resource's type: equality by the index, order as numbers for numbers, else as text."""
    if operator is Operator.EQ and value is not None:
        if isinstance(value, str):
            return sql.SQL("(r.attributes @> %s)"), [Jsonb({attribute: value})]
        either = [Jsonb({attribute: value}), Jsonb({attribute: as_text(value)})]
        return sql.SQL("(r.attributes @> %s OR r.attributes @> %s)"), either
    if isinstance(value, int | float) and not isinstance(value, bool):
        number = sql.SQL(
            "(CASE WHEN pg_input_is_valid(r.attributes ->> %s, 'numeric')"
            " THEN (r.attributes ->> %s)::numeric END" + SYMBOLS[operator] + "%s::numeric)"
        )
        return number, [attribute, attribute, value]
    text = None if value is None else as_text(value)
    return sql.SQL("((r.attributes ->> %s)" + SYMBOLS[operator] + "%s)"), [attribute, text]


def as_text(value: Scalar) -> str:
    """Write a value as the attributes hold it."""
    if value is None:
        raise FilterInvalid("null can only be compared with = and !=")
    return str(value).lower() if isinstance(value, bool) else str(value)


def as_instant(term: Comparison) -> datetime:
    """Read a value as an instant; without a zone it is UTC, as in Gnocchi."""
    assert not isinstance(term.value, tuple)
    try:
        instant = datetime.fromisoformat(as_text(term.value).replace(" ", "T", 1))
    except ValueError:
        raise FilterInvalid(f"'{term.attribute}' is compared with a time such as 2026-01-31T00:00:00") from None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class MetricSearch:
    """Metrics of one name on the resources of a type that a filter matches, within a project's (None: all)."""

    project_id: str | None
    resource_type: str
    metric: str
    search: Filter | None


@dataclass(frozen=True, slots=True)
class PlainSearch:
    """What a conjunction of equalities asks for: at most one id, and attributes that must all be there."""

    resource_id: UUID | None
    attributes: Mapping[str, str]


def plain_search(tree: Filter | None) -> PlainSearch | None:
    """Return a filter as a plain search, or None where it is more than equalities joined by and."""
    terms = tree.terms if isinstance(tree, Every) else () if tree is None else (tree,)
    resource_id: UUID | None = None
    attributes: dict[str, str] = {}
    for term in terms:
        if not isinstance(term, Comparison) or term.operator is not Operator.EQ or not isinstance(term.value, str):
            return None
        if term.attribute in ("id", "resource_id") and resource_id is None:
            resource_id = resource_id_of(term.value)
        elif term.attribute in TEXT_COLUMNS or term.attribute in TIME_COLUMNS or term.attribute in attributes:
            return None
        else:
            attributes[term.attribute] = term.value
    return PlainSearch(resource_id, attributes)


@dataclass(frozen=True, slots=True)
class FoundMetric:
    """A metric that a search found: which search, its key, and whose it is."""

    search: int
    metric_key: int
    resource_id: UUID


FIND_BY_ID: LiteralString = """
    SELECT q.n, c.key, r.id
    FROM unnest(%(n)s::int[], %(projects)s::text[], %(types)s::text[], %(metrics)s::text[], %(ids)s::uuid[],
        %(attributes)s::jsonb[]) AS q (n, project_id, resource_type, metric, id, attributes)
    CROSS JOIN LATERAL (
        SELECT id FROM resource
        WHERE id = q.id AND deleted_at IS NULL AND attributes @> q.attributes
            AND (q.project_id IS NULL OR project_id = q.project_id)
            AND (q.resource_type = 'generic' OR resource_type = q.resource_type)
        OFFSET 0
    ) r
    CROSS JOIN LATERAL (
        SELECT key FROM metric WHERE resource_id = r.id AND name = q.metric AND status = 'active' OFFSET 0
    ) c
    ORDER BY q.n, r.id
"""

FIND_BY_ATTRIBUTES: LiteralString = """
    SELECT q.n, c.key, r.id
    FROM unnest(%(n)s::int[], %(projects)s::text[], %(types)s::text[], %(metrics)s::text[], %(ids)s::uuid[],
        %(attributes)s::jsonb[]) AS q (n, project_id, resource_type, metric, id, attributes)
    CROSS JOIN LATERAL (
        SELECT id FROM resource
        WHERE deleted_at IS NULL AND attributes @> q.attributes
            AND (q.project_id IS NULL OR project_id = q.project_id)
            AND (q.resource_type = 'generic' OR resource_type = q.resource_type)
        OFFSET 0
    ) r
    CROSS JOIN LATERAL (
        SELECT key FROM metric WHERE resource_id = r.id AND name = q.metric AND status = 'active' OFFSET 0
    ) c
    ORDER BY q.n, r.id
"""
"""Each step hangs on the one before, so that the order of the joins is ours even where the planner has no statistics."""


def find_metrics(tx: Transaction, searches: Sequence[MetricSearch]) -> list[FoundMetric]:
    """Find the metrics of all searches, in at most three statements however many the searches are."""
    by_id: list[tuple[int, MetricSearch, PlainSearch]] = []
    by_attributes: list[tuple[int, MetricSearch, PlainSearch]] = []
    others: list[tuple[int, MetricSearch]] = []
    for n, search in enumerate(searches):
        plain = plain_search(search.search)
        if plain is not None and plain.resource_id is not None:
            by_id.append((n, search, plain))
        elif plain is not None and plain.attributes:
            by_attributes.append((n, search, plain))
        else:
            others.append((n, search))
    found: list[FoundMetric] = []
    if by_id:
        found += find_plain(tx, FIND_BY_ID, by_id)
    if by_attributes:
        found += find_plain(tx, FIND_BY_ATTRIBUTES, by_attributes)
    if others:
        found += find_others(tx, others)
    return found


def find_plain(
    tx: Transaction, statement: LiteralString, searches: Sequence[tuple[int, MetricSearch, PlainSearch]]
) -> list[FoundMetric]:
    """Run one statement for all plain searches of a kind."""
    parameters = {
        "n": [n for n, _, _ in searches],
        "projects": [search.project_id for _, search, _ in searches],
        "types": [search.resource_type for _, search, _ in searches],
        "metrics": [search.metric for _, search, _ in searches],
        "ids": [plain.resource_id for _, _, plain in searches],
        "attributes": [Jsonb(dict(plain.attributes)) for _, _, plain in searches],
    }
    tx.execute(FORCE_INDEXES, ("off",))
    found = [FoundMetric(*row) for row in tx.execute(statement, parameters)]
    tx.execute(FORCE_INDEXES, ("on",))
    return found


FORCE_INDEXES: LiteralString = "SELECT set_config('enable_seqscan', %s, true)"
"""Right after heavy writes the planner has no statistics, and would read every resource once for every search."""

FIND_ONE: LiteralString = """
    SELECT %s::int AS n, c.key, r.id
    FROM resource r JOIN metric c ON c.resource_id = r.id AND c.name = %s AND c.status = 'active'
    WHERE r.deleted_at IS NULL AND (%s::text IS NULL OR r.project_id = %s) AND (%s = 'generic' OR r.resource_type = %s)
        AND {}
"""


def find_others(tx: Transaction, searches: Sequence[tuple[int, MetricSearch]]) -> list[FoundMetric]:
    """Run all other searches as one union."""
    parts: list[sql.Composable] = []
    parameters: list[Any] = []
    for n, search in searches:
        condition, values = condition_of(search.search) if search.search is not None else (sql.SQL("true"), [])
        parts.append(sql.SQL(FIND_ONE).format(condition))
        project, kind = search.project_id, search.resource_type
        parameters += [n, search.metric, project, project, kind, kind, *values]
    statement = sql.SQL(" UNION ALL ").join(parts) + sql.SQL(" ORDER BY 1, 3")
    return [FoundMetric(*row) for row in tx.execute(statement, parameters)]
