"""Becomes a program that gets a signal when its parent ends, however that ends. Run as `with_parent.py SIGNAL PROGRAM ...`."""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def launch(signal_number: int, *command: str) -> list[str]:
    """The command line that runs a program so; it never forks, so its process id is the program's."""
    return [sys.executable, "-I", "-S", __file__, str(int(signal_number)), *command]


def main(arguments: list[str]) -> None:
    """Ask the kernel for the signal and become the program."""
    parent = os.getppid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, int(arguments[0]), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    if os.getppid() == parent:
        os.execv(arguments[1], arguments[1:])  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1:])
