"""Memory and idle CPU of a served installation: `make bench-memory` while `make run` serves.

Memory is Pss, so that pages shared by several processes are counted once. Guests are left out, and so is the shared memory of PostgreSQL
(its shared buffers), which the operator sizes. CPU is the share of one core over the measured seconds.
"""

import argparse
import os
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

MEMORY_TARGET_MIB = 500
CPU_TARGET_PERCENT = 5.0
PROCESSES_MAX = 500
KIB_PER_MIB = 1024


@dataclass(frozen=True, slots=True)
class Usage:
    """What one process holds and has used: Pss and shared-memory Pss in KiB, CPU in seconds."""

    name: str
    pss_kib: int
    shared_kib: int
    cpu_s: float


def descendants(root: int) -> set[int]:
    """Return a process and all that it started, whole families included."""
    children: dict[int, list[int]] = defaultdict(list)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            children[int(fields[1])].append(int(entry.name))
    found, frontier = set[int](), [root]
    while frontier and len(found) < PROCESSES_MAX:
        pid = frontier.pop()
        found.add(pid)
        frontier += children[pid]
    return found


def name_process(command: str) -> str:
    """Name the part of the product that a command line belongs to."""
    known = ("postgres", "redis-server", "entrypoints.http", "celery", "schedule", "agent", "entrypoints.demo", "up")
    first = next((part for part in known if part in command), command.split(" ")[0])
    parts = {"entrypoints.http": "api", "celery": "worker", "schedule": "scheduler", "entrypoints.demo": "demo"}
    return parts.get(first, first)


def read_usage(pid: int) -> Usage | None:
    """Read one process; None where it has ended or is a guest."""
    folder = Path("/proc") / str(pid)
    try:
        command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        rows = dict(line.split(":", 1) for line in (folder / "smaps_rollup").read_text().splitlines()[1:])
        ticks = (folder / "stat").read_text().rpartition(")")[2].split()[11:13]
    except OSError:
        return None
    if "qemu-system" in command or not command:
        return None
    kib = {key: int(value.split()[0]) for key, value in rows.items()}
    is_postgres = "postgres" in command
    cpu_s = sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")
    return Usage(name_process(command), kib["Pss"], kib.get("Pss_Shmem", 0) if is_postgres else 0, cpu_s)


def measure(root: int) -> dict[int, Usage]:
    """Read every process below the supervisor."""
    readings = ((pid, read_usage(pid)) for pid in descendants(root))
    return {pid: usage for pid, usage in readings if usage is not None}


def main() -> None:
    """Print one row a part and the totals beside their targets."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pid-file", type=Path, default=Path("var/up.pid"), help="the supervisor's process id")
    parser.add_argument("--seconds", type=float, default=30.0, help="how long CPU is measured")
    options = parser.parse_args()
    if not options.pid_file.exists():
        raise SystemExit(f"{options.pid_file} is not there: start `make run` in another terminal first")
    root = int(options.pid_file.read_text())
    before = measure(root)
    time.sleep(options.seconds)
    after = measure(root)
    parts: dict[str, list[float]] = defaultdict(lambda: [0, 0.0, 0.0])
    for pid, usage in after.items():
        row = parts[usage.name]
        row[0] += 1
        row[1] += (usage.pss_kib - usage.shared_kib) / KIB_PER_MIB
        row[2] += (usage.cpu_s - (before[pid].cpu_s if pid in before else 0.0)) / options.seconds * 100
    print(f"{'part':<16}{'processes':>10}{'Pss MiB':>10}{'CPU %':>8}")
    for name, (count, mib, percent) in sorted(parts.items()):
        print(f"{name:<16}{int(count):>10}{mib:>10.1f}{percent:>8.2f}")
    total_mib, total_percent = sum(row[1] for row in parts.values()), sum(row[2] for row in parts.values())
    print(f"{'all':<16}{len(after):>10}{total_mib:>10.1f}{total_percent:>8.2f}")
    print(f"{'target':<16}{'':>10}{MEMORY_TARGET_MIB:>10.1f}{CPU_TARGET_PERCENT:>8.2f}")


if __name__ == "__main__":
    main()
