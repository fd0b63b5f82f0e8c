"""Becomes a program of another Debian tree: own mount namespace, chroot, ordinary user, and ends when its parent does.

Run as `python chroot_exec.py TREE UID SIGNAL [HOST_FOLDER=TREE_FOLDER ...] -- PROGRAM ARGUMENT...`. It never forks, so
its process id is the program's; its mounts are seen by nobody else and vanish with it. Standard library only.
"""

import ctypes
import os
import sys
from collections.abc import Sequence
from pathlib import Path

CLONE_NEWNS = 0x0002_0000
MS_BIND, MS_REC, MS_PRIVATE, MS_NOSUID, MS_NODEV = 0x1000, 0x4000, 0x4_0000, 0x2, 0x4
PR_SET_PDEATHSIG = 1
SHARED_MEMORY_MIB = 512

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, doing: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{doing}: {os.strerror(number)}")


def _mount(source: str, target: Path | str, *, kind: str, flags: int, options: str = "") -> None:
    places = (os.fsencode(source), os.fsencode(target))
    result = _libc.mount(*places, kind.encode(), ctypes.c_ulong(flags), options.encode())
    _check(result, f"cannot mount {source} on {target}")


def end_with_parent(signal_number: int, *, parent: int) -> None:
    """Ask the kernel for this signal when the parent ends; exits at once if it has ended already."""
    _check(_libc.prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0), "cannot ask for a signal at the parent's end")
    if os.getppid() != parent:
        sys.exit(0)


def enter(tree: Path, *, user: int, binds: Sequence[tuple[str, str]]) -> None:
    """Mount what the program needs, change the root and become the ordinary user."""
    _check(_libc.unshare(CLONE_NEWNS), "cannot make a mount namespace")
    _mount("none", "/", kind="", flags=MS_REC | MS_PRIVATE)
    _mount("/dev", tree / "dev", kind="", flags=MS_BIND | MS_REC)
    _mount("/proc", tree / "proc", kind="", flags=MS_BIND | MS_REC)
    size = f"size={SHARED_MEMORY_MIB}m,mode=1777"
    _mount("tmpfs", tree / "dev/shm", kind="tmpfs", flags=MS_NOSUID | MS_NODEV, options=size)
    for outside, inside in binds:
        _mount(outside, tree / inside.lstrip("/"), kind="", flags=MS_BIND)
    os.chroot(tree)
    os.chdir("/")
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)
    os.umask(0o077)


def main(arguments: list[str]) -> None:
    """Enter the tree and become the program."""
    parent = os.getppid()
    split = arguments.index("--")
    tree, user, signal_number, *folders = arguments[:split]
    command = arguments[split + 1 :]
    binds = [(outside, inside) for outside, _, inside in (folder.rpartition("=") for folder in folders)]
    enter(Path(tree), user=int(user), binds=binds)
    # Changing the user clears the parent-death signal, so it is asked for last.
    end_with_parent(int(signal_number), parent=parent)
    os.execve(command[0], command, {"PATH": "/usr/bin:/usr/sbin", "LANG": "C.UTF-8", "TZ": "UTC"})  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1:])
