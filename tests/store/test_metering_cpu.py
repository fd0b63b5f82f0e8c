"""CPU percent: right with uneven polls, several vCPUs, a reboot and a gap."""

import pytest

from foundation.database import Transaction
from foundation.errors import Invalid
from foundation.ids import new_id
from metering.filters import equals
from metering.service import cpu_percent, ingest_samples, record_lifecycle_event
from tests.metering_builders import RECEIVED_AT, a_project, a_sample, an_event, at

BOOT_US = 1_772_323_200_000_000
"""T0 in microseconds since 1970."""


def test_percent_is_of_all_vcpus_and_needs_no_even_polls(tx: Transaction) -> None:
    project, guest = a_project(), new_id()
    metadata = {"metering.server_group": "g"}
    event = an_event(0, "active", instance_id=guest, project_id=project, vcpus=2, name="worker", metadata=metadata)
    record_lifecycle_event(tx, event)
    seconds = [3, 9, 14, 19, 24, 29, 52, 58]
    samples = [
        a_sample(
            s, s * 1e9, resource_id=guest, project_id=project, boot_epoch=BOOT_US, attributes={"server_group": "g"}
        )
        for s in seconds
    ]
    ingest_samples(tx, samples, received_at=RECEIVED_AT)
    found = cpu_percent(
        tx, project_id=project, search=equals("server_group", "g"), start=at(0), stop=at(60), granularity_s=10
    )
    (series,) = found.series
    assert (series.resource_id, series.name) == (guest, "worker")
    assert [instant for instant, _ in series.points] == [at(s) for s in range(0, 60, 10)]
    assert [value for _, value in series.points] == [pytest.approx(50)] * 3 + [None, None, pytest.approx(50)]
    assert [value for _, value in found.aggregate] == [pytest.approx(50)] * 4


def test_another_projects_group_is_empty_and_too_many_points_are_refused(tx: Transaction) -> None:
    search = equals("server_group", "g")
    found = cpu_percent(tx, project_id=a_project(), search=search, start=at(0), stop=at(60), granularity_s=10)
    assert (found.series, found.aggregate) == ([], [])
    with pytest.raises(Invalid, match="points"):
        cpu_percent(tx, project_id="p", search=search, start=at(0), stop=at(86_400), granularity_s=1)
    with pytest.raises(Invalid, match="points"):
        cpu_percent(tx, project_id="p", search=search, start=at(60), stop=at(0), granularity_s=1)
