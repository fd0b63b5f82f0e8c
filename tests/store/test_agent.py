"""The agent's step against a real database and a simulated host: launches, ends, outages, kills and stops."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import LiteralString
from uuid import UUID

import psycopg
import pytest
from psycopg import sql

from collectors.guest_note import GuestNote
from collectors.spool import Spool
from collectors.stop_note import StopNote
from compute import service as compute
from compute.errors import InstanceStateConflict, StaleAgent
from compute.hypervisor.contract import LaunchFailure, PowerState, StopReason
from compute.hypervisor.simulated import Load, SimulatedHypervisor
from compute.lifecycle import FAILURES_MAX, derive_task
from compute.model import Instance
from entrypoints.agent_stop import GRACE_S_MAX as HOST_STOP_GRACE_S_MAX
from entrypoints.agent_troubles import DATABASE_REST_S
from entrypoints.host_agent import AgentSettings, HostAgent
from foundation.database import Pool, transaction
from foundation.errors import Unavailable
from foundation.ids import new_hex_id
from tests.compute_builders import NOW, Cloud, a_cloud, a_launch
from tests.conftest import PATIENCE_S, migrated_database, open_patient_pool, with_database
from tests.identity_builders import a_caller

POLL_INTERVAL_S = 60
DATABASE_WAIT_S = 0.5
SAMPLES: LiteralString = """
    SELECT m.observed_at, m.boot_epoch, m.value
    FROM measure m JOIN metric k ON k.key = m.metric_key
    WHERE k.resource_id = %s AND k.name = %s ORDER BY m.observed_at, m.boot_epoch
"""
ENDS: LiteralString = """
    SELECT (payload->>'observed_at')::timestamptz FROM outbox_event
    WHERE topic = 'instance.lifecycle' AND key = %s ORDER BY id DESC LIMIT 1
"""
EVENTS: LiteralString = """
    SELECT payload->>'kind' FROM outbox_event WHERE topic = 'instance.lifecycle' AND key = %s ORDER BY id
