"""The config drive: the small ISO image (label config-2) from which a guest reads its name, keys and user data."""

import json
from io import BytesIO
from typing import Any

import pycdlib

from compute.hypervisor.contract import InstanceSpec, SpecRefused

VOLUME_LABEL = "config-2"
VERSIONS = ("latest", "2018-08-27")
USER_DATA_BYTES_MAX = 64 * 1024
"""Nova's limit, after base64 is taken off."""


def build_config_drive(spec: InstanceSpec) -> bytes:
    """Make the image: meta data and network data as JSON, user data byte for byte as it was given. Raises SpecRefused."""
    if spec.user_data is not None and len(spec.user_data) > USER_DATA_BYTES_MAX:
        raise SpecRefused(
            f"user data may have {USER_DATA_BYTES_MAX} bytes, not {len(spec.user_data)}", field="user_data"
        )
    files = {
        "meta_data.json": _json(build_meta_data(spec)),
        "network_data.json": _json(build_network_data(spec)),
        "vendor_data.json": b"{}",
    }
    if spec.user_data is not None:
        files["user_data"] = spec.user_data
    image: Any = pycdlib.PyCdlib()
    image.new(interchange_level=4, joliet=3, rock_ridge="1.09", vol_ident=VOLUME_LABEL)
    try:
        _add_folder(image, "/openstack")
        for version in VERSIONS:
            _add_folder(image, f"/openstack/{version}")
            for name, content in files.items():
                _add_file(image, f"/openstack/{version}/{name}", content)
        out = BytesIO()
        image.write_fp(out)
    finally:
        image.close()
    return out.getvalue()


def build_meta_data(spec: InstanceSpec) -> dict[str, Any]:
    """Say who the guest is, in the keys of OpenStack's meta_data.json; no secret is ever in it.

    The host name comes last: a small guest without a JSON parser takes the last one that it sees, and metadata may hold that key too.
    """
    return {
        "uuid": str(spec.instance_id),
        "name": spec.name,
        "project_id": spec.project_id,
        "availability_zone": spec.availability_zone,
        "launch_index": 0,
        "meta": dict(spec.metadata),
        "public_keys": dict(spec.public_keys),
        "keys": [{"name": name, "type": "ssh", "data": key} for name, key in spec.public_keys],
        "hostname": spec.hostname or f"instance-{spec.instance_id.hex[-8:]}",
    }


def build_network_data(spec: InstanceSpec) -> dict[str, Any]:
    """Say which network cards the guest has, in the keys of OpenStack's network_data.json."""
    return {
        "links": [
            {"id": f"tap{index}", "type": "phy", "ethernet_mac_address": port.mac_address, "vif_id": str(port.port_id)}
            for index, port in enumerate(spec.ports)
        ],
        "networks": [
            {"id": f"network{index}", "type": "ipv4_dhcp", "link": f"tap{index}", "network_id": str(port.network_id)}
            for index, port in enumerate(spec.ports)
        ],
        "services": [],
    }


def _json(content: dict[str, Any]) -> bytes:
    return json.dumps(content).encode()


def _iso_name(path: str) -> str:
    return path.upper().replace("-", "_")


def _add_folder(image: Any, path: str) -> None:
    image.add_directory(_iso_name(path), rr_name=path.rsplit("/", 1)[1], joliet_path=path)


def _add_file(image: Any, path: str, content: bytes) -> None:
    image.add_fp(BytesIO(content), len(content), _iso_name(path), rr_name=path.rsplit("/", 1)[1], joliet_path=path)
