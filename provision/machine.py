"""Whether this machine can carry the product: rights, system, disk, memory, and a free port."""

import contextlib
import errno
import os
import re
import shutil
import socket
import stat
import subprocess
from collections.abc import Mapping
from pathlib import Path

from provision.failures import ProvisionError

DEFAULT_LISTEN = "127.0.0.1:8780"
SOCKET_PREFIX = "unix:"
SOCKET_ANSWER_TIMEOUT_S = 2.0
SOCKET_PATH_BYTES_MAX = 107
"""The kernel takes no longer path of a socket."""
PORT_MAX = 65_535
SET_UP_DISK_MIB = 4_096
RUN_DISK_MIB = 512
MEMORY_MIB = 1_500
SUPPORTED = ("debian", "12")
INSTALLATION_ID = re.compile(r"[a-z0-9]{1,12}")


def check_rights(user_id: int) -> None:
    """Packages, bridges, packet filters and libvirt need root."""
    if user_id != 0:
        raise ProvisionError(
            "This installs packages and runs virtual machines, so it needs the rights of root.",
            mend="Become root (`su -` or `sudo -i`) and run it again.",
        )


def check_system(os_release: Mapping[str, str]) -> None:
    """The package names, the kernel and the guest image are Debian 12's."""
    name = os_release.get("PRETTY_NAME", "another system")
    if (os_release.get("ID"), os_release.get("VERSION_ID")) != SUPPORTED:
        raise ProvisionError(f"This is made for Debian 12, and this machine runs {name}.", mend="Run it on Debian 12.")


def parse_key_values(text: str, *, separator: str) -> dict[str, str]:
    """Lines of the /etc/os-release and /proc/meminfo kind."""
    pairs = (line.split(separator, 1) for line in text.splitlines() if separator in line)
    return {key.strip(): value.strip().strip('"') for key, value in pairs}


def check_disk(free_mib: int, *, needed_mib: int, folder: Path) -> None:
    """Room for what will be made, said before any of it is."""
    if free_mib < needed_mib:
        raise ProvisionError(
            f"There is too little disk space: {free_mib} MiB free for {folder}, {needed_mib} MiB needed.",
            mend="Free some, or set NEPHO_VAR to a folder on a larger disk, and run it again.",
        )


def check_memory(available_mib: int) -> None:
    """Room for the services and a few small guests."""
    if available_mib < MEMORY_MIB:
        raise ProvisionError(
            f"There is too little memory: {available_mib} MiB available, {MEMORY_MIB} MiB needed.",
            mend="End other programs or give the machine more memory, and run it again.",
        )


def parse_listen(listen: str) -> tuple[str, int]:
    """Address and port of `127.0.0.1:8780` or `[::1]:8780`."""
    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) <= PORT_MAX:
        raise ProvisionError(
            f"NEPHO_LISTEN={listen} is not an address and a port.",
            mend=f"Write it as {DEFAULT_LISTEN}, or as {SOCKET_PREFIX}/the/path of a socket, and run it again.",
        )
    return host.strip("[]"), int(port)


def socket_path_of(listen: str) -> Path | None:
    """The path of `unix:/run/nephoscope.sock`, absolute; nothing for an address and a port."""
    return Path(listen.removeprefix(SOCKET_PREFIX)).absolute() if listen.startswith(SOCKET_PREFIX) else None


def connect(listen: str, *, timeout_s: float) -> socket.socket:
    """A connection to whoever listens there; raises OSError where nobody does."""
    path = socket_path_of(listen)
    if path is None:
        return socket.create_connection(parse_listen(listen), timeout=timeout_s)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(timeout_s)
    try:
        connection.connect(str(path))
    except OSError:
        connection.close()
        raise
    return connection


