"""Compute's use cases on a real database: orders, quotas, addresses, and what an agent's reports make of instances."""

from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, LiteralString
from uuid import UUID

import pytest
from psycopg import sql

from compute import service
from compute.errors import (
    ComputeQuotaExceeded,
    InstanceNotFound,
    InstanceStateConflict,
    NetworkNotFound,
    NoValidHost,
    StaleAgent,
)
from compute.hypervisor.contract import PowerState, StopReason
from compute.lifecycle import FAILURES_MAX, HOST_SILENCE_S_MAX, derive_status, derive_task
from compute.model import Instance, InstanceFilters, InstancePage, InstanceStatus
from foundation.database import Pool, Transaction, lent_connection, transaction
from foundation.errors import Forbidden
from foundation.ids import new_id
from tests.compute_builders import (
    MANIFEST,
    NOW,
    Cloud,
    a_capacity,
    a_cloud,
    a_guest,
    a_launch,
    a_project,
    an_observation,
    launched,
)
from tests.identity_builders import a_caller

SECOND = timedelta(seconds=1)
PARTS = ("kernel", "initramfs", "disk")
EVENTS: LiteralString = "SELECT payload FROM outbox_event WHERE topic = 'instance.lifecycle' AND key = %s ORDER BY id"


def events_of(tx: Transaction, instance_id: UUID) -> list[dict[str, Any]]:
    return [row[0] for row in tx.execute(EVENTS, (str(instance_id),)).fetchall()]


def kinds_of(tx: Transaction, instance_id: UUID) -> list[str]:
    return [event["kind"] for event in events_of(tx, instance_id)]


def seen(tx: Transaction, cloud: Cloud, *guests: Any, at: datetime) -> None:
    service.record_observation(tx, session=cloud.session, observation=an_observation(*guests, at=at), now=at)


def running(tx: Transaction, cloud: Cloud, *, at: datetime = NOW + SECOND) -> Instance:
    instance = launched(tx, cloud)
    seen(tx, cloud, a_guest(instance.id, started_at=at), at=at)
    return reread(tx, cloud, instance.id)


def reread(tx: Transaction, cloud: Cloud, instance_id: UUID) -> Instance:
    return service.get_instance(tx, caller=cloud.caller, instance_id=instance_id)


def test_an_order_of_many_is_numbered_and_every_instance_has_its_own_address(tx: Transaction) -> None:
    cloud = a_cloud(tx)
    made = service.create_instances(tx, caller=cloud.caller, request=a_launch(cloud, count=100), now=NOW)
    assert [instance.name for instance in made] == [f"web-{number}" for number in range(1, 101)]
    assert len({instance.reservation_id for instance in made}) == 1
    ports = [port for instance in made for port in instance.ports]
    assert len({port.ip_address for port in ports}) == len({port.mac_address for port in ports}) == 100
    assert {port.network_name for port in ports} == {"private"}


def test_the_hundred_and_first_is_refused_in_novas_words_and_nothing_is_made(tx: Transaction) -> None:
    cloud = a_cloud(tx)
    service.create_instances(tx, caller=cloud.caller, request=a_launch(cloud, count=100), now=NOW)
    with pytest.raises(ComputeQuotaExceeded) as refusal:
        launched(tx, cloud)
    assert refusal.value.message == "Quota exceeded for instances: Requested 1, but already used 100 of 100 instances"
    page = InstancePage(limit=1000)
    filters = InstanceFilters()
    assert (
        len(service.list_instances(tx, project_id=cloud.caller.project_id, filters=filters, page=page, now=NOW)) == 100
    )


def test_two_orders_at_once_never_pass_the_quota_together(pool: Pool) -> None:
    with transaction(pool) as tx:
        cloud = a_cloud(tx, hostname=f"host-{new_id()}")
    with lent_connection(pool) as first, lent_connection(pool) as second:
        service.create_instances(first, caller=cloud.caller, request=a_launch(cloud, count=60), now=NOW)
        second.execute("SET LOCAL lock_timeout = '300ms'")
        with pytest.raises(Exception, match="lock timeout"):
            service.create_instances(second, caller=cloud.caller, request=a_launch(cloud, count=60), now=NOW)
        first.commit()
        second.rollback()
        with pytest.raises(ComputeQuotaExceeded, match="already used 60 of 100"):
            service.create_instances(second, caller=cloud.caller, request=a_launch(cloud, count=60), now=NOW)
        second.rollback()
    with transaction(pool) as tx:
        tx.execute("DELETE FROM instance WHERE host_id = %s", (cloud.session.host_id,))
        tx.execute("DELETE FROM host WHERE id = %s", (cloud.session.host_id,))


