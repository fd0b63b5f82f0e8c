"""What an agent reads of its host and when: every poll interval, each second of a guest that is about to go, and a last time."""

from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime, timedelta
from uuid import UUID

from collectors.delivery import Delivery, SampleDelivery
from collectors.host_reading import HostReading, read_host, read_last, samples_of_reading
from compute.hypervisor.contract import Hypervisor, InstanceSpec

LEAVING_INTERVAL_S = 1.0
"""How often guests are read that were asked to shut themselves down: no more than this of what they use is ever missed."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class HostReadings:
    """The readings of one host; a database that may not be asked now leaves them to the spool."""

    def __init__(
        self,
        hypervisor: Hypervisor,
        delivery: SampleDelivery,
        *,
        poll_interval_s: float,
        clock: Callable[[], datetime],
        may_ask_database: Callable[[], bool],
        on_database_away: Callable[[str], None],
    ) -> None:
        self.specs: Mapping[UUID, InstanceSpec] = {}
        self.hostname = ""
        self._hypervisor = hypervisor
        self._delivery = delivery
        self._interval = timedelta(seconds=poll_interval_s)
        self._clock = clock
        self._may_ask_database = may_ask_database
        self._on_database_away = on_database_away
        self._poll_at: datetime | None = None
        self._leaving: dict[UUID, datetime] = {}
        self._leaving_at = EPOCH

    def next_at(self) -> datetime | None:
        """Say when the next reading is due; None before the first."""
        return min(self._poll_at, self._leaving_at) if self._poll_at is not None and self._leaving else self._poll_at

    def forget_times(self) -> None:
        """Let every reading be due."""
        self._poll_at = None
        self._leaving_at = EPOCH

    def poll_if_due(self) -> None:
        """Read the host at the multiples of the interval, so that every bucket gets as many readings."""
        self.poll_leaving_if_due()
        now = self._clock()
        if self._poll_at is not None and now < self._poll_at:
            return
        self._poll_at = EPOCH + ((now - EPOCH) // self._interval + 1) * self._interval
        self._deliver(read_host(self._hypervisor), observed_at=now, is_poll=True)

    def watch_leaving(self, until: Mapping[UUID, datetime]) -> None:
        """Read these guests each second from now on, each at most until its time."""
        self._leaving = dict(until)

    def poll_leaving_if_due(self) -> None:
        """Read the guests that are leaving."""
        now = self._clock()
        self._leaving = {instance_id: until for instance_id, until in self._leaving.items() if now <= until}
        if self._leaving and now >= self._leaving_at:
            self._leaving_at = now + timedelta(seconds=LEAVING_INTERVAL_S)
            self.keep(self._leaving.keys())

    def keep(self, instance_ids: Collection[UUID]) -> None:
        """Read guests that go on; durable when this returns."""
        now = self._clock()
        self._deliver(HostReading(self._hypervisor.read_stats(only=instance_ids)), observed_at=now, is_poll=False)

    def keep_last(self, instance_id: UUID) -> datetime | None:
        """Hold a guest still and read it; durable when this returns the time of it. None for one that was off already."""
        reading = read_last(self._hypervisor, instance_id, self.specs.get(instance_id))
        ended_at = self._clock()
        self._deliver(reading, observed_at=ended_at, is_poll=False)
        return ended_at if reading.instances else None

    def _deliver(self, reading: HostReading, *, observed_at: datetime, is_poll: bool) -> None:
        samples = samples_of_reading(reading, self.specs, host=self.hostname, observed_at=observed_at)
        if not self._may_ask_database():
            self._delivery.keep(samples, is_poll=is_poll)
        elif self._delivery.deliver(samples, now=self._clock(), is_poll=is_poll) is Delivery.REFUSED:
            self._on_database_away("the database did not take the samples")
