"""The note of whose a host's guests are: it comes back as it was kept, holds no secret, and a damaged one is as good as none."""

from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path
from uuid import UUID

import pytest

from collectors.guest_note import GuestNote
from collectors.polling import samples_of_host
from compute.hypervisor.contract import DiskSpec, InstanceSpec, InstanceStats, PortSpec, PortStats, PowerState

SPEC = InstanceSpec(
    instance_id=UUID(int=7),
    project_id="p",
    user_id="u",
    name="web 測雲",
    vcpus=2,
    memory_mib=96,
    disk=DiskSpec(Path("/images/disk"), "qcow2", 3, kernel_path=Path("/images/kernel")),
    ports=(PortSpec(UUID(int=8), UUID(int=9), "fa:16:3e:00:00:01", IPv4Address("10.9.0.2")),),
    flavor_name="n1.nano",
    user_data=b"password=secret",
    metadata=(("metering.server_group", "g"),),
    public_keys=(("key", "ssh-ed25519 AAAA"),),
)
STATS = InstanceStats(
    SPEC.instance_id, PowerState.RUNNING, 1, cpu_time_ns=5, ports=(PortStats("nt8", incoming_bytes=1),)
)


def test_samples_made_by_the_note_are_those_made_by_the_database(tmp_path: Path) -> None:
    GuestNote(tmp_path / "note").keep({SPEC.instance_id: SPEC})
    recalled = GuestNote(tmp_path / "note").read()
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert samples_of_host([STATS], recalled, host="h", observed_at=now) == samples_of_host(
        [STATS], {SPEC.instance_id: SPEC}, host="h", observed_at=now
    )


def test_the_note_holds_no_user_data_no_key_and_no_path(tmp_path: Path) -> None:
    GuestNote(tmp_path / "note").keep({SPEC.instance_id: SPEC})
    text = (tmp_path / "note").read_text()
    assert "secret" not in text
    assert "ssh-" not in text
    assert "/images" not in text


@pytest.mark.parametrize("content", [b"", b"{}", b"[", b'[{"instance_id": "x"}]', b"\xff"])
def test_a_damaged_note_is_as_good_as_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "note").write_bytes(content)
    assert GuestNote(tmp_path / "note").read() == {}
    assert GuestNote(tmp_path / "missing").read() == {}


def test_the_note_is_written_only_when_something_changed(tmp_path: Path) -> None:
    note = GuestNote(tmp_path / "note")
    note.keep({SPEC.instance_id: SPEC})
    (tmp_path / "note").unlink()
    note.keep({SPEC.instance_id: SPEC})
    assert not (tmp_path / "note").exists()
    note.keep({SPEC.instance_id: replace(SPEC, name="other")})
    assert (tmp_path / "note").exists()