def test_between_min_and_max_the_quota_gives_what_it_can(tx: Transaction) -> None:
    cloud = a_cloud(tx)
    request = replace(a_launch(cloud), count_min=1, count_max=120)
    assert len(service.create_instances(tx, caller=cloud.caller, request=request, now=NOW)) == 100


def test_an_order_that_no_host_can_fill_says_what_each_lacks(tx: Transaction) -> None:
    cloud = a_cloud(tx)
    service.register_host(tx, capacity=a_capacity(memory_mib=64), hypervisor_uri="simulated:1", now=NOW)
    with pytest.raises(NoValidHost, match="host-1: 96 MiB of memory asked, 64 free"):
        launched(tx, cloud)


def test_a_reader_orders_nothing_and_another_project_sees_nothing(tx: Transaction) -> None:
    cloud = a_cloud(tx)
    instance = launched(tx, cloud)
    with pytest.raises(Forbidden):
        service.create_instances(tx, caller=a_caller(roles=["reader"]), request=a_launch(cloud), now=NOW)
    stranger = a_caller()
    a_project(tx, stranger.project_id)
    for act in (service.delete_instance, service.stop_instance, service.start_instance, service.reboot_instance):
        with pytest.raises(InstanceNotFound):
            act(tx, caller=stranger, instance_id=instance.id, now=NOW)
    with pytest.raises(NetworkNotFound):
        request = replace(a_launch(cloud), network_ids=[instance.ports[0].network_id])
        service.create_instances(tx, caller=stranger, request=request, now=NOW)


def test_a_launch_becomes_active_with_the_instant_at_which_its_guest_began(tx: Transaction) -> None:
    cloud = a_cloud(tx)
    instance = launched(tx, cloud)
    assert derive_status(instance, NOW) is InstanceStatus.BUILD
    seen(tx, cloud, a_guest(instance.id, started_at=NOW + 2 * SECOND), at=NOW + 5 * SECOND)
    active = reread(tx, cloud, instance.id)
    assert (active.vm_state, active.power_state) == ("active", "running")
    assert active.launched_at == NOW + 2 * SECOND
    (event,) = events_of(tx, instance.id)
    assert (event["kind"], event["state"]) == ("create", "active")
    assert datetime.fromisoformat(event["observed_at"]) == NOW + 2 * SECOND


def test_the_same_report_twice_tells_nothing_twice(tx: Transaction) -> None:
    cloud = a_cloud(tx)
    instance = running(tx, cloud)
    seen(tx, cloud, a_guest(instance.id), at=NOW + 9 * SECOND)
    assert kinds_of(tx, instance.id) == ["create"]


def test_stop_and_start_are_told_when_they_are_seen(tx: Transaction) -> None:
    cloud = a_cloud(tx)
    instance = running(tx, cloud)
    service.stop_instance(tx, caller=cloud.caller, instance_id=instance.id, now=NOW + 2 * SECOND)
    assert derive_task(reread(tx, cloud, instance.id)) == "powering-off"
    with pytest.raises(InstanceStateConflict, match="while it is in task_state powering-off"):
        service.stop_instance(tx, caller=cloud.caller, instance_id=instance.id, now=NOW + 2 * SECOND)
    seen(tx, cloud, a_guest(instance.id, power=PowerState.SHUTOFF, reason=StopReason.STOPPED), at=NOW + 3 * SECOND)
    assert reread(tx, cloud, instance.id).vm_state == "stopped"
    service.start_instance(tx, caller=cloud.caller, instance_id=instance.id, now=NOW + 4 * SECOND)
    seen(tx, cloud, a_guest(instance.id, boot_epoch=2), at=NOW + 5 * SECOND)
    assert kinds_of(tx, instance.id) == ["create", "stop", "start"]


