"""The scheduler's ticks go on whatever is done to the clock: without them nothing is rolled up, judged or delivered."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery.schedules import maybe_schedule
from pydantic import SecretStr

from entrypoints.queue import make_app
from entrypoints.schedule import Ticks
from foundation.settings import Settings

NOW = datetime(2026, 10, 25, 0, 59, 30, tzinfo=UTC)
ENTRIES: dict[str, Any] = make_app(Settings()).conf.beat_schedule


def is_due(name: str, last_run_at: datetime) -> tuple[bool, float]:
    """Ask the schedule of an entry, as the scheduler does, whether it is due now and when to ask again."""
    tick: Any = maybe_schedule(ENTRIES[name]["schedule"])
    tick.nowfun = lambda: NOW
    answer = tick.is_due(last_run_at)
    return answer.is_due, answer.next


@pytest.mark.parametrize("name", ["tick", "housekeeping"])
def test_a_tick_comes_once_an_interval(name: str) -> None:
    _, interval_s = is_due(name, NOW - timedelta(days=1))
    assert is_due(name, NOW - timedelta(seconds=interval_s)) == (True, interval_s)
    assert is_due(name, NOW) == (False, interval_s)


@pytest.mark.parametrize("name", ["tick", "housekeeping"])
def test_a_clock_that_was_set_back_stops_no_tick(name: str) -> None:
    due, again_s = is_due(name, NOW + timedelta(hours=9))
    assert due
    assert again_s <= 300


def test_the_scheduler_sends_on_when_the_clock_is_set_back() -> None:
    clock = [NOW]
    app: Any = make_app(Settings(redis_url=SecretStr("memory://")))
    app.now = lambda: clock[0]
    scheduler: Any = Ticks(app, lazy=False)
    for _ in range(3):
        clock[0] += timedelta(seconds=1)
        scheduler.tick()
    sent = scheduler.schedule["tick"].total_run_count
    assert sent >= 1
    clock[0] -= timedelta(hours=9)
    for _ in range(3):
        slept_s = scheduler.tick()
        assert slept_s <= 1
        clock[0] += timedelta(seconds=1)
    assert scheduler.schedule["tick"].total_run_count > sent
    scheduler.close()
