"""The InfluxDB line protocol: what is read, what is refused with which reason, and names of series."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.gnocchi.line_protocol import NAME_LENGTH_MAX, Point, metric_name, parse_line, parse_lines

names = st.text(st.characters(codec="utf-8", categories=("L", "N", "S", "P")), min_size=1, max_size=12).filter(
    lambda name: "\\" not in name and not name.startswith("#")
)
fields = st.dictionaries(
    names.filter(lambda name: '"' not in name), st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=4
)


def escaped(name: str) -> str:
    """Write a name as the protocol does: a backslash before a comma, an equal sign and a space."""
    return re.sub(r"([,= ])", r"\\\1", name)


@given(measurement=names, tags=st.dictionaries(names, names, max_size=4), values=fields, at=st.integers(0, 2**62))
def test_a_line_that_is_written_is_read_again(
    measurement: str, tags: dict[str, str], values: dict[str, float], at: int
) -> None:
    key = "".join([escaped(measurement), *(f",{escaped(name)}={escaped(value)}" for name, value in tags.items())])
    told = ",".join(f"{escaped(name)}={value!r}" for name, value in values.items())
    assert parse_line(f"{key} {told} {at}", unit_ns=1) == Point(measurement, tags, values, at)


@given(st.text(max_size=60))
def test_any_line_is_a_point_or_a_reason(line: str) -> None:
    read = parse_line(line, unit_ns=1)
    assert isinstance(read, Point) or read


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("cpu value=1", {"value": 1.0}),
        ("cpu value=1i", {"value": 1.0}),
        ("cpu value=-7u", {"value": -7.0}),
        ("cpu value=1e3,on=t,off=FALSE", {"value": 1000.0, "on": 1.0, "off": 0.0}),
        ('cpu text="a, b=c \\" d",value=2', {"value": 2.0}),
        ('cpu text="only"', {}),
        ("cpu value=.5 ", {"value": 0.5}),
        ("cpu value=1\r", {"value": 1.0}),
        ("cpu\\,x\\ y a\\=b=1", {"a=b": 1.0}),
    ],
)
def test_fields_are_read(line: str, values: dict[str, float]) -> None:
    read = parse_line(line, unit_ns=1)
    assert isinstance(read, Point)
    assert read.fields == values


@pytest.mark.parametrize(
    "line",
    [
        "cpu", "cpu ", "cpu value", "cpu value=", "cpu =1", "cpu value=x", "cpu value=1 noon", "cpu value=1 1.5",
        "cpu,host value=1", "cpu,=a value=1", "cpu,host= value=1", ",host=a value=1", "cpu value=1,", "cpu value=1,,b=2",
        'cpu value="open', 'cpu value=1"x"', "cpu value=NaN", "cpu value=inf", "cpu value=0x10", "cpu value=1_000",
        "cpu value=1 -1", "cpu value=1 9999999999999999999", "cpu value=1\\", "cpu value=99999999999999999999999i",
        "cpu," + ",".join(f"t{n}=x" for n in range(501)) + " value=1",
        "cpu " + ",".join(f"f{n}=1" for n in range(501)),
    ],
)  # fmt: skip
def test_what_is_no_point_is_refused_with_a_reason(line: str) -> None:
    assert isinstance(parse_line(line, unit_ns=1_000_000_000), str)


def test_the_precision_says_how_long_a_unit_is() -> None:
    for precision, at_ns in (
        ("ns", 5),
        ("u", 5_000),
        ("ms", 5_000_000),
        ("s", 5_000_000_000),
        ("h", 18_000_000_000_000),
    ):
        points, faults = parse_lines("cpu v=1 5", precision=precision)
        assert ([point.at_ns for _, point in points], faults) == ([at_ns], [])


def test_faults_name_their_lines() -> None:
    points, faults = parse_lines("# all of it\ncpu v=1\n\nbad\ncpu v=2\nworse line\n", precision="ns")
    assert [number for number, _ in points] == [2, 5]
    assert [fault.line for fault in faults] == [4, 6]


def test_series_are_named_as_gnocchi_names_them() -> None:
    assert metric_name("cpu.user", {}) == "cpu.user"
    assert metric_name("cpu.user", {"rack": "7", "core": "0/1"}) == "cpu.user@core=0_1,rack=7"


@given(st.dictionaries(names, names.map(lambda name: name * 30), min_size=3, max_size=5))
def test_a_name_too_long_is_cut_to_one_of_its_own(tags: dict[str, str]) -> None:
    name = metric_name("m", tags)
    other = metric_name("m", {**tags, "zzzzzzzzzzzzzzzz": "x"})
    assert len(name) <= NAME_LENGTH_MAX >= len(other)
    assert name != other


@pytest.mark.parametrize(
    "line", ["a" * 500_000, "\\ " * 200_000, '"' * 300_000, "a b=" + '"\\' * 200_000, "a," * 200_000 + " b=1"]
)
def test_a_hostile_line_takes_no_time(line: str) -> None:
    began = time.process_time()
    assert isinstance(parse_line(line, unit_ns=1), str)
    assert time.process_time() - began < 5