"""


class Killed(BaseException):
    """Stands for kill -9: nothing in the agent handles it."""


@dataclass
class Rig:
    """An agent on a simulated host, a database of its own, and a clock that only the test moves."""

    pool: Pool
    cluster_url: str
    database: str
    folder: Path
    cloud: Cloud
    host: SimulatedHypervisor
    agent: HostAgent = field(init=False)
    wakes: list[datetime] = field(default_factory=list[datetime])

    def __post_init__(self) -> None:
        self.agent = self.new_agent()

    def new_agent(self) -> HostAgent:
        """Another process for the same host and the same disk."""
        settings = AgentSettings(
            "simulated:1000",
            Path("/images"),
            POLL_INTERVAL_S,
            StopNote(self.folder / "stop"),
            guest_note=GuestNote(self.folder / "spool" / "guests.json"),
        )
        return HostAgent(
            pool=self.pool,
            hypervisor=self.host,
            spool=Spool(self.folder / "spool"),
            settings=settings,
            clock=lambda: self.host.now,
            on_wake=lambda: self.wakes.append(self.host.now),
            pause=self.pass_time,
        )

    def pass_time(self, seconds: float) -> None:
        """Let time pass on the host alone."""
        self.host.advance(self.host.now + timedelta(seconds=seconds))

    def step(self, seconds: float = 0, *, is_woken: bool = True) -> None:
        """Let time pass and the agent step."""
        self.host.advance(self.host.now + timedelta(seconds=seconds))
        if is_woken:
            self.agent.wake()
        self.agent.step(self.host.now)

    def launch(self, count: int = 1) -> list[Instance]:
        """Order instances, as the API does."""
        with transaction(self.pool) as tx:
            request = a_launch(self.cloud, count=count)
            return list(compute.create_instances(tx, caller=self.cloud.caller, request=request, now=self.host.now))

    def active(self) -> Instance:
        """One instance that runs."""
        instance = self.launch()[0]
        self.step(1)
        return self.read(instance.id)

    def read(self, instance_id: UUID) -> Instance:
        """The instance as its record is now; a deleted one is found too."""
        with transaction(self.pool) as tx:
            return compute.get_instance(tx, caller=self.cloud.caller, instance_id=instance_id)

    def delete(self, instance_id: UUID) -> None:
        """Order a deletion, as the API does."""
        with transaction(self.pool) as tx:
            compute.delete_instance(tx, caller=self.cloud.caller, instance_id=instance_id, now=self.host.now)

    def stop_instance(self, instance_id: UUID) -> None:
        """Order a stop, as the API does."""
        with transaction(self.pool) as tx:
            compute.stop_instance(tx, caller=self.cloud.caller, instance_id=instance_id, now=self.host.now)

    def reboot(self, instance_id: UUID, *, is_hard: bool) -> None:
        """Order a reboot, as the API does."""
        with transaction(self.pool) as tx:
            compute.reboot_instance(
                tx, caller=self.cloud.caller, instance_id=instance_id, now=self.host.now, is_hard=is_hard
            )

    def run(self, seconds: float) -> None:
        """Let the agent run as its loop does: it steps when it wanted to and when it was woken."""
        self.agent.wake()
        due_at = self.host.now
        for _ in range(round(seconds * 4)):
            if self.wakes or self.host.now >= due_at:
                self.wakes.clear()
                due_at = self.agent.step(self.host.now)
            self.pass_time(0.25)

    def task(self, instance_id: UUID) -> str | None:
        """What Nova shows as being done to the instance."""
        return derive_task(self.read(instance_id))

    def samples(self, instance_id: UUID, meter: str) -> list[tuple[float, int, float]]:
        """Seconds since the start of the test, boot epoch and value of each stored sample."""
        with transaction(self.pool) as tx:
            rows = tx.execute(SAMPLES, (instance_id, meter)).fetchall()
        return [((row[0] - NOW).total_seconds(), row[1], row[2]) for row in rows]

    def last_event_s(self, instance_id: UUID) -> float:
        """Seconds since the start of the test of the instance's last lifecycle event."""
        with transaction(self.pool) as tx:
            row = tx.execute(ENDS, (str(instance_id),)).fetchone()
        assert row is not None
        return (row[0] - NOW).total_seconds()

    def events(self, instance_id: UUID) -> list[str]:
        """The kinds of the instance's lifecycle events."""
        with transaction(self.pool) as tx:
            return [row[0] for row in tx.execute(EVENTS, (str(instance_id),)).fetchall()]

    def take_database_away(self) -> None:
        """End every connection and refuse new ones; whoever wants one is not kept waiting for long."""
        self._allow(is_allowed=False)
        self.pool.timeout = DATABASE_WAIT_S
        with psycopg.connect(self.cluster_url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (self.database,)
            )

    def bring_database_back(self) -> None:
        """Let connections in again, and wait until the pool has found that out."""
        self._allow(is_allowed=True)
        self.pool.timeout = PATIENCE_S
        for _ in range(self.pool.max_size + 1):
            with suppress(Unavailable), transaction(self.pool) as tx:
                tx.execute("SELECT 1")
                return
        pytest.fail("the pool does not find out")

    def _allow(self, *, is_allowed: bool) -> None:
        with psycopg.connect(self.cluster_url, autocommit=True) as connection:
            connection.execute(
                sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}").format(
                    sql.Identifier(self.database), sql.Literal(is_allowed)
                )
            )


@pytest.fixture(scope="module")
def own_database(cluster_url: str) -> Iterator[str]:
    """A database of this module's own, since agents commit and outages end every connection."""
    name = f"test_agent_{new_hex_id()}"
    with migrated_database(cluster_url, name):
        yield name


@pytest.fixture
def rig(own_database: str, cluster_url: str, tmp_path: Path) -> Iterator[Rig]:
    """A fresh cloud of one host; hosts of the tests before take nothing."""
    pool = open_patient_pool(with_database(cluster_url, own_database), size_max=2)
    hostname = f"host-{new_hex_id()}"
    with transaction(pool) as tx:
        cloud = a_cloud(tx, hostname=hostname)
    host = SimulatedHypervisor(now=NOW, hostname=hostname)
    yield Rig(pool, cluster_url, own_database, tmp_path, cloud, host)
    pool.close()


def test_a_launch_becomes_active_in_one_step(rig: Rig) -> None:
    instance = rig.active()
    assert instance.vm_state == "active"
    assert instance.power_state == "running"
    assert rig.events(instance.id) == ["create"]


