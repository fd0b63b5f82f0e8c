"""What our processes count of themselves, for whoever watches them: counters, gauges and histograms in one file a process.

A process writes its own file, mapped into memory, so that a count is a few bytes written in place: no thread, no socket, no lock
between processes, and nothing is lost when it is killed. Whoever answers /metrics reads all files and adds them up; the counts
of a process that has ended are kept in `retired.json`, so that a sum never falls. See docs/decisions/0009-counting-in-files.md.
"""

import json
import mmap
import os
import struct
import threading
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, cast

import structlog

FILE_BYTES = 256 * 1024
"""The room of one process; what is not used takes no memory."""

MAGIC = b"nephom1\0"
HEADER = struct.Struct("=8sQ")
RECORD = struct.Struct("=HHI")
VALUE = struct.Struct("=d")
SUFFIX = ".counts"

DURATION_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

Kind: TypeAlias = Literal["counter", "gauge", "histogram"]
Series: TypeAlias = tuple[str, ...]
"""An instrument's name and the values of its labels, in order."""

DESCRIPTION = ""
"""Where a series has its name, a description of an instrument has this: who reads the file need not know our code."""


@dataclass(frozen=True, slots=True)
class Instrument:
    """Something that is counted: name and unit as Prometheus writes them, what it says, and the labels that it has."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()

    def describe(self) -> Series:
        """Write what the instrument is as a series without numbers."""
        return (DESCRIPTION, self.name, self.kind, self.help, json.dumps(self.labels), json.dumps(self.buckets))

    @property
    def width(self) -> int:
        """How many numbers one series has: a histogram has its buckets, what is beyond them, and the sum."""
        return len(self.buckets) + 2 if self.kind == "histogram" else 1

    def add(self, amount: float = 1.0, *labels: str) -> None:
        """Count something that happened, or so much of it."""
        assert self.kind == "counter"
        assert amount >= 0
        recorder.change(self, labels, {0: amount})

    def set(self, value: float, *labels: str) -> None:
        """Say how something is now."""
        assert self.kind == "gauge"
        recorder.change(self, labels, {0: value}, replaces=True)

    def observe(self, value: float, *labels: str) -> None:
        """Count a value in its bucket, and add it to the sum."""
        assert self.kind == "histogram"
        recorder.change(self, labels, {bisect_left(self.buckets, value): 1.0, self.width - 1: value})


log = structlog.get_logger()

INSTRUMENTS: dict[str, Instrument] = {}
"""Every instrument that this program knows, by name."""


def counter(name: str, help_text: str, *labels: str) -> Instrument:
    """Declare a counter; its name ends in _total."""
    return _declare(Instrument(name, "counter", help_text, labels))


def gauge(name: str, help_text: str, *labels: str) -> Instrument:
    """Declare a gauge."""
    return _declare(Instrument(name, "gauge", help_text, labels))


def histogram(name: str, help_text: str, *labels: str) -> Instrument:
    """Declare a histogram of durations in seconds."""
    return _declare(Instrument(name, "histogram", help_text, labels, DURATION_BUCKETS_S))


def _declare(instrument: Instrument) -> Instrument:
    assert instrument.name not in INSTRUMENTS, f"{instrument.name} is declared twice"
    INSTRUMENTS[instrument.name] = instrument
    return instrument


DROPPED = counter(
    "nephoscope_instrument_series_dropped_total", "Counts that were not kept, since the process has too many series."
)


class Recorder:
    """Where this process counts: in memory of its own until an entrypoint gives it a folder, then in a file there."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._role = ""
        self._lock = threading.Lock()
        self._forget()

    def keep_in(self, folder: Path, role: str) -> None:
        """Count in a file of this process from now on; `role` says what kind of process it is (api, worker, agent...)."""
        self._folder, self._role = folder, role
        with self._lock:
            self._open()

    def restart_after_fork(self) -> None:
        """Count anew in a child; what its parent counted is the parent's."""
        self._lock = threading.Lock()
        self._forget()
        if self._folder is not None:
            self._open()

    def change(
        self, instrument: Instrument, labels: Sequence[str], changes: Mapping[int, float], *, replaces: bool = False
    ) -> None:
        """Change numbers of one series; a series that has no room any more is told by DROPPED."""
        assert len(labels) == len(instrument.labels), f"{instrument.name} has the labels {instrument.labels}"
        series = (instrument.name, *labels)
        with self._lock:
            place = self._places.get(series)
            if place is None:
                self._describe(instrument)
                place = self._new_place(series, instrument.width)
                if place is None:
                    self._add((DROPPED.name,), 1)
                    return
            for number, amount in changes.items():
                at = place + number * VALUE.size
                old = 0.0 if replaces else VALUE.unpack_from(self._memory, at)[0]
                VALUE.pack_into(self._memory, at, old + amount)

    def values(self) -> dict[Series, list[float]]:
        """Return what this process has counted."""
        with self._lock:
            return read_values(bytes(self._memory))

    def _add(self, series: Series, amount: float) -> None:
        at = self._places[series]
        VALUE.pack_into(self._memory, at, VALUE.unpack_from(self._memory, at)[0] + amount)

    def _forget(self) -> None:
        self._memory: mmap.mmap = mmap.mmap(-1, FILE_BYTES)
        self._places: dict[Series, int] = {}
        self._used = HEADER.size
        HEADER.pack_into(self._memory, 0, MAGIC, self._used)
        self._describe(DROPPED)

    def _open(self) -> None:
        """Go on in a file with what was counted up to now; where none can be made, in memory: nothing stops for want of counting."""
        assert self._folder is not None
        path = self._folder / f"{self._role}-{os.getpid()}-{start_of(os.getpid())}{SUFFIX}"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with path.open("w+b") as file:
                os.posix_fallocate(file.fileno(), 0, FILE_BYTES)
                mapped = mmap.mmap(file.fileno(), FILE_BYTES)
        except OSError as error:
            log.warning("instruments.not_kept", path=str(path), error=str(error))
            return
        mapped[: self._used] = self._memory[: self._used]
        self._memory = mapped
        for instrument in INSTRUMENTS.values():
            self._describe(instrument)

    def _describe(self, instrument: Instrument) -> None:
        """Note once what an instrument is; a counter without labels is 0 from then on."""
        description = instrument.describe()
        if description in self._places or self._new_place(description, 0) is None:
            return
        if instrument.kind == "counter" and not instrument.labels and (instrument.name,) not in self._places:
            self._new_place((instrument.name,), 1)

    def _new_place(self, series: Series, width: int) -> int | None:
        key = json.dumps(series, ensure_ascii=False).encode()
        padded = -(-len(key) // VALUE.size) * VALUE.size
        place = self._used + RECORD.size + padded
        end = place + width * VALUE.size
        if end > FILE_BYTES:
            return None
        RECORD.pack_into(self._memory, self._used, len(key), width, padded)
        self._memory[self._used + RECORD.size : self._used + RECORD.size + len(key)] = key
        self._used = end
        HEADER.pack_into(self._memory, 0, MAGIC, end)
        self._places[series] = place
        return place


recorder = Recorder()
"""The one of this process."""

os.register_at_fork(after_in_child=recorder.restart_after_fork)


def instrument_of(description: Series) -> Instrument:
    """Read a description back."""
    _, name, kind, help_text, labels, buckets = description
    return Instrument(name, cast(Kind, kind), help_text, tuple(json.loads(labels)), tuple(json.loads(buckets)))


def read_values(content: bytes) -> dict[Series, list[float]]:
    """Read a process's file; one that is not whole has what it has."""
    values: dict[Series, list[float]] = {}
    if len(content) < HEADER.size:
        return values
    magic, used = HEADER.unpack_from(content)
    at = HEADER.size
    while magic == MAGIC and at < min(used, len(content)):
        length, width, padded = RECORD.unpack_from(content, at)
        at += RECORD.size
        series = tuple(json.loads(content[at : at + length]))
        at += padded
        values[series] = list(struct.unpack_from(f"={width}d", content, at))
        at += width * VALUE.size
    return values


def start_of(pid: int) -> str:
    """Return when a process began, in ticks since the host's boot, so that another one with its number is told from it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return "ended"
