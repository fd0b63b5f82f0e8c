"""The made-up history of the sample projects: the same every run, in order, marked, and with a life that adds up."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from entrypoints.sample_history import HISTORIES, WEB_COUNT_MAX, WEB_COUNT_MIN, webshop_history
from foundation.interval import TimeInterval
from metering.model import LifecycleEvent, Sample
from metering.segments import segments_of

START = datetime(2026, 2, 28, 15, tzinfo=UTC)
END = START + timedelta(days=4, hours=9, minutes=7)


@pytest.mark.parametrize("name", sorted(HISTORIES))
def test_a_history_is_the_same_every_run_and_its_beginning_does_not_know_its_end(name: str) -> None:
    whole = list(HISTORIES[name]("p1", START, END))
    assert whole == list(HISTORIES[name]("p1", START, END))
    earlier = START + timedelta(days=2)
    known = [fact for fact in HISTORIES[name]("p1", START, earlier) if fact.observed_at <= earlier]
    assert known == [fact for fact in whole if fact.observed_at <= earlier][: len(known)]


@pytest.mark.parametrize("name", sorted(HISTORIES))
def test_everything_is_marked_and_in_the_project_that_was_given(name: str) -> None:
    facts = list(HISTORIES[name]("p1", START, END))
    assert {fact.project_id for fact in facts} == {"p1"}
    assert all(fact.name.startswith("sample-") for fact in facts if isinstance(fact, LifecycleEvent))


@pytest.mark.parametrize("name", sorted(HISTORIES))
def test_counters_only_rise_within_a_boot_and_identities_are_unique(name: str) -> None:
    samples = [fact for fact in HISTORIES[name]("p1", START, END) if isinstance(fact, Sample)]
    identities = {(s.resource_id, s.meter, s.boot_epoch, s.observed_at) for s in samples}
    assert len(identities) == len(samples)
    counters: dict[tuple[object, ...], list[Sample]] = {}
    for sample in samples:
        if sample.meter_type == "cumulative":
            counters.setdefault((sample.resource_id, sample.meter, sample.boot_epoch), []).append(sample)
    for readings in counters.values():
        assert all(a.observed_at < b.observed_at and a.value <= b.value for a, b in pairwise(readings))


def test_the_web_group_keeps_within_its_size() -> None:
    events = [fact for fact in webshop_history("p1", START, END) if isinstance(fact, LifecycleEvent)]
    segments = segments_of(events, TimeInterval(START, END))
    for hour in range(1, 100):
        at = START + timedelta(hours=hour)
        alive = [s for s in segments if s.name.startswith("sample-web") and s.started_at <= at < (s.ended_at or END)]
        assert WEB_COUNT_MIN <= len(alive) <= WEB_COUNT_MAX