def test_a_hundred_instances_of_one_order_become_active(rig: Rig) -> None:
    with transaction(rig.pool) as tx:
        admin = a_caller(roles=("admin",))
        unlimited = compute.QuotaChange(instances=-1, cores=-1, ram_mib=-1)
        compute.change_quota(tx, rig.cloud.caller.project_id, caller=admin, change=unlimited)
    instances = rig.launch(count=100)
    rig.step(1)
    assert {rig.read(instance.id).vm_state for instance in instances} == {"active"}


def test_every_poll_keeps_the_counters_with_the_boot_they_belong_to(rig: Rig) -> None:
    instance = rig.active()
    rig.host.set_load(instance.id, Load(cpu_fraction=0.5))
    rig.step(60, is_woken=False)
    rig.step(60, is_woken=False)
    stored = rig.samples(instance.id, "cpu")
    assert [at for at, _, _ in stored][-2:] == [61.0, 121.0]
    assert {epoch for _, epoch, _ in stored} == {instance.boot_epoch}
    assert stored[-1][2] - stored[-2][2] == 60 * 0.5 * 1e9 * instance.vcpus


def test_a_database_that_is_away_is_waited_for_once_and_then_left_alone_for_a_while(rig: Rig) -> None:
    rig.active()
    rig.step(60)
    rig.take_database_away()
    before = rig.pool.get_stats()["requests_num"]
    rig.step(60)
    asked = rig.pool.get_stats()["requests_num"]
    assert asked - before == 1, "waited for once"
    rig.step(1)
    assert rig.pool.get_stats()["requests_num"] == asked
    rig.bring_database_back()
    rig.step(DATABASE_REST_S)
    assert len(Spool(rig.folder / "spool")) == 0


def test_polls_fall_on_multiples_of_the_interval_so_that_every_bucket_gets_as_many(rig: Rig) -> None:
    instance = rig.active()
    due_at = rig.agent.step(rig.host.now)
    for _ in range(3 * POLL_INTERVAL_S):
        rig.host.advance(rig.host.now + timedelta(seconds=1))
        if rig.host.now >= due_at:
            due_at = rig.agent.step(rig.host.now)
    assert [at for at, _, _ in rig.samples(instance.id, "cpu")] == [60.0, 120.0, 180.0]


def test_a_clock_that_is_set_back_keeps_the_agent_from_nothing(rig: Rig) -> None:
    """As when a machine starts by a hardware clock in local time, and learns the right one from the network."""
    instance = rig.active()
    rig.step(60)
    rig.take_database_away()
    rig.step(60)
    rig.bring_database_back()
    back_to = rig.host.now - timedelta(hours=9)
    rig.host.now = back_to
    due_at = rig.agent.step(rig.host.now)
    assert due_at <= back_to + timedelta(seconds=POLL_INTERVAL_S)
    assert back_to in [NOW + timedelta(seconds=at) for at, _, _ in rig.samples(instance.id, "cpu")]
    ordered = rig.launch()[0]
    rig.step(POLL_INTERVAL_S, is_woken=False)
    assert rig.read(ordered.id).vm_state == "active", "it looks without being woken"


def test_a_stop_and_a_delete_keep_a_last_reading(rig: Rig) -> None:
    instance = rig.active()
    rig.step(17)
    rig.stop_instance(instance.id)
    rig.step(5)
    assert rig.read(instance.id).vm_state == "stopped"
    assert rig.samples(instance.id, "cpu")[-1][0] == 23.0
    assert rig.host.guests[instance.id].power_state is PowerState.SHUTOFF
    rig.delete(instance.id)
    rig.step(1)
    assert instance.id not in rig.host.guests
    assert rig.events(instance.id) == ["create", "stop", "delete"]


def test_a_stop_waits_for_the_guest_and_ends_when_the_guest_did(rig: Rig) -> None:
    instance = rig.active()
    rig.host.set_shutdown(instance.id, 7.6)
    rig.stop_instance(instance.id)
    rig.run(5)
    assert (rig.read(instance.id).vm_state, rig.task(instance.id)) == ("active", "powering-off")
    with transaction(rig.pool) as tx, pytest.raises(InstanceStateConflict, match="vm_state active"):
        compute.start_instance(tx, caller=rig.cloud.caller, instance_id=instance.id, now=rig.host.now)
    rig.run(5)
    assert (rig.read(instance.id).vm_state, rig.task(instance.id)) == ("stopped", None)
    assert rig.events(instance.id) == ["create", "stop"]
    assert 8.6 <= rig.last_event_s(instance.id) <= 8.75
    last_at = rig.samples(instance.id, "cpu")[-1][0]
    assert 0 <= rig.last_event_s(instance.id) - last_at <= 1.25, "the last reading is at most a short poll old"


