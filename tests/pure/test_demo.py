"""When the story of `make run` goes on: an instance whose use is not known yet is neither quiet nor a fault."""

import pytest

from entrypoints.demo import is_quiet
from entrypoints.demo_view import Scene


@pytest.mark.parametrize(
    ("percents", "quiet"),
    [
        ((), False),
        (("3.1",), False),
        (("3.1", "2"), True),
        (("3.1", "97.5"), False),
        (("3.1", ""), False),
        (("", ""), False),
        (("3.1", "", "2"), True),
    ],
)
def test_a_group_is_quiet_when_all_that_is_known_of_enough_instances_is_low(
    percents: tuple[str, ...], quiet: bool
) -> None:
    assert is_quiet(Scene(cpu_percent={str(n): percent for n, percent in enumerate(percents)})) is quiet


@pytest.mark.parametrize(("state", "quiet"), [("alarm", False), ("ok", True), ("insufficient data", True)])
def test_a_group_is_not_quiet_while_an_earlier_storys_alarm_fires(state: str, quiet: bool) -> None:
    alarms = [{"name": "cpu-high", "state": state}, {"name": "cpu-low", "state": "alarm"}]
    assert is_quiet(Scene(cpu_percent={"a": "1", "b": "2"}, alarms=alarms)) is quiet
