"""What belongs to a server: its metadata, interfaces, addresses, groups, and the history of what was asked of it."""

from typing import Annotated, Any

from fastapi import Depends, HTTPException
from fastapi.responses import Response

from api.authentication import RequestCaller
from api.body import body_of, new_router
from api.nova.requests import MetadataBody, MetadataItemBody
from api.nova.servers import RequestView, ServerId
from api.nova.servers_wire import to_wire_addresses, to_wire_micros
from api.transaction import RequestTransaction
from compute import service
from compute.model import InstanceAction, Port

router = new_router("/v2.1")


@router.get("/servers/{server}/metadata")
def list_metadata(id_: ServerId, tx: RequestTransaction, caller: RequestCaller) -> dict[str, Any]:
    """Show a server's metadata."""
    return {"metadata": dict(service.get_instance(tx, caller=caller, instance_id=id_).metadata)}


@router.post("/servers/{server}/metadata")
def add_metadata(
    id_: ServerId,
    tx: RequestTransaction,
    caller: RequestCaller,
    view: RequestView,
    body: Annotated[MetadataBody, Depends(body_of(MetadataBody))],
) -> dict[str, Any]:
    """Add to a server's metadata."""
    merged = service.set_metadata(
        tx, caller=caller, instance_id=id_, metadata=body.metadata, is_replaced=False, now=view.now
    )
    return {"metadata": dict(merged)}


@router.put("/servers/{server}/metadata")
def replace_metadata(
    id_: ServerId,
    tx: RequestTransaction,
    caller: RequestCaller,
    view: RequestView,
    body: Annotated[MetadataBody, Depends(body_of(MetadataBody))],
) -> dict[str, Any]:
    """Replace a server's metadata."""
    merged = service.set_metadata(
        tx, caller=caller, instance_id=id_, metadata=body.metadata, is_replaced=True, now=view.now
    )
    return {"metadata": dict(merged)}


@router.get("/servers/{server}/metadata/{key}")
def show_metadata_item(id_: ServerId, key: str, tx: RequestTransaction, caller: RequestCaller) -> dict[str, Any]:
    """Show one item."""
    metadata = service.get_instance(tx, caller=caller, instance_id=id_).metadata
    if key not in metadata:
        raise HTTPException(404, "Metadata item was not found")
    return {"meta": {key: metadata[key]}}


@router.put("/servers/{server}/metadata/{key}")
def set_metadata_item(
    id_: ServerId,
    key: str,
    tx: RequestTransaction,
    caller: RequestCaller,
    view: RequestView,
    body: Annotated[MetadataItemBody, Depends(body_of(MetadataItemBody))],
) -> dict[str, Any]:
    """Set one item; the body must name the item of the path."""
    if key not in body.meta:
        raise HTTPException(400, "Request body and URI mismatch")
    service.set_metadata(tx, caller=caller, instance_id=id_, metadata=body.meta, is_replaced=False, now=view.now)
    return {"meta": body.meta}


@router.delete("/servers/{server}/metadata/{key}", status_code=204)
def delete_metadata_item(
    id_: ServerId, key: str, tx: RequestTransaction, caller: RequestCaller, view: RequestView
) -> Response:
    """Take one item out."""
    service.delete_metadata(tx, caller=caller, instance_id=id_, key=key, now=view.now)
    return Response(status_code=204)


@router.get("/servers/{server}/ips")
def list_addresses(id_: ServerId, tx: RequestTransaction, caller: RequestCaller) -> dict[str, Any]:
    """List a server's addresses by network."""
    addresses = to_wire_addresses(service.get_instance(tx, caller=caller, instance_id=id_))
    short = {name: [{"addr": a["addr"], "version": a["version"]} for a in found] for name, found in addresses.items()}
    return {"addresses": short}


@router.get("/servers/{server}/os-interface")
def list_interfaces(id_: ServerId, tx: RequestTransaction, caller: RequestCaller) -> dict[str, Any]:
    """List a server's ports."""
    instance = service.get_instance(tx, caller=caller, instance_id=id_)
    return {"interfaceAttachments": [to_wire_interface(port) for port in instance.ports]}


@router.get("/servers/{server}/os-interface/{port}")
def show_interface(id_: ServerId, port: str, tx: RequestTransaction, caller: RequestCaller) -> dict[str, Any]:
    """Show one of a server's ports."""
    for found in service.get_instance(tx, caller=caller, instance_id=id_).ports:
        if str(found.id) == port.lower():
            return {"interfaceAttachment": to_wire_interface(found)}
    raise HTTPException(404, f"Instance {id_} does not have a port with id {port[:64]}")


def to_wire_interface(port: Port) -> dict[str, Any]:
    """Write a port as Nova's interface attachment."""
    return {
        "port_id": str(port.id),
        "net_id": str(port.network_id),
        "mac_addr": port.mac_address,
        "port_state": "ACTIVE" if port.vm_state == "active" else "DOWN",
        "fixed_ips": [{"subnet_id": str(port.subnet_id), "ip_address": str(port.ip_address)}],
    }


@router.get("/servers/{server}/os-volume_attachments")
def list_volume_attachments(id_: ServerId, tx: RequestTransaction, caller: RequestCaller) -> dict[str, Any]:
    """List a server's volumes: none, since volumes are not offered."""
    service.get_instance(tx, caller=caller, instance_id=id_)
    return {"volumeAttachments": []}


@router.get("/servers/{server}/os-security-groups")
def list_groups(id_: ServerId, tx: RequestTransaction, caller: RequestCaller, view: RequestView) -> dict[str, Any]:
    """List the security groups of a server's ports."""
    instance = service.get_instance(tx, caller=caller, instance_id=id_)
    used = {group_id for port in instance.ports for group_id in port.security_group_ids}
    groups = service.list_security_groups(tx, caller=caller, now=view.now)
    found: list[dict[str, Any]] = [
        {"id": str(g.id), "name": g.name, "description": g.description, "tenant_id": g.project_id, "rules": []}
        for g in groups
        if g.id in used
    ]
    return {"security_groups": found}


@router.get("/servers/{server}/os-instance-actions")
def list_instance_actions(id_: ServerId, tx: RequestTransaction, caller: RequestCaller) -> dict[str, Any]:
    """List what was asked of a server."""
    actions = service.list_actions(tx, caller=caller, instance_id=id_)
    return {"instanceActions": [to_wire_action(action) for action in actions]}


@router.get("/servers/{server}/os-instance-actions/{request_id}")
def show_instance_action(
    id_: ServerId, request_id: str, tx: RequestTransaction, caller: RequestCaller
) -> dict[str, Any]:
    """Show one of the things that were asked of a server."""
    for action in service.list_actions(tx, caller=caller, instance_id=id_):
        if action.request_id == request_id:
            return {"instanceAction": to_wire_action(action) | {"events": []}}
    raise HTTPException(404, f"Action for request_id {request_id[:64]} on instance {id_} not found")


def to_wire_action(action: InstanceAction) -> dict[str, Any]:
    """Write a line of a server's history."""
    return {
        "action": action.action,
        "instance_uuid": str(action.instance_id),
        "message": action.message,
        "project_id": action.project_id,
        "request_id": action.request_id,
        "start_time": to_wire_micros(action.started_at),
        "updated_at": to_wire_micros(action.started_at),
        "user_id": action.user_id,
    }
