"""How long an agent sleeps between its steps, whatever is done to the clock."""

from datetime import datetime, timedelta

from entrypoints.agent_loop import STEP_INTERVAL_S_MAX, sleep_s
from tests.compute_builders import NOW


class Asked:
    """Steps that are due again after a time."""

    def __init__(self, after: timedelta) -> None:
        self.after = after

    def step(self, now: datetime) -> datetime:
        return now + self.after

    def stop(self, now: datetime) -> None:
        raise AssertionError(f"nobody stops it at {now}")

    def wake(self) -> None:
        raise AssertionError("nobody wakes it")


def test_it_sleeps_until_something_is_due() -> None:
    assert sleep_s(Asked(timedelta(seconds=3)), lambda: NOW) == 3


def test_it_sleeps_for_seconds_only_where_the_clock_is_set_back_during_a_step() -> None:
    clock = iter([NOW, NOW - timedelta(hours=9)])
    assert sleep_s(Asked(timedelta(seconds=3)), lambda: next(clock)) == STEP_INTERVAL_S_MAX
