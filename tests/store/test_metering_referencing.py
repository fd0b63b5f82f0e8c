"""Which series operations are about, and how many at most."""

from datetime import UTC, datetime

import pytest

from foundation.database import Transaction
from foundation.errors import Invalid
from foundation.ids import new_id
from identity.model import Caller
from metering.filters import parse_string_filter
from metering.operations import metrics_wanted
from metering.operations_syntax import parse_operations
from metering.service import resources
from metering.service.metrics import MetricRequest
from metering.service.referencing import SERIES_MAX, AggregatesRequest, find_groups
from metering.service.resources import ResourceRequest
from tests.identity_builders import a_caller

NOW = datetime(2026, 3, 1, tzinfo=UTC)
METRICS = 200


def series_count(tx: Transaction, caller: Caller, name: str, metrics: str) -> int:
    """Count the series of operations over one resource's metrics, each group's own."""
    operations = parse_operations(f"(metric {metrics})")
    search = parse_string_filter(f"id = '{name}'")
    request = AggregatesRequest(operations, NOW, resource_type="generic", search=search)
    return sum(len(group.references) for group in find_groups(tx, caller, request, metrics_wanted(operations)))


def test_a_metric_is_as_many_series_as_name_it(tx: Transaction) -> None:
    caller, name = a_caller(), str(new_id())
    resources.create_resource(
        tx,
        caller,
        ResourceRequest(name, project_id=caller.project_id),
        resource_type="generic",
        attributes={},
        metrics={f"disk.{number}": MetricRequest() for number in range(METRICS)},
        now=NOW,
    )
    assert series_count(tx, caller, name, "(disk.* mean) (disk.* max) (disk.7 mean)") == 2 * METRICS + 1
    most = SERIES_MAX // METRICS
    every = [f"({'*' * before}disk{'*' * after} mean)" for before in range(16) for after in range(1, 17)][: most + 1]
    assert series_count(tx, caller, name, " ".join(every[:most])) == SERIES_MAX
    with pytest.raises(Invalid, match="more than 50000 series at once: narrow the search or the pattern"):
        series_count(tx, caller, name, " ".join(every))
