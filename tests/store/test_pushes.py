"""Pushing measures of things that are only named: however many and in whatever order, in few statements and without standstill."""

from threading import Thread

import numpy as np
import pytest

from foundation.database import Pool, Transaction, transaction
from foundation.ids import new_hex_id
from identity.model import Caller
from metering.attributes import checked_type
from metering.errors import ResourceExists
from metering.model import owned_resource_id
from metering.samples import microseconds_of
from metering.service.measures import Measures
from metering.service.policies import create_resource_type
from metering.service.pushes import PushedResource, push_measures
from metering.visibility import creator_of
from tests.conftest import PATIENCE_S
from tests.identity_builders import a_caller
from tests.metering_builders import RECEIVED_AT, at
from tests.statements import counted_statements


def a_type(tx: Transaction) -> str:
    return create_resource_type(tx, checked_type(f"hosts_{new_hex_id()}", {})).name


def told(name: str, *values: float, metric: str = "load", seconds: float = 0) -> PushedResource:
    times = np.array([microseconds_of(at(seconds + n)) for n in range(len(values))], dtype=np.int64)
    return PushedResource(name, {metric: Measures(times, np.array(values, dtype=np.float64))}, {})


def push(tx: Transaction, caller: Caller, pushed: list[PushedResource], kind: str) -> int:
    return push_measures(tx, caller, pushed, resource_type=kind, received_at=RECEIVED_AT).accepted


def test_two_pushes_of_the_same_new_things_in_opposite_order_both_arrive(pool: Pool) -> None:
    caller, names = a_caller(), [f"host-{n}" for n in range(300)]
    with transaction(pool) as tx:
        kind = a_type(tx)
    accepted: list[int] = []
    failures: list[BaseException] = []

    def send(ordered: list[str], seconds: float) -> None:
        try:
            with transaction(pool) as tx:
                accepted.append(push(tx, caller, [told(name, 1.0, seconds=seconds) for name in ordered], kind))
        except BaseException as error:
            failures.append(error)
            raise

    senders = [Thread(target=send, args=(names, 0)), Thread(target=send, args=(names[::-1], 60))]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join(PATIENCE_S)
    assert not failures
    assert accepted == [300, 300]


def test_a_push_of_many_known_things_takes_as_few_statements_as_one_of_one(tx: Transaction) -> None:
    caller, kind = a_caller(), a_type(tx)
    pushed = [told(f"host-{n}", 1.0) for n in range(100)]
    push(tx, caller, pushed, kind)
    with counted_statements(tx) as counted:
        push(tx, caller, pushed[:1], kind)
        for_one = counted.begin_again()
        push(tx, caller, pushed, kind)
    assert counted.statements == for_one > 0


def test_names_that_mean_one_thing_are_joined_and_lose_no_value(tx: Transaction) -> None:
    caller, kind = a_caller(), a_type(tx)
    shouted = "0AD2FBD6-6F9B-4F3C-9E0C-3C1E2A9B7F10"
    pushed = [told(shouted, 1.0), told(shouted.lower(), 2.0, seconds=10), told(shouted, 3.0, metric="other")]
    assert push(tx, caller, pushed, kind) == 3


def test_a_name_of_another_type_is_refused_by_its_name(tx: Transaction) -> None:
    caller, kind, other = a_caller(), a_type(tx), a_type(tx)
    push(tx, caller, [told("web1", 1.0)], kind)
    with pytest.raises(ResourceExists, match="web1 is of another type"):
        push(tx, caller, [told("web2", 1.0), told("web1", 1.0)], other)


def test_a_thing_that_its_creator_deleted_is_made_again(tx: Transaction) -> None:
    caller, kind = a_caller(), a_type(tx)
    push(tx, caller, [told("web1", 1.0)], kind)
    own = owned_resource_id("web1", creator=creator_of(caller))
    tx.execute("UPDATE resource SET deleted_at = now() WHERE id = %s", (own,))
    push(tx, caller, [told("web1", 2.0, seconds=60)], kind)
    assert tx.execute("SELECT deleted_at FROM resource WHERE id = %s", (own,)).fetchone() == (None,)
