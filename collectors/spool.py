"""Samples kept on disk while the database is away: bounded, durable before it is acknowledged, given back in order.

One file a batch, written aside, synced and then named; so a kill at any byte leaves whole batches, and at most one that was
never acknowledged. A batch that was ingested and not yet discarded comes again and is recognised by its samples' identity.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import msgspec
import structlog

from foundation.errors import Unavailable
from foundation.instruments import counter, gauge
from metering.model import Sample

BYTES_MAX = 256 * 1024 * 1024
BATCHES_MAX = 100_000
MAGIC = b"nephoscope-spool-2"
FORMER_MAGIC = b"nephoscope-spool-1"
"""A batch of a release that did not tell which batches are whole polls."""
POLL, PART = b"poll", b"part"
BATCH_SUFFIX = ".batch"
UNFINISHED_SUFFIX = ".unfinished"
DAMAGED_SUFFIX = ".damaged"
SEQUENCE_DIGITS = 20

WAITING = gauge("nephoscope_spool_batches", "Batches of samples that wait on disk for the database.")
WAITING_BYTES = gauge("nephoscope_spool_bytes", "How much room they take.")
DAMAGED = counter("nephoscope_spool_batches_damaged_total", "Batches that the disk has damaged; they are put aside.")

log = structlog.get_logger()


class SpoolFull(Unavailable):
    """There is no room for another batch: what was read now is not kept, and that is said aloud."""


@dataclass(frozen=True, slots=True)
class SpooledBatch:
    """The oldest batch, and the file to discard once it is ingested; `is_poll` tells that a whole host was read."""

    path: Path
    samples: list[Sample]
    is_poll: bool


class Spool:
    """The spool of one host, in a folder of its own; one process at a time uses it."""

    def __init__(self, folder: Path, *, bytes_max: int = BYTES_MAX, batches_max: int = BATCHES_MAX) -> None:
        self._folder = folder
        self._bytes_max = bytes_max
        self._batches_max = batches_max
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for unfinished in folder.glob(f"*{UNFINISHED_SUFFIX}"):
            unfinished.unlink()
        self._sizes = {path: path.stat().st_size for path in sorted(folder.glob(f"*{BATCH_SUFFIX}"))}
        numbers = [int(path.stem) for path in folder.iterdir() if path.stem.isdecimal()]
        self._next = max(numbers, default=0) + 1
        self._tell()

    def __len__(self) -> int:
        """Say how many batches wait."""
        return len(self._sizes)

    @property
    def size_bytes(self) -> int:
        """Say how much room the waiting batches take."""
        return sum(self._sizes.values())

    def append(self, samples: Sequence[Sample], *, is_poll: bool = True) -> None:
        """Keep a batch; when this returns, it survives a crash of the program and of the machine. Raises SpoolFull."""
        payload = msgspec.json.encode(list(samples))
        what = POLL if is_poll else PART
        content = b"%s %s %d %s\n%s" % (MAGIC, sha256(payload).hexdigest().encode(), len(payload), what, payload)
        if len(self._sizes) >= self._batches_max or self.size_bytes + len(content) > self._bytes_max:
            raise SpoolFull(
                f"the spool {self._folder} is full ({len(self._sizes)} batches, {self.size_bytes} bytes); "
                "readings are lost until the database is back"
            )
        path = self._folder / f"{self._next:0{SEQUENCE_DIGITS}d}{BATCH_SUFFIX}"
        try:
            write_durably(path, content)
        except OSError as error:
            raise SpoolFull(f"the spool {self._folder} cannot be written: {error}") from error
        self._sizes[path] = len(content)
        self._next += 1
        self._tell()

    def oldest(self) -> SpooledBatch | None:
        """Return the batch that was kept first; one that the disk has damaged is put aside, and that is said aloud."""
        for path in sorted(self._sizes):
            try:
                samples, is_poll = decode_batch(path.read_bytes())
                return SpooledBatch(path, samples, is_poll)
            except (ValueError, msgspec.MsgspecError) as error:
                path.rename(path.with_suffix(DAMAGED_SUFFIX))
                del self._sizes[path]
                DAMAGED.add()
                self._tell()
                log.error("spool.batch_damaged", path=str(path.with_suffix(DAMAGED_SUFFIX)), error=str(error))
        return None

    def discard(self, batch: SpooledBatch) -> None:
        """Let go of a batch that is ingested."""
        batch.path.unlink(missing_ok=True)
        self._sizes.pop(batch.path, None)
        self._tell()

    def _tell(self) -> None:
        WAITING.set(len(self._sizes))
        WAITING_BYTES.set(self.size_bytes)


def decode_batch(content: bytes) -> tuple[list[Sample], bool]:
    """Read a batch file back, and whether it is a whole poll. Raises ValueError when it is not whole."""
    head, _, payload = content.partition(b"\n")
    parts = head.split(b" ")
    if len(parts) == 3 and parts[0] == FORMER_MAGIC:
        parts = [MAGIC, *parts[1:], POLL]
    if len(parts) != 4 or parts[0] != MAGIC or not parts[2].isdigit() or len(payload) != int(parts[2]):
        raise ValueError("the batch is not whole")
    if sha256(payload).hexdigest().encode() != parts[1] or parts[3] not in {POLL, PART}:
        raise ValueError("the batch's checksum does not match")
    return msgspec.json.decode(payload, type=list[Sample]), parts[3] == POLL


def write_durably(path: Path, content: bytes) -> None:
    """Make a file that is there whole or not at all, and stays when the machine loses power."""
    unfinished = path.with_suffix(UNFINISHED_SUFFIX)
    try:
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.rename(path)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