def free_socket(path: Path) -> None:
    """Nobody listens on a socket that will be ours; what a killed process left there is put away, and nothing else ever is."""
    if len(os.fsencode(path)) > SOCKET_PATH_BYTES_MAX:
        raise ProvisionError(
            f"The path of the socket {path} is longer than {SOCKET_PATH_BYTES_MAX} bytes.", mend="Choose a shorter one."
        )
    if not path.parent.is_dir():
        raise ProvisionError(f"There is no folder {path.parent} for the socket.", mend="Make it and run it again.")
    if not path.exists():
        return
    if not stat.S_ISSOCK(path.stat().st_mode):
        raise ProvisionError(f"{path} is there already, and is no socket.", mend="Choose another path in NEPHO_LISTEN.")
    try:
        connect(f"{SOCKET_PREFIX}{path}", timeout_s=SOCKET_ANSWER_TIMEOUT_S).close()
    except ConnectionRefusedError:
        path.unlink(missing_ok=True)
        return
    except OSError:
        # Whoever has it is too busy to answer.
        pass
    raise ProvisionError(f"Somebody listens on {path} already.", mend="Stop that, or choose another path.")


def check_port(listen: str) -> None:
    """Nobody else listens where we will."""
    path = socket_path_of(listen)
    if path is not None:
        free_socket(path)
        return
    host, port = parse_listen(listen)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            mend = f"Stop that, or choose another port: `NEPHO_LISTEN={beside(host, port)} make run`."
            if error.errno != errno.EADDRINUSE:
                mend = f"Name an address of this machine in NEPHO_LISTEN; without it, that is {DEFAULT_LISTEN}."
            reason = _reason(error, port)
            raise ProvisionError(f"{listen} cannot be listened on: {reason}.", mend=mend) from error


def beside(host: str, port: int) -> str:
    """The same address with the next port, or the one before where there is no next."""
    return f"{f'[{host}]' if ':' in host else host}:{port + 1 if port < PORT_MAX else port - 1}"


def _reason(error: OSError, port: int) -> str:
    if error.errno != errno.EADDRINUSE:
        return (error.strerror or str(error)).lower()
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        listing = subprocess.run(
            ["ss", "-Hltnp", f"sport = :{port}"], capture_output=True, text=True, timeout=5, check=True
        )
        owner = owner_in_listing(listing.stdout)
        if owner:
            return f"{owner} already does"
    return (error.strerror or str(error)).lower()


def owner_in_listing(listing: str) -> str:
    """The program and its process id in what `ss -ltnp` prints, empty where it says none."""
    _, found, rest = listing.partition('users:(("')
    if not found:
        return ""
    name, _, rest = rest.partition('"')
    pid = rest.partition("pid=")[2].partition(",")[0]
    return f"{name} (process {pid})"


def check_installation(named: str, *, kept: Path) -> None:
    """The name that marks what is ours on this machine, as set or as kept in a file, is one that everything can carry."""
    if named and not INSTALLATION_ID.fullmatch(named):
        raise ProvisionError(
            f"NEPHO_INSTALLATION={named} is not allowed: it takes at most 12 small letters and digits.",
            mend="Mend that, or leave it out, and run it again.",
        )
    if not named and kept.exists() and not INSTALLATION_ID.fullmatch(kept.read_text(errors="replace").strip()):
        raise ProvisionError(
            f"{kept} does not hold the name of this installation, as it may be after a power loss.",
            mend="Write into it what stands between `nepho-` and the next dash in the names of its guests,"
            " or remove it where there are none, and run it again.",
        )


def check_machine(var: Path, *, is_set_up: bool) -> None:
    """All that can be said before anything is installed."""
    check_rights(os.geteuid())
    check_system(parse_key_values(Path("/etc/os-release").read_text(), separator="="))
    nearest = next(folder for folder in [var, *var.parents] if folder.exists())
    free_mib = shutil.disk_usage(nearest).free >> 20
    check_disk(free_mib, needed_mib=RUN_DISK_MIB if is_set_up else SET_UP_DISK_MIB, folder=var)
    memory = parse_key_values(Path("/proc/meminfo").read_text(), separator=":")
    check_memory(int(memory["MemAvailable"].split()[0]) >> 10)
