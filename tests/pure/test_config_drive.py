"""The config drive: what is read from it is, byte for byte, what was given."""

import json
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import pycdlib
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycdlib.pycdlibexception import PyCdlibException

from compute.config_drive import USER_DATA_BYTES_MAX, VOLUME_LABEL, build_config_drive
from compute.hypervisor.contract import DiskSpec, InstanceSpec, SpecRefused


def a_spec(**changes: Any) -> InstanceSpec:
    disk = DiskSpec(Path("x"), "qcow2", 1)
    return InstanceSpec(uuid4(), "p", "u", changes.pop("name", "web"), 1, 64, disk, **changes)


def read_back(image: bytes, path: str) -> bytes:
    drive: Any = pycdlib.PyCdlib()
    drive.open_fp(BytesIO(image))
    out = BytesIO()
    drive.get_file_from_iso_fp(out, rr_path=path)
    assert drive.pvd.volume_identifier.decode().strip() == VOLUME_LABEL
    drive.close()
    return out.getvalue()


@settings(max_examples=25, deadline=None)
@given(st.binary(max_size=3_000))
def test_user_data_arrives_byte_for_byte(user_data: bytes) -> None:
    assert read_back(build_config_drive(a_spec(user_data=user_data)), "/openstack/latest/user_data") == user_data


@settings(max_examples=25, deadline=None)
@given(st.text(st.characters(exclude_categories=("Cs",)), max_size=200))
def test_a_name_that_looks_like_yaml_or_json_stays_a_name(name: str) -> None:
    meta_data = read_back(build_config_drive(a_spec(name=name)), "/openstack/latest/meta_data.json")
    assert json.loads(meta_data)["name"] == name


@pytest.mark.parametrize("name", ["a\n#cloud-config\nrunlevel: 1", '"}, "uuid": "x', "!!python/object:os.system"])
def test_a_payload_in_metadata_adds_no_key(name: str) -> None:
    spec = a_spec(name=name, metadata=(("role", name),))
    meta_data = json.loads(read_back(build_config_drive(spec), "/openstack/latest/meta_data.json"))
    assert meta_data["meta"] == {"role": name}
    assert meta_data["uuid"] == str(spec.instance_id)


def test_there_is_no_user_data_file_where_none_was_given() -> None:
    with pytest.raises(PyCdlibException):
        read_back(build_config_drive(a_spec()), "/openstack/latest/user_data")


def test_user_data_beyond_the_limit_is_refused() -> None:
    with pytest.raises(SpecRefused, match="65536"):
        build_config_drive(a_spec(user_data=b"x" * (USER_DATA_BYTES_MAX + 1)))
