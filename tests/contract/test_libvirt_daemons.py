"""When the libvirt daemons that we started are ended, and when they are left to others."""

import contextlib
import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from provision import libvirt_daemons
from provision.failures import ProvisionError


@pytest.fixture
def pid() -> Iterator[int]:
    """A process in the place of libvirtd, nobody's child as that is."""
    started = subprocess.run(
        ["sh", "-c", "sleep 600 >/dev/null 2>&1 & echo $!"], capture_output=True, text=True, check=True
    )
    number = int(started.stdout)
    yield number
    with contextlib.suppress(ProcessLookupError):
        os.kill(number, signal.SIGKILL)


def recorded(folder: Path, pid: int) -> Path:
    record = folder / "libvirt.json"
    record.write_text(json.dumps({"libvirtd": libvirt_daemons.fingerprint(pid)}))
    return record


def a_virsh(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program = folder / "virsh"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


@pytest.mark.parametrize(("script", "says"), [("exec sleep 300", "does not say"), ("echo theirs", "1 other guests")])
def test_a_daemon_that_others_may_need_is_left_to_them(
    pid: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, says: str
) -> None:
    nobody_connected = libvirt_daemons.Daemon("libvirtd", Path("/bin/false"), tmp_path / "socket", tmp_path / "pid")
    monkeypatch.setattr(libvirt_daemons, "DAEMONS", (nobody_connected,))
    monkeypatch.setattr(libvirt_daemons, "STOP_TIMEOUT_S", 1 if "sleep" in script else 120)
    a_virsh(tmp_path, script, monkeypatch)
    assert says in libvirt_daemons.stop_ours(recorded(tmp_path, pid))
    assert libvirt_daemons.fingerprint(pid) != ""


def test_a_daemon_started_before_another_that_does_not_is_ended_again(
    pid: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_virsh(tmp_path, "exit 1", monkeypatch)
    record = recorded(tmp_path, pid)
    address = tmp_path / "socket"
    there = libvirt_daemons.Daemon("libvirtd", Path("/bin/false"), address, tmp_path / "pid")
    nowhere = libvirt_daemons.Daemon("other", Path("/bin/false"), tmp_path / "no-socket", tmp_path / "no-pid")
    monkeypatch.setattr(libvirt_daemons, "DAEMONS", (there, nowhere))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(str(address))
        listening.listen()
        with pytest.raises(ProvisionError, match="did not start"), libvirt_daemons.running_libvirt(record):
            pytest.fail("it must not begin")
    assert libvirt_daemons.fingerprint(pid) == ""


def test_a_daemon_to_which_another_program_is_connected_is_left_to_it_until_that_leaves(
    pid: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(libvirt_daemons, "LEAVE_TIMEOUT_S", 0.2)
    a_virsh(tmp_path, "exit 0", monkeypatch)
    address = tmp_path / "socket"
    daemon = libvirt_daemons.Daemon("libvirtd", Path("/bin/false"), address, tmp_path / "pid")
    monkeypatch.setattr(libvirt_daemons, "DAEMONS", (daemon,))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(str(address))
        listening.listen()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
            other.connect(str(address))
            accepted, _ = listening.accept()
            with accepted:
                assert "other programs are connected" in libvirt_daemons.stop_ours(recorded(tmp_path, pid))
        assert libvirt_daemons.fingerprint(pid) != ""
        assert libvirt_daemons.stop_ours(recorded(tmp_path, pid)) == ""
    assert libvirt_daemons.fingerprint(pid) == ""


@pytest.mark.parametrize("program", ["not-there", "hangs"])
def test_a_daemon_that_is_not_there_or_hangs_is_told_in_a_sentence(
    program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(libvirt_daemons, "START_TIMEOUT_S", 0.3)
    (tmp_path / "hangs").write_text("#!/bin/sh\nexec sleep 300\n")
    (tmp_path / "hangs").chmod(0o755)
    daemon = libvirt_daemons.Daemon("libvirtd", tmp_path / program, tmp_path / "no-socket", tmp_path / "no-pid")
    monkeypatch.setattr(libvirt_daemons, "DAEMONS", (daemon,))
    with pytest.raises(ProvisionError, match=r"libvirtd did not start .*Start it by hand"):
        libvirt_daemons.start_missing(tmp_path / "record.json")
