"""Instances in the native API: list, show, launch, stop, start, delete."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Query, Request
from pydantic import BaseModel, ConfigDict, Field

from api.authentication import RequestCaller, WriterCaller
from api.body import new_router
from api.context import context_of
from api.native.cursors import id_after, split_page
from api.pagination import RequestCursorPage
from api.transaction import RequestTransaction, SnapshotTransaction
from compute import service
from compute.lifecycle import derive_status
from compute.model import Instance, InstanceFilters, InstancePage, InstanceStatus, LaunchRequest
from identity import policy

router = new_router("/instances")

GROUP_KEY = "metering.server_group"
"""The metadata key that names the scaling group of an instance, as Ceilometer and Heat spell it."""


class FlavorAnswer(BaseModel):
    """The size with which the instance was launched."""

    id: str
    name: str
    vcpus: int
    ram_mib: int
    disk_gib: int


class InstanceAnswer(BaseModel):
    """An instance; `host` is for admins, `fault` says why it is in error or off although nobody asked for it."""

    id: UUID
    name: str
    status: str
    power_state: str
    flavor: FlavorAnswer
    image_name: str | None
    addresses: list[str]
    host: str | None
    created_at: datetime
    launched_at: datetime | None
    fault: str | None
    scaling_group_id: UUID | None


class InstancesAnswer(BaseModel):
    """A page of instances, the newest first."""

    items: list[InstanceAnswer]
    next: str | None


class Launch(BaseModel):
    """What to launch: `count` instances or none; user_data is plain text."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=255)
    image_id: UUID
    flavor_id: str = Field(min_length=1, max_length=255)
    network_ids: list[UUID] = Field(default_factory=list[UUID], max_length=8)
    user_data: str | None = Field(None, max_length=65_535)
    metadata: dict[str, str] = Field(default_factory=dict[str, str], max_length=128)
    security_groups: list[str] = Field(default_factory=list[str], max_length=16)
    key_name: str | None = Field(None, max_length=255)
    count: int = Field(1, ge=1, le=1000)


def to_answer(instance: Instance, *, is_admin: bool, now: datetime) -> InstanceAnswer:
    """Write an instance."""
    return InstanceAnswer(
        id=instance.id,
        name=instance.name,
        status=derive_status(instance, now).value,
        power_state=instance.power_state,
        flavor=FlavorAnswer(
            id=instance.flavor_id,
            name=instance.flavor_name,
            vcpus=instance.vcpus,
            ram_mib=instance.ram_mib,
            disk_gib=instance.disk_gib,
        ),
        image_name=instance.image_name,
        addresses=[str(port.ip_address) for port in instance.ports],
        host=instance.host_name if is_admin else None,
        created_at=instance.created_at,
        launched_at=instance.launched_at,
        fault=instance.fault_message,
        scaling_group_id=group_of(instance),
    )


def group_of(instance: Instance) -> UUID | None:
    """Return the scaling group that the metadata names, where it is one of ours."""
    try:
        return UUID(instance.metadata.get(GROUP_KEY, ""))
    except ValueError:
        return None


@router.get("")
def list_instances(
    request: Request,
    tx: SnapshotTransaction,
    caller: RequestCaller,
    page: RequestCursorPage,
    status: InstanceStatus | None = None,
    scaling_group_id: Annotated[UUID | None, Query()] = None,
) -> InstancesAnswer:
    """List the project's instances."""
    now = context_of(request).clock()
    filters = InstanceFilters(
        statuses=None if status is None else frozenset({status}),
        metadata={} if scaling_group_id is None else {GROUP_KEY: str(scaling_group_id)},
    )
    part = InstancePage(limit=page.limit + 1, marker=id_after(page), sort_key="id")
    rows = service.list_instances(tx, project_id=caller.project_id, filters=filters, page=part, now=now)
    shown, following = split_page(rows, page)
    is_admin = policy.is_admin(caller)
    return InstancesAnswer(items=[to_answer(row, is_admin=is_admin, now=now) for row in shown], next=following)


@router.post("", status_code=202)
def launch_instances(request: Request, tx: RequestTransaction, caller: WriterCaller, launch: Launch) -> InstancesAnswer:
    """Order instances, all of them or none."""
    now = context_of(request).clock()
    made = service.create_instances(
        tx,
        caller=caller,
        request=LaunchRequest(
            name=launch.name,
            image_id=launch.image_id,
            flavor_id=launch.flavor_id,
            network_ids=launch.network_ids,
            user_data=None if launch.user_data is None else launch.user_data.encode(),
            metadata=launch.metadata,
            security_groups=launch.security_groups,
            key_name=launch.key_name,
            count_min=launch.count,
            count_max=launch.count,
        ),
        now=now,
        request_id=request.state.request_id,
    )
    is_admin = policy.is_admin(caller)
    return InstancesAnswer(items=[to_answer(instance, is_admin=is_admin, now=now) for instance in made], next=None)


@router.get("/{instance_id}")
def show_instance(
    instance_id: UUID, request: Request, tx: SnapshotTransaction, caller: RequestCaller
) -> InstanceAnswer:
    """Show one instance."""
    instance = service.get_instance(tx, caller=caller, instance_id=instance_id)
    return to_answer(instance, is_admin=policy.is_admin(caller), now=context_of(request).clock())


@router.post("/{instance_id}/stop", status_code=202)
def stop_instance(instance_id: UUID, request: Request, tx: RequestTransaction, caller: RequestCaller) -> InstanceAnswer:
    """Want an instance to be off."""
    now = context_of(request).clock()
    request_id: str = request.state.request_id
    service.stop_instance(tx, caller=caller, instance_id=instance_id, now=now, request_id=request_id)
    return show_instance(instance_id, request, tx, caller)


@router.post("/{instance_id}/start", status_code=202)
def start_instance(
    instance_id: UUID, request: Request, tx: RequestTransaction, caller: RequestCaller
) -> InstanceAnswer:
    """Want an instance to run."""
    now = context_of(request).clock()
    request_id: str = request.state.request_id
    service.start_instance(tx, caller=caller, instance_id=instance_id, now=now, request_id=request_id)
    return show_instance(instance_id, request, tx, caller)


@router.delete("/{instance_id}", status_code=202)
def delete_instance(
    instance_id: UUID, request: Request, tx: RequestTransaction, caller: RequestCaller
) -> InstanceAnswer:
    """Want an instance to be gone."""
    now = context_of(request).clock()
    request_id: str = request.state.request_id
    service.delete_instance(tx, caller=caller, instance_id=instance_id, now=now, request_id=request_id)
    return show_instance(instance_id, request, tx, caller)
