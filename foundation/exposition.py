"""Adds up what the processes of a folder have counted, and writes it as Prometheus reads it."""

import fcntl
import json
import math
import os
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import structlog

from foundation.instruments import DESCRIPTION, SUFFIX, Instrument, Kind, Series, instrument_of, read_values, start_of

LABEL_LENGTH_MAX = 128
RETIRED = "retired.json"
LOCK = "lock"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class RunningProcess:
    """A process that counts now: what it is, and the memory that it alone and with others holds."""

    role: str
    pid: int
    resident_bytes: int


@dataclass(frozen=True, slots=True)
class Counted:
    """What all processes have counted, those that have ended included, and which of them run.

    Among the values are the descriptions of what is counted, each with no number.
    """

    values: Mapping[Series, Sequence[float]]
    running: Sequence[RunningProcess]


def read_all(folder: Path) -> Counted:
    """Add up what the processes of a folder have counted, and put what the ended ones had counted by for good."""
    folder.mkdir(parents=True, exist_ok=True)
    running: list[RunningProcess] = []
    with _locked(folder):
        retired = _retire_ended(folder)
        total: dict[Series, list[float]] = {}
        for path in sorted(folder.glob(f"*{SUFFIX}")):
            role, pid = _owner_of(path)
            running.append(RunningProcess(role, pid, resident_bytes(pid)))
            _merge(total, read_values(path.read_bytes()))
        told = {series for series in total if _is_gauge(series, _gauges_of(total))}
        _merge(total, {series: numbers for series, numbers in retired.items() if series not in told})
    return Counted(total, running)


def _retire_ended(folder: Path) -> dict[Series, list[float]]:
    """Move what ended processes have counted into the file of the retired; return all of that.

    The file names what it has taken in, so that a kill between its writing and the removal of those files counts nothing twice.
    """
    path = folder / RETIRED
    kept = _read_retired(path)
    total: dict[Series, list[float]] = {tuple(series): numbers for series, numbers in kept["values"]}
    for name in kept["taken"]:
        (folder / name).unlink(missing_ok=True)
    ended = [one for one in folder.glob(f"*{SUFFIX}") if not _is_running(one)]
    if not ended:
        return total
    for one in ended:
        _merge(total, read_values(one.read_bytes()))
    content = {"taken": [one.name for one in ended], "values": list(total.items())}
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(content))
    unfinished.rename(path)
    for one in ended:
        one.unlink(missing_ok=True)
    return total


def _read_retired(path: Path) -> dict[str, Any]:
    """Read what was put by; a file that the disk has damaged is put aside, and counting begins anew."""
    try:
        kept: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        return {"taken": [], "values": []}
    except ValueError:
        log.error("instruments.retired_damaged", path=str(path))
        path.rename(path.with_suffix(".damaged"))
        return {"taken": [], "values": []}
    return kept


def _merge(total: dict[Series, list[float]], values: Mapping[Series, Sequence[float]]) -> None:
    """Add counts to counts; of a gauge keep the greatest."""
    gauges = _gauges_of(total) | _gauges_of(values)
    for series, numbers in values.items():
        have = total.get(series)
        if have is None or len(have) != len(numbers):
            total[series] = list(numbers)
        elif _is_gauge(series, gauges):
            total[series] = [max(a, b) for a, b in zip(have, numbers, strict=True)]
        else:
            total[series] = [a + b for a, b in zip(have, numbers, strict=True)]


def instruments_of(values: Iterable[Series]) -> dict[str, Instrument]:
    """Return the instruments that are described among values."""
    found = (instrument_of(series) for series in values if series[0] == DESCRIPTION)
    return {instrument.name: instrument for instrument in found}


def _gauges_of(values: Iterable[Series]) -> frozenset[str]:
    return frozenset(name for name, instrument in instruments_of(values).items() if instrument.kind == "gauge")


def _is_gauge(series: Series, gauges: frozenset[str]) -> bool:
    return series[0] in gauges


@contextmanager
def _locked(folder: Path) -> Generator[None]:
    with (folder / LOCK).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _owner_of(path: Path) -> tuple[str, int]:
    role, pid, _ = path.stem.rsplit("-", 2)
    return role, int(pid)


def _is_running(path: Path) -> bool:
    _, pid = _owner_of(path)
    return path.stem.endswith(f"-{start_of(pid)}")


def resident_bytes(pid: int) -> int:
    """Return how much memory a process has resident, 0 when it has ended."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0


Sample: TypeAlias = tuple[str, Mapping[str, str], float]
"""A suffix of the family's name, labels, and the value."""


@dataclass(frozen=True, slots=True)
class Family:
    """One metric as it is exposed: its kind, what it says, and its samples: suffix, labels and value."""

    name: str
    kind: Kind
    help: str
    samples: Sequence[Sample]


def families_of(values: Mapping[Series, Sequence[float]]) -> list[Family]:
    """Give the counts the form in which they are exposed, as they are described; what has another form is left out."""
    instruments = instruments_of(values)
    by_name: dict[str, list[Sample]] = {name: [] for name in instruments}
    for series, numbers in sorted(values.items()):
        instrument = instruments.get(series[0])
        if instrument is None or len(numbers) != instrument.width or len(series) != len(instrument.labels) + 1:
            continue
        labels = dict(zip(instrument.labels, series[1:], strict=True))
        by_name[instrument.name] += _samples_of(instrument, labels, numbers)
    return [Family(i.name, i.kind, i.help, by_name[i.name]) for i in instruments.values()]


def _samples_of(instrument: Instrument, labels: Mapping[str, str], numbers: Sequence[float]) -> Iterable[Sample]:
    if instrument.kind != "histogram":
        return [("", labels, numbers[0])]
    found: list[Sample] = []
    count = 0.0
    for bound, number in zip((*map(str, instrument.buckets), "+Inf"), numbers, strict=False):
        count += number
        found.append(("_bucket", {**labels, "le": bound}, count))
    return [*found, ("_sum", labels, numbers[-1]), ("_count", labels, count)]


def write_exposition(families: Iterable[Family]) -> str:
    """Write families as Prometheus's text format 0.0.4."""
    lines: list[str] = []
    for family in sorted(families, key=lambda family: family.name):
        lines.append(f"# HELP {family.name} {family.help}")
        lines.append(f"# TYPE {family.name} {family.kind}")
        for suffix, labels, value in family.samples:
            written = ",".join(f'{name}="{_escape(text)}"' for name, text in labels.items())
            lines.append(f"{family.name}{suffix}{'{' + written + '}' if written else ''} {_number(value)}")
    return "\n".join(lines) + "\n"


def _escape(text: str) -> str:
    return text[:LABEL_LENGTH_MAX].replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else f"{'+' if value > 0 else '-'}Inf"
    return str(int(value)) if value == int(value) and abs(value) < 2**53 else repr(value)