def test_a_guest_killed_from_outside_ends_at_its_last_proof_of_life_and_says_why(tx: Transaction) -> None:
    cloud = a_cloud(tx)
    instance = running(tx, cloud)
    seen(tx, cloud, a_guest(instance.id), at=NOW + 10 * SECOND)
    crashed = a_guest(instance.id, power=PowerState.SHUTOFF, reason=StopReason.CRASHED)
    seen(tx, cloud, crashed, at=NOW + 20 * SECOND)
    ended = reread(tx, cloud, instance.id)
    assert (ended.vm_state, ended.desired) == ("error", "stopped")
    assert ended.fault_message is not None
    assert "ended unexpectedly" in ended.fault_message
    assert datetime.fromisoformat(events_of(tx, instance.id)[-1]["observed_at"]) == NOW + 10 * SECOND


def test_a_guest_that_shuts_itself_down_is_shutoff_at_the_heard_instant(tx: Transaction) -> None:
    cloud = a_cloud(tx)
    instance = running(tx, cloud)
    guest = a_guest(instance.id, power=PowerState.SHUTOFF, reason=StopReason.GUEST_SHUTDOWN)
    heard = replace(an_observation(guest, at=NOW + 20 * SECOND), stopped_at={instance.id: NOW + 18 * SECOND})
    service.record_observation(tx, session=cloud.session, observation=heard, now=NOW + 20 * SECOND)
    ended = reread(tx, cloud, instance.id)
    assert (ended.vm_state, ended.desired) == ("stopped", "stopped")
    assert datetime.fromisoformat(events_of(tx, instance.id)[-1]["observed_at"]) == NOW + 18 * SECOND


def test_an_orderly_stop_of_the_host_keeps_the_wish_and_the_next_session_resumes_it(tx: Transaction) -> None:
    cloud = a_cloud(tx)
    instance = running(tx, cloud)
    service.begin_host_stop(tx, session=cloud.session)
    off = a_guest(instance.id, power=PowerState.SHUTOFF, reason=StopReason.STOPPED)
    seen(tx, cloud, off, at=NOW + 30 * SECOND)
    session = service.register_host(tx, capacity=a_capacity(), hypervisor_uri="simulated:1", now=NOW + 90 * SECOND)
    again = replace(cloud, session=session)
    seen(tx, again, off, at=NOW + 91 * SECOND)
    (desired,) = service.desired_instances(tx, session.host_id, image_root=Path("/images"))
    assert (desired.desired, desired.is_interrupted) == ("active", True)
    seen(tx, again, a_guest(instance.id, boot_epoch=2), at=NOW + 95 * SECOND)
    assert kinds_of(tx, instance.id) == ["create", "host_down", "start"]


def test_a_delete_is_done_only_when_nothing_is_left_and_then_frees_address_and_quota(tx: Transaction) -> None:
    cloud = a_cloud(tx)
    instance = running(tx, cloud)
    service.delete_instance(tx, caller=cloud.caller, instance_id=instance.id, now=NOW + 2 * SECOND)
    service.delete_instance(tx, caller=cloud.caller, instance_id=instance.id, now=NOW + 2 * SECOND)
    seen(tx, cloud, a_guest(instance.id), at=NOW + 3 * SECOND)
    assert derive_task(reread(tx, cloud, instance.id)) == "deleting"
    seen(tx, cloud, at=NOW + 4 * SECOND)
    with pytest.raises(InstanceNotFound):
        reread(tx, cloud, instance.id)
    assert kinds_of(tx, instance.id) == ["create", "delete"]
    assert service.list_ports(tx, caller=cloud.caller) == []
    assert service.get_usage(tx, cloud.caller.project_id).instances == 0


def test_an_agent_that_was_replaced_or_is_late_is_refused(tx: Transaction) -> None:
    cloud = a_cloud(tx)
    instance = running(tx, cloud, at=NOW + 10 * SECOND)
    with pytest.raises(StaleAgent, match="which is later"):
        seen(tx, cloud, at=NOW + 9 * SECOND)
    service.register_host(tx, capacity=a_capacity(), hypervisor_uri="simulated:1", now=NOW)
    with pytest.raises(StaleAgent, match="another agent"):
        seen(tx, cloud, at=NOW + 11 * SECOND)
    assert reread(tx, cloud, instance.id).vm_state == "active"


def test_a_host_whose_clock_was_set_back_is_heard_and_its_events_keep_their_order(tx: Transaction) -> None:
    cloud = a_cloud(tx)
    instance = running(tx, cloud, at=NOW + timedelta(hours=1))
    service.stop_instance(tx, caller=cloud.caller, instance_id=instance.id, now=NOW)
    seen(tx, cloud, a_guest(instance.id, power=PowerState.SHUTOFF, reason=StopReason.STOPPED), at=NOW + SECOND)
    created, stopped = events_of(tx, instance.id)
    assert stopped["kind"] == "stop"
    assert created["observed_at"] <= stopped["observed_at"]