def test_a_stop_of_a_guest_that_ignores_it_cuts_the_power_after_the_grace_with_an_exact_reading(rig: Rig) -> None:
    instance, other = rig.active(), rig.active()
    rig.host.set_shutdown(instance.id, None)
    rig.stop_instance(instance.id)
    asked_s = (rig.host.now - NOW).total_seconds()
    rig.run(59)
    assert rig.task(instance.id) == "powering-off"
    third = rig.launch()[0]
    rig.run(0.5)
    assert rig.read(third.id).vm_state == "active", "the wait holds up nobody"
    rig.run(1)
    assert rig.read(instance.id).vm_state == "stopped"
    assert rig.host.guests[instance.id].reason is StopReason.STOPPED
    assert rig.last_event_s(instance.id) == rig.samples(instance.id, "cpu")[-1][0] == asked_s + 60
    assert rig.read(other.id).vm_state == "active"


def test_a_soft_reboot_asks_and_a_hard_one_does_not(rig: Rig) -> None:
    instance = rig.active()
    rig.host.set_shutdown(instance.id, 3)
    rig.reboot(instance.id, is_hard=False)
    rig.run(2)
    assert (rig.read(instance.id).boot_epoch, rig.task(instance.id)) == (instance.boot_epoch, "rebooting")
    rig.run(3)
    soft = rig.read(instance.id)
    assert (soft.boot_epoch > instance.boot_epoch, soft.vm_state, rig.task(instance.id)) == (True, "active", None)
    rig.reboot(instance.id, is_hard=True)
    rig.step(0.25)
    assert rig.read(instance.id).boot_epoch > soft.boot_epoch
    assert rig.events(instance.id) == ["create"]


def test_a_hard_reboot_and_a_delete_end_the_wait_of_a_soft_reboot(rig: Rig) -> None:
    instance, second = rig.active(), rig.active()
    for one in (instance, second):
        rig.host.set_shutdown(one.id, None)
        rig.reboot(one.id, is_hard=False)
    rig.run(2)
    rig.reboot(instance.id, is_hard=True)
    rig.delete(second.id)
    rig.step(0.25)
    assert rig.read(instance.id).boot_epoch > instance.boot_epoch
    assert second.id not in rig.host.guests


@pytest.mark.parametrize("shutdown_s", [4.0, None])
def test_an_agent_killed_between_asking_and_off_is_made_good_by_the_next(rig: Rig, shutdown_s: float | None) -> None:
    instance = rig.active()
    rig.host.set_shutdown(instance.id, shutdown_s)
    rig.stop_instance(instance.id)
    asked_s = (rig.host.now - NOW).total_seconds()
    rig.run(2)
    rig.pass_time(30)
    rig.agent = rig.new_agent()
    rig.run(27)
    assert rig.read(instance.id).vm_state == ("active" if shutdown_s is None else "stopped")
    rig.run(2)
    assert rig.read(instance.id).vm_state == "stopped"
    assert rig.events(instance.id) == ["create", "stop"]
    seen_on_s = asked_s
    assert rig.last_event_s(instance.id) == (asked_s + 60 if shutdown_s is None else seen_on_s)
    assert set(rig.host.guests) == {instance.id}


@pytest.mark.parametrize("operation", ["request_shutdown", "stop_instance", "start_instance"])
def test_an_agent_killed_at_any_step_of_a_soft_reboot_is_made_good_by_the_next(rig: Rig, operation: str) -> None:
    instance = rig.active()
    rig.reboot(instance.id, is_hard=False)
    rig.host.fail_next(operation, Killed())  # type: ignore[arg-type]
    kill_if_reached(rig)
    rig.step(1)
    rebooted = rig.read(instance.id)
    assert (rebooted.vm_state, rig.task(instance.id)) == ("active", None)
    assert rebooted.boot_epoch > instance.boot_epoch


