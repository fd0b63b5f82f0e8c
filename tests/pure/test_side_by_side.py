"""How the tests are spread: what stays together, what begins first, and when one process runs all."""

import pytest

from provision.__main__ import spread_over_cores
from tests import side_by_side
from tests.conftest import ROOT
from tests.side_by_side import GROUP_OF_MODULE, LONG, SHARING, group_of

GUESTS, *_ = SHARING["guests"]
BROWSER, *_ = SHARING["browser"]


class Collected:
    """What of a collected test matters here."""

    def __init__(self, nodeid: str, *marks: str) -> None:
        self.nodeid = nodeid
        self.marks = marks

    def get_closest_marker(self, name: str) -> str | None:
        return name if name in self.marks else None


def test_every_module_that_shares_something_is_there_and_in_one_group() -> None:
    named = [*LONG, *(module for modules in SHARING.values() for module in modules)]
    assert [module for module in named if not (ROOT / module).is_file()] == []
    assert len(named) == len(set(named)) == len(GROUP_OF_MODULE) + len(LONG)


def test_a_module_stays_whole_and_joins_those_that_use_the_same_thing() -> None:
    alone = "tests/store/test_alarms.py"
    assert group_of(f"{alone}::test_a") == group_of(f"{alone}::test_b[x::y]") == alone
    assert {group_of(f"{module}::test_a") for module in SHARING["guests"]} == {"guests"}


def test_what_takes_longest_begins_and_the_rest_keeps_its_order() -> None:
    names = [
        "tests/z.py::b",
        f"{LONG[0]}::a",
        f"{BROWSER}::b",
        "tests/a.py::a",
        f"{GUESTS}::b",
        f"{BROWSER}::a",
        f"{GUESTS}::a",
    ]
    items = [Collected(name) for name in names]
    side_by_side.arrange(items)
    assert [item.nodeid for item in items] == [
        f"{GUESTS}::b",
        f"{GUESTS}::a",
        f"{BROWSER}::b",
        f"{BROWSER}::a",
        f"{LONG[0]}::a",
        "tests/z.py::b",
        "tests/a.py::a",
    ]


def test_a_test_that_is_marked_as_sharing_and_in_no_group_is_named() -> None:
    side_by_side.check_places([Collected(f"{GUESTS}::a", "guests"), Collected("tests/new.py::a")])
    with pytest.raises(pytest.UsageError, match=r"tests/new\.py"):
        side_by_side.check_places([Collected("tests/new.py::a", "guests")])


def test_tests_of_one_name_are_refused_since_workers_would_run_one_of_them() -> None:
    with pytest.raises(pytest.UsageError, match=r"tests/a\.py::b: several"):
        side_by_side.check_places([Collected("tests/a.py::b"), Collected("tests/a.py::c"), Collected("tests/a.py::b")])


@pytest.mark.parametrize(
    "arguments", [(), ("-x",), ("tests/store",), ("-k", "invoice", "--no-header"), ("-m", "guests")]
)
def test_all_and_folders_are_spread_over_the_cores(arguments: tuple[str, ...]) -> None:
    assert spread_over_cores(arguments) == ("-n", "auto")


@pytest.mark.parametrize(
    "arguments",
    [
        ("tests/store/test_alarms.py",),
        ("-x", "tests/store/test_alarms.py::test_a[b]"),
        ("-n", "0"),
        ("-n4", "tests"),
        ("--numprocesses=3",),
        ("-p", "no:xdist"),
        ("--trace",),
    ],
)
def test_single_files_and_what_somebody_has_chosen_himself_are_left_as_they_are(arguments: tuple[str, ...]) -> None:
    assert spread_over_cores(arguments) == ()
