"""The metrics of a resource as its creator changes them: all that goes, goes at once, and nothing where one of them may not."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest

from foundation.database import Transaction
from foundation.ids import new_id
from identity.model import Caller, UserId
from metering.errors import MeasuresRefused, MetricNotFound, MetricUnknown
from metering.model import Resource
from metering.service import metrics, resources
from metering.service.metrics import MetricRequest
from metering.service.resources import ResourceRequest
from tests.identity_builders import a_caller
from tests.statements import counted_statements

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def a_resource(tx: Transaction, caller: Caller, *, metric_count: int) -> Resource:
    request = ResourceRequest(name=str(new_id()), project_id=caller.project_id)
    made = {f"m{n}": MetricRequest() for n in range(metric_count)}
    return resources.create_resource(tx, caller, request, resource_type="generic", attributes={}, metrics=made, now=NOW)


def set_metrics(
    tx: Transaction, caller: Caller, resource: Resource, wanted: Mapping[str, MetricRequest | UUID]
) -> Resource:
    name = str(resource.id)
    return resources.update_resource(
        tx, caller, name, resource_type="generic", changes={}, attributes={}, metrics=wanted, now=NOW
    )


def test_metrics_that_are_named_no_more_go_together(tx: Transaction) -> None:
    caller = a_caller()
    taken: list[int] = []
    for count in (2, 40):
        resource = a_resource(tx, caller, metric_count=count)
        with counted_statements(tx) as counted:
            left = set_metrics(tx, caller, resource, {"m0": UUID(resource.metrics["m0"])})
        taken.append(counted.statements)
        assert left.metrics == {"m0": resource.metrics["m0"]}
    assert taken[0] == taken[1]


def test_metrics_are_made_together(tx: Transaction) -> None:
    caller = a_caller()
    taken: list[int] = []
    for count in (2, 40):
        with counted_statements(tx) as counted:
            made = a_resource(tx, caller, metric_count=count)
        taken.append(counted.statements)
        assert len(made.metrics) == count
    assert taken[0] == taken[1]


def test_metrics_go_all_together_or_not_at_all(tx: Transaction) -> None:
    caller = a_caller()
    resource = a_resource(tx, caller, metric_count=3)
    ids = [UUID(metric_id) for metric_id in resource.metrics.values()]
    with pytest.raises(MeasuresRefused):
        metrics.delete_metrics(tx, replace(caller, user_id=UserId("another")), ids)
    stranger = new_id()
    with pytest.raises(MetricNotFound, match=str(stranger)):
        metrics.delete_metrics(tx, caller, [*ids, stranger])
    assert len(metrics.get_metrics(tx, caller, ids)) == 3
    metrics.delete_metrics(tx, caller, ids)
    assert not metrics.find_metrics(tx, caller, ids)


def test_metrics_are_given_to_a_resource_only_where_all_are_there(tx: Transaction) -> None:
    caller = a_caller()
    resource = a_resource(tx, caller, metric_count=0)
    own = metrics.create_metric(tx, caller, MetricRequest())
    with pytest.raises(MetricUnknown):
        set_metrics(tx, caller, resource, {"a": own.id, "b": new_id()})
    assert metrics.get_metric(tx, caller, own.id).resource_id is None
    given = set_metrics(tx, caller, resource, {"a": own.id})
    assert given.metrics == {"a": str(own.id)}