def test_a_stop_of_the_service_asks_all_guests_together_and_cuts_those_that_are_still_on(rig: Rig) -> None:
    obeying, ignoring = rig.active(), rig.active()
    rig.host.set_shutdown(obeying.id, 4)
    rig.host.set_shutdown(ignoring.id, None)
    began_at = rig.host.now
    rig.agent.stop(rig.host.now)
    assert rig.host.now - began_at <= timedelta(seconds=HOST_STOP_GRACE_S_MAX)
    assert rig.host.guests[obeying.id].reason is StopReason.GUEST_SHUTDOWN
    assert rig.host.guests[ignoring.id].reason is StopReason.STOPPED
    for instance in (obeying, ignoring):
        assert rig.events(instance.id) == ["create", "host_down"]


def test_a_guest_that_a_killed_stop_of_the_service_had_asked_boots_again_when_it_goes_later(rig: Rig) -> None:
    instance = rig.active()
    rig.host.set_shutdown(instance.id, 40)
    rig.host.fail_next("stop_instance", Killed())  # type: ignore[arg-type]
    with pytest.raises(Killed):
        rig.agent.stop(rig.host.now)
    rig.host.start_instance(rig.host.guests[instance.id].spec)
    rig.agent = rig.new_agent()
    rig.run(5)
    assert rig.read(instance.id).boot_epoch == instance.boot_epoch
    rig.run(30)
    resumed = rig.read(instance.id)
    assert (resumed.vm_state, resumed.desired, resumed.boot_epoch > instance.boot_epoch) == ("active", "active", True)
    assert rig.events(instance.id) == ["create", "host_down", "start"]


def test_a_stop_of_the_service_in_the_middle_of_a_soft_reboot_bills_no_time_in_which_it_was_off(rig: Rig) -> None:
    instance = rig.active()
    rig.host.set_shutdown(instance.id, None)
    rig.reboot(instance.id, is_hard=False)
    rig.run(2)
    rig.agent.stop(rig.host.now)
    assert rig.events(instance.id) == ["create", "host_down"]
    rig.agent = rig.new_agent()
    rig.step(100)
    assert rig.events(instance.id) == ["create", "host_down", "start"]
    assert rig.task(instance.id) is None


def test_a_guest_that_is_killed_from_outside_ends_in_error_with_a_reason(rig: Rig) -> None:
    instance = rig.active()
    rig.step(5)
    rig.host.crash(instance.id)
    rig.step(1, is_woken=False)
    ended = rig.read(instance.id)
    assert ended.vm_state == "error"
    assert ended.fault_message is not None
    assert "ended unexpectedly" in ended.fault_message


def test_a_host_that_does_not_answer_changes_nothing(rig: Rig) -> None:
    instance = rig.active()
    rig.host.go_away()
    for _ in range(5):
        rig.step(30)
    assert rig.read(instance.id).vm_state == "active"
    rig.host.come_back()
    rig.step(30)
    assert rig.read(instance.id).vm_state == "active"
    assert rig.read(instance.id).boot_epoch == instance.boot_epoch
    assert rig.events(instance.id) == ["create"]


def test_readings_outlive_a_database_outage_and_an_agent_killed_in_it(rig: Rig) -> None:
    instance = rig.active()
    rig.step(60)
    rig.take_database_away()
    for _ in range(3):
        rig.step(60)
    assert rig.host.guests[instance.id].power_state is PowerState.RUNNING
    rig.agent = rig.new_agent()
    rig.step(1)
    rig.step(60)
    assert rig.agent.session is None
    rig.bring_database_back()
    rig.step(59)
    rig.step(60)
    times = [at for at, _, _ in rig.samples(instance.id, "cpu")]
    assert times == sorted(set(times))
    assert {121.0, 181.0, 241.0, 242.0, 302.0} <= set(times), "the new agent reads before it has reached the database"
    assert len(Spool(rig.folder / "spool")) == 0


OPERATIONS = ("create_instance", "start_instance", "take_last_reading", "delete_instance", "ensure_network")


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_agent_killed_at_any_operation_is_made_good_by_the_next(rig: Rig, operation: str) -> None:
    instance = rig.launch()[0]
    rig.host.fail_next(operation, Killed())  # type: ignore[arg-type]
    kill_if_reached(rig)
    rig.step(1)
    assert rig.read(instance.id).vm_state == "active"
    rig.delete(instance.id)
    kill_if_reached(rig)
    rig.step(1)
    rig.step(1)
    assert rig.events(instance.id) == ["create", "delete"]
    assert rig.host.guests == {}
    assert rig.host.network_specs == {}


