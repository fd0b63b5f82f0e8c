"""The machine's libvirt: started where it does not run, and ended again only by who started it and when nobody else uses it."""

import contextlib
import grp
import json
import os
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from provision.failures import ProvisionError

START_TIMEOUT_S = 30
STOP_TIMEOUT_S = 20
LEAVE_TIMEOUT_S = 2.0
"""How long the daemon may take to notice that a client has left."""
SOCKETS = Path("/proc/net/unix")
CONNECTED = "03"
KVM_DEVICE = Path("/dev/kvm")


@dataclass(frozen=True, slots=True)
class Daemon:
    """One of libvirt's daemons, in the order in which they are needed."""

    name: str
    program: Path
    address: Path
    pid_file: Path


DAEMONS = (
    Daemon("virtlogd", Path("/usr/sbin/virtlogd"), Path("/run/libvirt/virtlogd-sock"), Path("/run/virtlogd.pid")),
    Daemon("libvirtd", Path("/usr/sbin/libvirtd"), Path("/run/libvirt/libvirt-sock"), Path("/run/libvirtd.pid")),
)


def answers(daemon: Daemon) -> bool:
    """Whether something accepts on its socket: the daemon, or a service manager that will start it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(5)
        try:
            connection.connect(str(daemon.address))
        except OSError:
            return False
    return True


def start_missing(record: Path) -> None:
    """Start those that do not answer and note in `record` which are ours to end."""
    give_kvm_rights()
    ours = read_record(record)
    for daemon in DAEMONS:
        if not answers(daemon):
            ours[daemon.name] = _start(daemon)
            record.parent.mkdir(parents=True, exist_ok=True)
            record.write_text(json.dumps(ours))


def _start(daemon: Daemon) -> str:
    reason = f"no answer on {daemon.address}"
    try:
        command = [daemon.program, "-d"]
        log = subprocess.run(command, capture_output=True, text=True, timeout=START_TIMEOUT_S, check=False)
        reason = log.stderr.strip()[-200:] or reason
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline and log.returncode == 0:
            if answers(daemon):
                return fingerprint(int(daemon.pid_file.read_text()))
            time.sleep(0.05)
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        reason = str(error)
    raise ProvisionError(
        f"{daemon.name} did not start ({reason}).",
        mend=f"Start it by hand with `{daemon.program}` to see why, mend that and run it again.",
    )


def fingerprint(pid: int) -> str:
    """A process id with its start time, so that a number that is used again is not mistaken for ours; empty: gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return f"{pid}:{fields[19]}"


def read_record(record: Path) -> dict[str, str]:
    """The daemons that we started and that still run."""
    with contextlib.suppress(OSError, ValueError):
        noted: dict[str, str] = json.loads(record.read_text())
        return {name: mark for name, mark in noted.items() if mark and fingerprint(int(mark.split(":")[0])) == mark}
    return {}


def stop_ours(record: Path) -> str:
    """End the daemons that we started, unless others need them; returns a sentence where they are left, else nothing."""
    ours = read_record(record)
    if ours:
        if is_used_by_others():
            return "libvirt keeps running, because other programs are connected to it."
        try:
            running = running_guests()
        except subprocess.TimeoutExpired:
            return "libvirt keeps running, because it does not say in time whether other guests need it."
        if running:
            return f"libvirt keeps running, because {running} other guests need it."
        for daemon in reversed(DAEMONS):
            if daemon.name in ours:
                _end(int(ours[daemon.name].split(":")[0]))
    record.unlink(missing_ok=True)
    return ""


def is_used_by_others() -> bool:
    """Whether a program is connected to libvirt, and not just leaving."""
    deadline = time.monotonic() + LEAVE_TIMEOUT_S
    while connections(SOCKETS.read_text(), DAEMONS[-1].address):
        if time.monotonic() > deadline:
            return True
        time.sleep(0.05)
    return False


def connections(listing: str, address: Path) -> int:
    """How many connections a server's socket has in what /proc/net/unix lists: state is the sixth field, path the eighth."""
    rows = (line.split(maxsplit=7) for line in listing.splitlines())
    return sum(len(row) == 8 and row[5] == CONNECTED and row[7] == str(address) for row in rows)


def running_guests() -> int:
    """How many guests of anybody run under the machine's libvirt; none where it is not there. Raises TimeoutExpired where it hangs."""
    command = ["virsh", "-q", "-c", "qemu:///system", "list", "--name"]
    try:
        listing = subprocess.run(command, capture_output=True, text=True, timeout=STOP_TIMEOUT_S, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return 0
    return len(listing.split())


def _end(pid: int) -> None:
    mark = fingerprint(pid)
    for number, wait_s in ((signal.SIGTERM, STOP_TIMEOUT_S), (signal.SIGKILL, 5)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline = time.monotonic() + wait_s
        while time.monotonic() < deadline:
            if fingerprint(pid) != mark:
                return
            time.sleep(0.05)


def give_kvm_rights() -> None:
    """What udev does elsewhere: without the group, libvirt finds KVM enabled but not usable and probes QEMU for 76 s."""
    with contextlib.suppress(FileNotFoundError, KeyError, PermissionError):
        device, group = KVM_DEVICE.stat(), grp.getgrnam("kvm").gr_gid
        if device.st_gid != group or stat.S_IMODE(device.st_mode) & 0o660 != 0o660:
            os.chown(KVM_DEVICE, -1, group)
            KVM_DEVICE.chmod(0o660)


def virt_type(cpu_flags: str, *, has_kvm: bool) -> str:
    """KVM only where the processor says that it virtualises: an open /dev/kvm alone does not mean that guests start."""
    words = set(cpu_flags.split())
    return "kvm" if has_kvm and words & {"vmx", "svm"} else "qemu"


def describe_virt_type() -> str:
    """The one line that says how guests will run on this machine."""
    kind = virt_type(Path("/proc/cpuinfo").read_text(), has_kvm=os.access(KVM_DEVICE, os.R_OK | os.W_OK))
    if kind == "kvm":
        return "guests run with KVM"
    return "guests run emulated (QEMU's TCG): this processor shows neither vmx nor svm, or /dev/kvm does not open"


@contextlib.contextmanager
def running_libvirt(record: Path) -> Generator[None]:
    """libvirt answers while the block runs."""
    try:
        start_missing(record)
        yield
    finally:
        stop_ours(record)
