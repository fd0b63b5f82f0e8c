"""Reset-aware increases of cumulative counters: how much a reading adds to what was consumed. Pure.

The store's SQL computes the same (store/fragments.py); the tests hold the two together.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from metering.model import MeterType

WHOLE_MAX = 9.2e18
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, order=True)
class Reading:
    """One stored value of a metric; readings of one boot are compared with each other only."""

    observed_at: datetime
    boot_epoch: int
    value: float
    adopted: bool = False


@dataclass(frozen=True, slots=True)
class Increase:
    """What a reading adds, and over how long; None where there is nothing to compare it with."""

    amount: float
    elapsed_s: float


def increase_of(reading: Reading, previous: Reading | None, meter_type: MeterType) -> Increase | None:
    """Return what a reading adds to its predecessor of the same boot.

    Cumulative: a fall where no boot is known is a reset, so that the whole reading is new; a fall within a known boot is
    noise and adds nothing. The first reading of a known boot counts whole, unless the guest was adopted running.
    Other meters: the plain difference, as Gnocchi's `rate:`.
    """
    if previous is None:
        if meter_type != "cumulative" or reading.boot_epoch == 0 or reading.adopted:
            return None
        booted_at = EPOCH + timedelta(microseconds=reading.boot_epoch)
        return Increase(max(0.0, reading.value), max(0.0, (reading.observed_at - booted_at).total_seconds()))
    elapsed_s = (reading.observed_at - previous.observed_at).total_seconds()
    if meter_type != "cumulative":
        return Increase(reading.value - previous.value, elapsed_s)
    if reading.value >= previous.value:
        return Increase(reading.value - previous.value, elapsed_s)
    return Increase(max(0.0, reading.value) if reading.boot_epoch == 0 else 0.0, elapsed_s)


def increases_of(readings: Iterable[Reading], meter_type: MeterType) -> Sequence[tuple[Reading, Increase | None]]:
    """Return every reading in order of time with its increase; the order in which they are given does not matter."""
    latest: dict[int, Reading] = {}
    traced: list[tuple[Reading, Increase | None]] = []
    for reading in sorted(readings):
        traced.append((reading, increase_of(reading, latest.get(reading.boot_epoch), meter_type)))
        latest[reading.boot_epoch] = reading
    return traced


def total_increase(readings: Iterable[Reading], meter_type: MeterType) -> Decimal:
    """Return the consumption that readings show, each increase made exact before it is added."""
    increases = (increase for _, increase in increases_of(readings, meter_type) if increase is not None)
    return sum((exact(increase.amount) for increase in increases), Decimal(0))


def exact(amount: float) -> Decimal:
    """Return a float as a decimal: a whole number as it is, another as the shortest decimal that reads back as it."""
    return Decimal(int(amount)) if abs(amount) < WHOLE_MAX and amount == int(amount) else Decimal(repr(amount))
