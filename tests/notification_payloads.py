"""Builders of notifications as OpenStack's services document their fields: made up, small, and easy to say."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

T0 = datetime(2026, 11, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Told:
    """One notification: what, when (seconds after T0), by whom; with an id of its own."""

    event_type: str
    payload: Any
    at_s: float = 0
    context: dict[str, Any] = field(default_factory=dict[str, Any])
    message_id: str = field(default_factory=lambda: str(uuid4()))
    publisher_id: str = "service.host1"

    def bare(self) -> dict[str, Any]:
        """Return the notification without an envelope, its time as OpenStack writes it."""
        instant = (T0 + timedelta(seconds=self.at_s)).replace(tzinfo=None)
        return {
            "message_id": self.message_id,
            "publisher_id": self.publisher_id,
            "event_type": self.event_type,
            "priority": "INFO",
            "payload": self.payload,
            "timestamp": instant.isoformat(" ", "microseconds"),
            "_unique_id": uuid4().hex,
            **{f"_context_{name}": value for name, value in self.context.items()},
        }

    def body(self) -> bytes:
        """Return the bytes of oslo.messaging's second envelope."""
        return json.dumps({"oslo.version": "2.0", "oslo.message": json.dumps(self.bare())}).encode()


def an_instance(instance_id: str, project: str, state: str, **changes: Any) -> dict[str, Any]:
    """Return the payload of compute.instance.*."""
    return {
        "tenant_id": project,
        "user_id": "user-1",
        "instance_id": instance_id,
        "display_name": "web-1",
        "instance_type": "m1.small",
        "instance_type_id": 2,
        "instance_flavor_id": "2",
        "memory_mb": 2048,
        "vcpus": 1,
        "root_gb": 20,
        "ephemeral_gb": 5,
        "disk_gb": 25,
        "host": "compute-1",
        "created_at": "2026-10-31 23:59:40+00:00",
        "launched_at": "2026-10-31T23:59:58.000000",
        "deleted_at": "",
        "terminated_at": "",
        "state": state,
        "image_meta": {"base_image_ref": "image-1"},
        "metadata": {"metering.server_group": "group-1"},
        **changes,
    }


def an_object(name: str, members: dict[str, Any]) -> dict[str, Any]:
    """Wrap members as a versioned object."""
    return {
        "nova_object.name": name,
        "nova_object.namespace": "nova",
        "nova_object.version": "1.7",
        "nova_object.data": members,
    }


def a_versioned_instance(instance_id: str, project: str, state: str, **changes: Any) -> dict[str, Any]:
    """Return the payload of instance.*."""
    flavor: dict[str, Any] = {
        "flavorid": "2",
        "name": "m1.small",
        "vcpus": 1,
        "memory_mb": 2048,
        "root_gb": 20,
        "ephemeral_gb": 5,
    }
    members: dict[str, Any] = {
        "uuid": instance_id,
        "tenant_id": project,
        "user_id": "user-1",
        "display_name": "web-1",
        "state": state,
        "power_state": "running",
        "host": "compute-1",
        "image_uuid": "image-1",
        "created_at": "2026-10-31T23:59:40Z",
        "launched_at": "2026-10-31T23:59:58Z",
        "deleted_at": None,
        "terminated_at": None,
        "metadata": {},
        **changes,
    }
    members["flavor"] = an_object("FlavorPayload", flavor | changes.get("flavor", {}))
    return an_object("InstanceActionPayload", members)


def an_image(image_id: str, project: str, **changes: Any) -> dict[str, Any]:
    """Return the payload of image.*."""
    return {
        "id": image_id,
        "name": "debian-12",
        "owner": project,
        "status": "active",
        "size": 1 << 30,
        "disk_format": "qcow2",
        "container_format": "bare",
        "visibility": "private",
        "created_at": "2026-11-01T00:00:00Z",
        "deleted_at": None,
        **changes,
    }


def a_volume(volume_id: str, project: str, **changes: Any) -> dict[str, Any]:
    """Return the payload of volume.*."""
    return {
        "volume_id": volume_id,
        "tenant_id": project,
        "user_id": "user-1",
        "display_name": "data",
        "size": 10,
        "volume_type": "ssd",
        "status": "available",
        "host": "cinder@lvm#pool",
        "glance_metadata": [{"key": "image_id", "value": "8f5b5a52-6e2a-4b5e-9a57-4b7f3f4d3a11"}],
        "volume_attachment": [],
        **changes,
    }


def a_swift_request(account: str, name: str, result: float, **changes: Any) -> dict[str, Any]:
    """Return the payload of objectstore.http.request, as Swift's ceilometer middleware measures it."""
    return {
        "typeURI": "http://schemas.dmtf.org/cloud/audit/1.0/event",
        "eventType": "activity",
        "action": "get",
        "outcome": "success",
        "observer": {"id": "target"},
        "initiator": {"id": "user-1", "project_id": account},
        "target": {
            "typeURI": "service/storage/object",
            "id": account,
            "action": "get",
            "metadata": {"path": f"/v1/AUTH_{account}/c/o", "container": "c", "object": "o"},
        },
        "measurements": [{"metric": {"metricId": "openstack:1", "name": name, "unit": "B"}, "result": result}],
        **changes,
    }


def an_audit(project: str, uri: str, outcome: str = "success") -> dict[str, Any]:
    """Return the payload of audit.http.response, as the audit middleware tells it."""
    return {
        "typeURI": "http://schemas.dmtf.org/cloud/audit/1.0/event",
        "eventType": "activity",
        "action": "create",
        "outcome": outcome,
        "reason": {"reasonType": "HTTP", "reasonCode": "201"},
        "initiator": {"id": "user-1", "project_id": project, "typeURI": "service/security/account/user"},
        "target": {"id": "target-1", "typeURI": uri, "name": "service"},
        "requestPath": "/v1/secrets",
    }


def an_identity(resource: str, **changes: Any) -> dict[str, Any]:
    """Return the payload of identity.*, in the CADF form."""
    return {
        "typeURI": "http://schemas.dmtf.org/cloud/audit/1.0/event",
        "eventType": "activity",
        "outcome": "success",
        "initiator": {"id": "user-admin", "typeURI": "service/security/account/user"},
        "target": {"id": resource, "typeURI": "data/security/account/user"},
        "resource_info": resource,
        **changes,
    }


def sensors(node: str, temperature: str = "26 (+/- 0.500) degrees C") -> dict[str, Any]:
    """Return the payload of hardware.ipmi.metrics."""
    return {
        "node_uuid": node,
        "instance_uuid": None,
        "timestamp": "20261101000000",
        "event_type": "hardware.ipmi.metrics.update",
        "payload": {
            "Temperature": {"Inlet Temp (0x3)": {"Sensor ID": "Inlet Temp (0x3)", "Sensor Reading": temperature}},
            "Fan": {"Fan 1 (0x30)": {"Sensor ID": "Fan 1 (0x30)", "Sensor Reading": "4080 (+/- 60) RPM"}},
            "Current": {"Pwr (0x94)": {"Sensor ID": "Pwr (0x94)", "Sensor Reading": "130 (+/- 0) Watts"}},
            "Voltage": {"P1 (0x20)": {"Sensor ID": "P1 (0x20)", "Sensor Reading": "disabled"}},
        },
    }
