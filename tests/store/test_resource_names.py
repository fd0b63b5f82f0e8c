"""What a resource's name means: its creator's own thing, and to others whom they may see under it."""

from dataclasses import replace

import numpy as np
import pytest

from foundation.database import Transaction
from foundation.errors import Conflict, Invalid
from foundation.ids import new_hex_id
from identity.model import Caller
from metering import service
from metering.attributes import checked_type
from metering.errors import ResourceNotFound
from metering.filters import called, equals, parse_string_filter
from metering.model import Listing, Resource, WindowQuery, resource_id_of
from metering.samples import microseconds_of
from metering.service import policies, resources
from metering.service.measures import Measures, NamedMeasures, post_resource_measures
from metering.service.metrics import MetricRequest
from metering.service.resources import ResourceRequest
from metering.store import resources as store
from metering.visibility import creator_of
from tests.identity_builders import a_caller
from tests.metering_builders import RECEIVED_AT, T0, a_sample, at


def make(tx: Transaction, caller: Caller, name: str, *, resource_type: str = "generic") -> Resource:
    wanted = ResourceRequest(name, project_id=caller.project_id)
    return resources.create_resource(
        tx, caller, wanted, resource_type=resource_type, attributes={}, metrics={}, now=RECEIVED_AT
    )


def found(tx: Transaction, caller: Caller, query: str) -> set[object]:
    search = parse_string_filter(query)
    listed = resources.search_resources(
        tx, caller, resource_type="generic", search=search, listing=Listing(limit=1_000)
    )
    return {one.id for one in listed}


def test_two_creators_may_use_one_name_and_each_finds_their_own(tx: Transaction) -> None:
    alice, bob, name = a_caller(), a_caller(), f"web-{new_hex_id()}"
    first, second = make(tx, alice, name), make(tx, bob, name)
    assert first.id != second.id
    for caller, own in ((alice, first), (bob, second)):
        assert resources.get_resource(tx, caller, name).id == own.id
        assert found(tx, caller, f"id = '{name}'") == {own.id}
        assert found(tx, caller, f"id in ['{name}']") == {own.id}
        assert found(tx, caller, f"original_resource_id = '{name}' and id != '{name}'") == set()
        with pytest.raises(Conflict, match="already exists"):
            make(tx, caller, name)


def test_others_of_the_project_find_by_its_name_what_one_of_them_made(tx: Transaction) -> None:
    alice = a_caller()
    colleague, name = a_caller(alice.project_id), f"web-{new_hex_id()}"
    made = make(tx, alice, name)
    assert resources.get_resource(tx, colleague, name).id == made.id
    assert found(tx, colleague, f"id = '{name}'") == {made.id}
    assert found(tx, a_caller(), f"id = '{name}'") == set()
    with pytest.raises(ResourceNotFound):
        resources.get_resource(tx, a_caller(), name)
    own = make(tx, colleague, name)
    assert resources.get_resource(tx, colleague, name).id == own.id
    assert resources.get_resource(tx, alice, name).id == made.id
    third = a_caller(alice.project_id)
    with pytest.raises(Invalid, match="name one by its id") as refused:
        resources.get_resource(tx, third, name)
    assert {str(made.id), str(own.id)} <= set(refused.value.message.replace(",", " ").split())


def test_what_a_collector_metered_under_a_name_keeps_its_id(tx: Transaction) -> None:
    caller, name = a_caller(), f"AUTH_{new_hex_id()}"
    metered = resource_id_of(name)
    sample = a_sample(
        0, 1, resource_id=metered, meter="memory", original_resource_id=name, project_id=caller.project_id
    )
    service.ingest_samples(tx, [sample], received_at=RECEIVED_AT)
    assert resources.get_resource(tx, caller, name).id == metered
    made = make(tx, caller, name)
    assert made.id != metered
    assert resources.get_resource(tx, caller, name).id == made.id
    assert resources.get_resource(tx, caller, str(metered)).original_resource_id == name


def test_what_was_made_by_name_before_names_were_ones_own_is_not_made_twice(tx: Transaction) -> None:
    caller, name = a_caller(), f"web-{new_hex_id()}"
    made = make(tx, caller, name)
    old = replace(made, id=resource_id_of(name), creator=creator_of(caller))
    tx.execute("UPDATE resource SET id = %s WHERE id = %s", (old.id, made.id))
    with pytest.raises(Conflict, match=str(old.id)):
        make(tx, caller, name)
    assert resources.get_resource(tx, caller, name).id == old.id


def test_an_admin_deletes_by_a_name_only_what_that_admin_made(tx: Transaction) -> None:
    admin, member, name = a_caller(roles=["admin"]), a_caller(), f"web-{new_hex_id()}"
    theirs = make(tx, member, name)
    assert found(tx, admin, f"id = '{name}'") == {theirs.id}
    search = parse_string_filter(f"id = '{name}'")
    assert resources.delete_resources(tx, admin, resource_type="generic", search=search, now=T0) == 0
    make(tx, admin, name)
    assert resources.delete_resources(tx, admin, resource_type="generic", search=search, now=RECEIVED_AT) == 1
    assert resources.get_resource(tx, member, name).id == theirs.id


def test_a_name_that_several_have_is_told_apart_by_the_type(tx: Transaction) -> None:
    alice, kind, name = a_caller(), f"kind_{new_hex_id()}", f"web-{new_hex_id()}"
    colleague, reader = a_caller(alice.project_id), a_caller(alice.project_id)
    policies.create_resource_type(tx, checked_type(kind, {}))
    make(tx, alice, name)
    typed = make(tx, colleague, name, resource_type=kind)
    assert resources.get_resource(tx, reader, name, resource_type=kind).id == typed.id
    assert resources.id_called(tx, reader, str(typed.id)) == typed.id
    assert resources.id_called(tx, colleague, name) == typed.id
    nothing = resources.id_called(tx, reader, f"no-{name}")
    assert nothing != resource_id_of(f"no-{name}")


def test_an_alarm_on_a_name_watches_what_its_project_made_under_it(tx: Transaction) -> None:
    caller, name = a_caller(), f"web-{new_hex_id()}"
    made = make(tx, caller, name)
    resources.set_metrics(tx, caller, made, {"load": MetricRequest("load", archive_policy_name="low")})
    times = np.array([microseconds_of(at(0))], dtype=np.int64)
    told = {name: {"load": NamedMeasures(MetricRequest("load"), Measures(times, np.array([7.0])))}}
    post_resource_measures(tx, caller, told, create_metrics=False, received_at=RECEIVED_AT)
    query = WindowQuery(
        key=made.id,
        project_id=caller.project_id,
        metric="load",
        resource_type="generic",
        search=called(name),
        aggregation_method="mean",
        granularity_s=300,
        start=at(0),
        stop=at(300),
    )
    (window,) = service.read_windows(tx, [query])
    assert [value for _, value in window.points] == [7.0]
    assert called(str(made.id)) == equals("id", str(made.id))


def test_a_name_is_looked_up_by_an_index(tx: Transaction) -> None:
    tx.execute("SET LOCAL enable_seqscan = off")
    plan = tx.execute(
        "EXPLAIN " + store.FIND_CALLED,
        {"name": "x", "resource_type": "generic", "most": 10, "project_id": None, "creator": ""},
    ).fetchall()
    assert "resource_original" in str(plan)