def test_failures_put_off_the_next_attempt_and_end_in_error(tx: Transaction) -> None:
    cloud = a_cloud(tx)
    instance = launched(tx, cloud)
    for _ in range(FAILURES_MAX):
        recorded = service.record_failure(
            tx, session=cloud.session, instance_id=instance.id, generation=1, message="no disk", now=NOW
        )
        assert recorded
    failed = reread(tx, cloud, instance.id)
    assert (failed.vm_state, failed.fault_message) == ("error", "no disk")
    assert kinds_of(tx, instance.id) == ["fault"]
    stale = service.record_failure(
        tx, session=cloud.session, instance_id=instance.id, generation=1, message="late", now=NOW
    )
    assert not stale


def test_a_reboot_is_pending_until_another_boot_is_seen(tx: Transaction) -> None:
    cloud = a_cloud(tx)
    instance = running(tx, cloud)
    service.reboot_instance(tx, caller=cloud.caller, instance_id=instance.id, now=NOW + 2 * SECOND)
    seen(tx, cloud, a_guest(instance.id, boot_epoch=1), at=NOW + 3 * SECOND)
    assert derive_status(reread(tx, cloud, instance.id), NOW) is InstanceStatus.REBOOT
    seen(tx, cloud, a_guest(instance.id, boot_epoch=2), at=NOW + 4 * SECOND)
    assert derive_status(reread(tx, cloud, instance.id), NOW) is InstanceStatus.ACTIVE
    assert kinds_of(tx, instance.id) == ["create"]


@pytest.mark.parametrize(
    "change",
    [
        "vm_state = 'active'",
        "is_interrupted = true",
        "reboot_from_epoch = 1",
        "reboot_from_epoch = 1, is_reboot_hard = true",
        "vm_state = 'stopped'",
        "vm_state = 'error'",
        "vm_state = 'building'",
    ],
)
def test_the_list_says_the_same_status_as_the_instance_itself(tx: Transaction, change: LiteralString) -> None:
    cloud = a_cloud(tx)
    instance = running(tx, cloud)
    tx.execute(sql.SQL("UPDATE instance SET {} WHERE id = %s").format(sql.SQL(change)), (instance.id,))
    later = NOW + timedelta(seconds=HOST_SILENCE_S_MAX + 60)
    for now in (NOW + 2 * SECOND, later):
        status = derive_status(reread(tx, cloud, instance.id), now)
        for asked in InstanceStatus:
            filters = InstanceFilters(statuses=frozenset({asked}))
            found = service.list_instances(
                tx, project_id=cloud.caller.project_id, filters=filters, page=InstancePage(limit=10), now=now
            )
            assert [row.id for row in found] == ([instance.id] if asked is status else [])


def test_a_list_is_narrowed_by_every_filter_of_tags_keys_zones_and_times(tx: Transaction) -> None:
    cloud = a_cloud(tx)
    web, both, bare = (launched(tx, cloud) for _ in range(3))
    for instance, tags, at in ((web, ["web"], NOW + SECOND), (both, ["web", "north"], NOW + 2 * SECOND)):
        service.set_tags(tx, caller=cloud.caller, instance_id=instance.id, tags=tags, now=at)

    def found(filters: InstanceFilters) -> set[UUID]:
        project_id, page = cloud.caller.project_id, InstancePage(limit=10)
        return {
            row.id for row in service.list_instances(tx, project_id=project_id, filters=filters, page=page, now=NOW)
        }

    pair = frozenset({"web", "north"})
    assert found(InstanceFilters(tags=pair)) == {both.id}
    assert found(InstanceFilters(tags_any=pair)) == {web.id, both.id}
    assert found(InstanceFilters(not_tags=pair)) == {web.id, bare.id}
    assert found(InstanceFilters(not_tags_any=pair)) == {bare.id}
    assert found(InstanceFilters(changed_before=NOW + SECOND)) == {web.id, bare.id}
    assert found(InstanceFilters(changed_since=NOW + SECOND, changed_before=NOW + SECOND)) == {web.id}
    assert found(InstanceFilters(key_name="none has it")) == set()
    assert found(InstanceFilters(availability_zone="nova")) == {web.id, both.id, bare.id}
    assert found(InstanceFilters(availability_zone="elsewhere")) == set()


