"""What the guest's own boot script reads from a config drive: its very line, run by the busybox that is in the image."""

import re
import subprocess
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import pycdlib
import pytest

from compute.config_drive import build_config_drive
from compute.hypervisor.contract import DiskSpec, InstanceSpec
from provision.guest_image import BUSYBOX, RECIPE_FILES

META_DATA = "/run/config/openstack/latest/meta_data.json"


def name_read_by_the_guest(spec: InstanceSpec, folder: Path) -> str:
    """Take the line that reads the name out of the script and run it on the drive's file."""
    drive: Any = pycdlib.PyCdlib()
    drive.open_fp(BytesIO(build_config_drive(spec)))
    drive.get_file_from_iso(str(folder / "meta_data.json"), rr_path="/openstack/latest/meta_data.json")
    drive.close()
    (line,) = re.findall(r"^\s*(name=\$\(.*\))$", (RECIPE_FILES / "boot").read_text(), re.MULTILINE)
    assert META_DATA in line
    script = line.replace(META_DATA, str(folder / "meta_data.json")) + '; echo "$name"'
    return subprocess.run([BUSYBOX, "sh", "-c", script], capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"metadata": (("hostname", "not-mine"),)},
        {"metadata": (("zone", '"hostname": "not-mine"'), ("x", "a\n\"hostname\": 'b'"))},
        {"public_keys": (("hostname", "not-mine"),)},
        {"name": '"hostname": "not-mine"', "availability_zone": "zone"},
    ],
)
def test_a_guest_takes_its_own_name_whatever_is_written_beside_it(changes: dict[str, Any], tmp_path: Path) -> None:
    given: dict[str, Any] = {"name": "web", **changes}
    name = given.pop("name")
    spec = InstanceSpec(uuid4(), "p", "u", name, 1, 64, DiskSpec(Path("x"), "qcow2", 1), hostname="web-1.x", **given)
    assert name_read_by_the_guest(spec, tmp_path) == "web-1.x"