def kill_if_reached(rig: Rig) -> None:
    try:
        rig.step(1)
    except Killed:
        rig.agent = rig.new_agent()


def test_an_orderly_stop_keeps_what_is_desired_and_the_next_start_goes_on(rig: Rig) -> None:
    instance = rig.active()
    rig.step(10)
    rig.agent.stop(rig.host.now)
    assert rig.events(instance.id) == ["create", "host_down"]
    assert rig.host.guests[instance.id].power_state is PowerState.SHUTOFF
    assert rig.host.network_specs == {}
    assert rig.samples(instance.id, "cpu")[-1][0] == 11.0
    rig.agent = rig.new_agent()
    rig.step(100)
    resumed = rig.read(instance.id)
    assert resumed.vm_state == "active"
    assert resumed.boot_epoch > instance.boot_epoch
    assert rig.events(instance.id) == ["create", "host_down", "start"]


def test_a_stop_without_the_database_is_told_at_the_next_start(rig: Rig) -> None:
    instance = rig.active()
    rig.take_database_away()
    rig.step(10)
    rig.agent.stop(rig.host.now)
    assert rig.host.guests[instance.id].power_state is PowerState.SHUTOFF
    rig.bring_database_back()
    rig.agent = rig.new_agent()
    rig.step(50)
    rig.step(1)
    assert rig.events(instance.id) == ["create", "host_down", "start"]
    assert rig.read(instance.id).vm_state == "active"
    assert 11.0 in [at for at, _, _ in rig.samples(instance.id, "cpu")]


def test_a_host_that_lost_power_goes_on_where_it_was(rig: Rig) -> None:
    instance = rig.active()
    rig.step(10)
    rig.host.lose_power()
    rig.agent = rig.new_agent()
    rig.step(300)
    resumed = rig.read(instance.id)
    assert (resumed.vm_state, resumed.desired) == ("active", "active")
    assert resumed.boot_epoch > instance.boot_epoch
    assert rig.events(instance.id) == ["create", "host_down", "start"]


def test_a_guest_restarted_while_no_agent_looked_is_a_new_boot_of_the_same_instance(rig: Rig) -> None:
    instance = rig.active()
    rig.step(60)
    spec = rig.host.guests[instance.id].spec
    rig.host.advance(rig.host.now + timedelta(seconds=30))
    rig.host.reboot_instance(spec)
    rig.agent = rig.new_agent()
    rig.step(30)
    rig.step(60)
    stored = rig.samples(instance.id, "cpu")
    assert len({epoch for _, epoch, _ in stored}) == 2
    assert rig.read(instance.id).boot_epoch == stored[-1][1]
    assert rig.events(instance.id) == ["create"]


def test_a_second_agent_takes_the_host_and_the_first_one_ends(rig: Rig) -> None:
    first = rig.agent
    rig.step()
    rig.agent = rig.new_agent()
    rig.step(1)
    first.wake()
    with pytest.raises(StaleAgent):
        first.step(rig.host.now)


def test_a_launch_that_fails_is_tried_again_later_and_then_is_an_error(rig: Rig) -> None:
    instance = rig.launch()[0]
    for _ in range(FAILURES_MAX):
        rig.host.fail_next("start_instance", LaunchFailure("no room in here"))
    rig.step(1)
    assert rig.read(instance.id).vm_state == "building"
    for _ in range(FAILURES_MAX):
        rig.step(400)
    failed = rig.read(instance.id)
    assert failed.vm_state == "error"
    assert failed.fault_message == "no room in here"


def test_a_full_spool_is_said_aloud_and_keeps_a_guest_from_ending_unread(rig: Rig) -> None:
    instance = rig.active()
    settings = AgentSettings("simulated:1000", Path("/images"), POLL_INTERVAL_S, StopNote(rig.folder / "stop"))
    tiny = Spool(rig.folder / "tiny", bytes_max=10)
    rig.agent = HostAgent(pool=rig.pool, hypervisor=rig.host, spool=tiny, settings=settings)
    rig.step(1)
    rig.take_database_away()
    rig.step(60)
    assert rig.agent.polls_refused == 1
    assert rig.host.guests[instance.id].power_state is PowerState.RUNNING
    rig.bring_database_back()