@pytest.mark.parametrize("is_descending", [True, False])
@pytest.mark.parametrize("sort_key", ["created_at", "name", "id", "status", "updated_at", "launched_at"])
def test_pages_by_marker_show_every_instance_once(tx: Transaction, sort_key: Any, is_descending: bool) -> None:
    cloud = a_cloud(tx)
    made = service.create_instances(tx, caller=cloud.caller, request=a_launch(cloud, count=7), now=NOW)
    shown: list[UUID] = []
    marker = None
    for _ in range(4):
        page = InstancePage(limit=3, marker=marker, sort_key=sort_key, is_descending=is_descending)
        rows = service.list_instances(
            tx, project_id=cloud.caller.project_id, filters=InstanceFilters(), page=page, now=NOW
        )
        if not rows:
            break
        shown += [row.id for row in rows]
        marker = rows[-1].id
    assert sorted(shown) == sorted(instance.id for instance in made)


def test_a_console_is_answered_to_the_request_that_asked(tx: Transaction) -> None:
    cloud = a_cloud(tx)
    instance = running(tx, cloud)
    service.request_console(tx, caller=cloud.caller, instance_id=instance.id, now=NOW)
    ((asked_id, asked_at),) = service.console_requests(tx, cloud.session.host_id)
    service.record_consoles(tx, {asked_id: (asked_at, "login:\0")})
    console = service.find_console(tx, caller=cloud.caller, instance_id=instance.id)
    assert console is not None
    assert (console.answered_at, console.output) == (NOW, "login:\ufffd")
    assert service.console_requests(tx, cloud.session.host_id) == []


def test_the_agent_is_told_all_that_a_driver_needs(tx: Transaction) -> None:
    cloud = a_cloud(tx)
    instance = launched(tx, cloud)
    (desired,) = service.desired_instances(tx, cloud.session.host_id, image_root=Path("/images"))
    assert desired.instance_id == instance.id
    assert desired.spec.disk.image_path == Path("/images/guest/disk")
    assert desired.spec.disk.kernel_path == Path("/images/guest/kernel")
    assert desired.spec.ports[0].ip_address == instance.ports[0].ip_address
    (network,) = service.networks_wanted(tx, cloud.session.host_id)
    assert network.project_id == cloud.caller.project_id
    assert network.gateway_ip in network.cidr


def test_only_the_newest_build_of_an_image_is_listed_wherever_its_files_lie(tx: Transaction) -> None:
    caller = a_caller()
    name = new_id().hex
    parts: dict[str, Any] = {
        part: MANIFEST[part] | {"sha256": sha256(f"{name}{part}".encode()).hexdigest()} for part in PARTS
    }
    older: dict[str, Any] = MANIFEST | parts | {"name": name}
    newer = older | {"disk": older["disk"] | {"sha256": sha256(name.encode()).hexdigest()}}
    put = partial(service.register_image, tx, project_id=caller.project_id)
    first = put(older, now=NOW, folder="guest-1")
    second = put(newer, now=NOW + SECOND, folder="guest-2")
    assert [image.id for image in service.list_images(tx, caller=caller) if image.name == name] == [second.id]
    again = put(older, now=NOW + SECOND, folder="guest-3")
    assert (again.id, again.file_path, again.is_hidden) == (first.id, "guest-3/disk", False)
    assert [image.id for image in service.list_images(tx, caller=caller) if image.name == name] == [first.id]


def test_a_hidden_older_build_still_starts_for_whoever_holds_its_id_as_launch_templates_do(tx: Transaction) -> None:
    cloud = a_cloud(tx)
    newer = MANIFEST | {"disk": MANIFEST["disk"] | {"sha256": sha256(new_id().bytes).hexdigest()}}
    owner = cloud.image.project_id
    assert owner is not None
    service.register_image(tx, newer, project_id=owner, now=NOW, folder="guest-2")
    assert service.get_image(tx, cloud.image.id, caller=cloud.caller).is_hidden
    assert launched(tx, cloud).image_id == cloud.image.id


def test_an_image_is_registered_once(tx: Transaction) -> None:
    cloud = a_cloud(tx)
    (image,) = [found for found in service.list_images(tx, caller=cloud.caller) if found.name == cloud.image.name]
    assert image == cloud.image
    assert a_cloud(tx, hostname="host-2").image.id == image.id
