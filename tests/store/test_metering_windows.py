"""The windows of alarms: right for each way of asking, in as many statements for a thousand alarms as for one."""

from typing import Any
from uuid import UUID

import pytest

from foundation.database import Transaction
from foundation.errors import Invalid
from foundation.ids import new_id
from metering.filters import equals, parse_string_filter
from metering.model import WindowQuery
from metering.service import ingest_samples, read_windows
from tests.metering_builders import RECEIVED_AT, a_project, a_sample, at
from tests.statements import counted_statements

CPU_PERCENT = "(* (/ (aggregate mean (metric cpu rate:mean)) 10000000000.0) 100)"


def a_query(project: str, **changes: Any) -> WindowQuery:
    facts: dict[str, Any] = {
        "key": new_id(),
        "project_id": project,
        "metric": "cpu",
        "resource_type": "instance",
        "search": None,
        "aggregation_method": "rate:mean",
        "granularity_s": 10,
        "start": at(0),
        "stop": at(60),
    }
    return WindowQuery(**{**facts, **changes})


def two_busy_guests(tx: Transaction, project: str, group: str) -> list[UUID]:
    """Make guests of a group that burn 80 % and 40 % of a CPU, read every 10 s."""
    guests = [new_id(), new_id()]
    for guest, share in zip(guests, (0.8, 0.4), strict=True):
        samples = [
            a_sample(s, s * share * 1e9, resource_id=guest, project_id=project, attributes={"server_group": group})
            for s in range(0, 60, 10)
        ]
        ingest_samples(tx, samples, received_at=RECEIVED_AT)
    return guests


def test_a_window_is_the_same_asked_by_group_resource_metric_or_operations(tx: Transaction) -> None:
    project = a_project()
    guests = two_busy_guests(tx, project, "g1")
    metric = tx.execute("SELECT id FROM metric WHERE resource_id = %s", (guests[0],)).fetchone()
    assert metric is not None
    in_group = equals("server_group", "g1")
    windows = read_windows(
        tx,
        [
            a_query(project, search=in_group),
            a_query(project, search=in_group, reaggregation="max"),
            a_query(project, search=equals("id", str(guests[0]))),
            a_query(project, search=parse_string_filter("server_group = 'g1' and not host = 'x'")),
            a_query(project, metric_ids=(metric[0],)),
            a_query(project, search=in_group, operations=CPU_PERCENT),
            a_query(project, search=in_group, aggregation_method="rate:per_second"),
            a_query(a_project(), search=in_group),
            a_query(a_project(), metric_ids=(metric[0],)),
            a_query(project, search=equals("server_group", "no such group")),
            a_query(project, search=in_group, start=at(25), stop=at(40)),
            a_query(project, search=in_group, granularity_s=30, aggregation_method="rate:sum"),
        ],
    )
    answers = [[value for _, value in window.points] for window in windows]
    assert answers[0] == [6e9] * 5
    assert answers[1] == [8e9] * 5
    assert answers[2] == [8e9] * 5
    assert answers[3] == [6e9] * 5
    assert answers[4] == [8e9] * 5
    assert answers[5] == pytest.approx([60] * 5)
    assert answers[6] == pytest.approx([0.6e9] * 5)
    assert answers[7] == answers[8] == answers[9] == []
    assert [instant for instant, _ in windows[10].points] == [at(20), at(30)]
    assert answers[11] == [12e9, 18e9]


def test_a_reset_never_makes_a_window_negative(tx: Transaction) -> None:
    project, guest = a_project(), new_id()
    boot = 1_700_000_000_000_000
    samples = [
        a_sample(s, value, resource_id=guest, project_id=project, boot_epoch=epoch)
        for s, value, epoch in ((0, 900, boot), (10, 950, boot), (20, 30, boot + 15_000_000))
    ]
    ingest_samples(tx, samples, received_at=RECEIVED_AT)
    (window,) = read_windows(tx, [a_query(project, search=equals("id", str(guest)))])
    assert window.points == ((at(0), 900), (at(10), 50), (at(20), 30))


def test_windows_of_one_metric_that_overlap_count_each_reading_once(tx: Transaction) -> None:
    project = a_project()
    guests = two_busy_guests(tx, project, "g1")
    search = equals("id", str(guests[0]))
    for method in ("count", "median"):
        one, other = read_windows(
            tx,
            [
                a_query(project, search=search, aggregation_method=method, start=at(0), stop=at(40)),
                a_query(project, search=search, aggregation_method=method, start=at(20), stop=at(60)),
            ],
        )
        assert [instant for instant, _ in one.points] == [at(0), at(10), at(20), at(30)]
        assert [instant for instant, _ in other.points] == [at(20), at(30), at(40), at(50)]
        assert one.points[2:] == other.points[:2]
        assert method != "count" or {value for _, value in one.points} == {1}


def test_wrong_operations_are_invalid(tx: Transaction) -> None:
    with pytest.raises(Invalid, match="brackets"):
        read_windows(tx, [a_query("p", operations="(aggregate mean (metric cpu mean)")])
    project = a_project()
    two_busy_guests(tx, project, "g")
    with pytest.raises(Invalid, match="not a valid aggregation method"):
        read_windows(tx, [a_query(project, aggregation_method="meanest")])


def test_the_number_of_statements_does_not_grow_with_the_number_of_alarms(tx: Transaction) -> None:
    project = a_project()
    guests = two_busy_guests(tx, project, "g1")

    def queries(count: int) -> list[WindowQuery]:
        searches = [equals("server_group", "g1"), equals("id", str(guests[0])), parse_string_filter("host != 'x'")]
        return [a_query(project, search=searches[n % 3]) for n in range(count)]

    with counted_statements(tx) as few:
        read_windows(tx, queries(3))
    with counted_statements(tx) as many:
        windows = read_windows(tx, queries(300))
    assert many.statements == few.statements > 0
    assert all(len(window.points) == 5 for window in windows)


def test_the_plan_reads_measures_by_their_key_however_many_there_are(tx: Transaction) -> None:
    from metering.store.series import READ_BUCKETS, SeriesAsked, asked_columns

    tx.execute(
        """INSERT INTO measure (metric_key, observed_at, value)
        SELECT k, TIMESTAMPTZ '2026-03-01' + s * INTERVAL '1 minute', 1
        FROM generate_series(1000000, 1000999) k, generate_series(1, 60) s"""
    )
    tx.execute("ANALYZE measure")
    asked = [SeriesAsked(key, 60_000_000, at(3300), at(3600)) for key in range(1000000, 1000800)]
    parameters = {**asked_columns(asked), "from_rollups": False, "method": "mean"}
    plan = "\n".join(row[0] for row in tx.execute("EXPLAIN " + READ_BUCKETS, parameters))
    chunk = tx.execute(
        "SELECT relname FROM measure m JOIN pg_class p ON p.oid = m.tableoid WHERE metric_key = 1000000"
    ).fetchone()
    assert chunk is not None
    assert "Index" in plan
    assert f"Seq Scan on {chunk[0]}" not in plan, plan
