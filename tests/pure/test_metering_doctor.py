"""What the doctor of metering finds and what it lets pass; every finding says how to mend it."""

from datetime import datetime, timedelta
from typing import Any

from foundation.ids import new_id
from metering.doctor import (
    FindingKind,
    LastReading,
    SourceObservation,
    findings_of_metrics,
    findings_of_source,
)
from tests.metering_builders import at

NOW = at(3600)
INSTANCE, DISK = new_id(), new_id()


def a_host(polled: float | None = 3590, **changes: Any) -> SourceObservation:
    facts: dict[str, Any] = {
        "source": "kvm1",
        "polled_at": None if polled is None else at(polled),
        "interval_us": None if polled is None else 60_000_000,
        "running_instances": 2,
        "samples": 10_000,
        "repeated": 0,
        "delays": tuple(timedelta(seconds=s) for s in (0.2, 0.3, 40)),
    }
    return SourceObservation(**{**facts, **changes})


def a_reading(read: float, *, metric: str = "cpu", since: float = 0, **changes: Any) -> LastReading:
    facts: dict[str, Any] = {
        "resource_id": INSTANCE,
        "resource_type": "instance",
        "instance_id": INSTANCE,
        "instance_name": "web-1",
        "running_since": at(since),
        "source": "kvm1",
        "metric": metric,
        "read_at": at(read),
    }
    return LastReading(**{**facts, **changes})


def kinds(host: SourceObservation, now: datetime = NOW) -> list[FindingKind]:
    return [finding.kind for finding in findings_of_source(host, now=now)]


def test_a_host_that_is_read_with_a_clock_that_goes_right_is_well() -> None:
    assert kinds(a_host()) == []
    assert kinds(a_host(3301)) == [], "a few polls may be late"


def test_a_host_that_has_not_been_read_for_five_intervals_is_silent() -> None:
    (finding,) = findings_of_source(a_host(3299), now=NOW)
    assert finding.kind is FindingKind.HOST_SILENT
    assert finding.sentence == (
        "kvm1 was last read at 2026-03-01T00:54:59Z and should be every 60 s; 2 instances should run there:"
        " look whether its agent runs and reaches libvirt and the database (var/log/agent.log)"
    )
    (never,) = findings_of_source(a_host(None, running_instances=1, samples=0, delays=()), now=NOW)
    assert never.sentence.startswith("kvm1 has never been read, though 1 instance should run there")


def test_a_host_on_which_nothing_should_run_may_be_silent() -> None:
    assert kinds(a_host(0, running_instances=0)) == []


def test_a_clock_is_judged_by_the_quickest_of_several_polls() -> None:
    def clock(*seconds: float) -> list[FindingKind]:
        return kinds(a_host(delays=tuple(timedelta(seconds=s) for s in seconds)))

    assert clock(-2.5, 0.1, 0.1) == [FindingKind.CLOCK_AHEAD]
    assert clock(-1.9, 0.1, 0.1) == []
    assert clock(11, 12, 30) == [FindingKind.CLOCK_BEHIND]
    assert clock(11, 12, 9) == []
    assert clock(-900, -900) == [], "two polls are too few"


def test_a_host_that_sends_much_of_it_twice_is_named() -> None:
    (finding,) = findings_of_source(a_host(repeated=200), now=NOW)
    assert finding.sentence.startswith("kvm1 sent 200 of its 10,000 samples of the last day a second time")
    assert kinds(a_host(repeated=199)) == []
    assert kinds(a_host(samples=30, repeated=19)) == [], "a redelivered batch is no fault"


def test_metrics_that_stopped_are_named_together_by_resource() -> None:
    readings = [
        a_reading(3000, metric="memory.usage"),
        a_reading(2900),
        a_reading(3540, metric="vcpus"),
        a_reading(60, metric="disk.device.read.bytes", resource_id=DISK, resource_type="instance_disk"),
    ]
    found = findings_of_metrics(readings, {"kvm1": a_host()}, now=NOW)
    assert {finding.resource_id: finding.metrics for finding in found} == {
        INSTANCE: ("cpu", "memory.usage"),
        DISK: ("disk.device.read.bytes",),
    }
    own = next(finding for finding in found if finding.resource_id == INSTANCE)
    assert own.sentence == (
        f"cpu, memory.usage of instance {INSTANCE} (instance web-1) were last read at 2026-03-01T00:50:00Z, though it runs and"
        " kvm1 is read: look for it in the agent's log there (var/log/agent.log)"
    )


def test_a_guest_that_has_only_just_started_and_one_on_a_silent_host_have_not_stopped() -> None:
    assert findings_of_metrics([a_reading(60, since=3400)], {"kvm1": a_host()}, now=NOW) == []
    assert findings_of_metrics([a_reading(60)], {"kvm1": a_host(60)}, now=NOW) == []
    assert findings_of_metrics([a_reading(60, source="kvm2")], {"kvm1": a_host()}, now=NOW) == []
