"""An alarm's judgement: Aodh's semantics, and that it equals a naive oracle."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alarms.documents import spec_document, spec_from_document
from alarms.evaluation import Missing, Verdict, evaluate, window_start
from alarms.model import (
    Actions,
    AlarmSpec,
    AlarmState,
    ComparisonOperator,
    MetricsTarget,
    ResourcesTarget,
    ResourceTarget,
    Rule,
    Severity,
    TimeConstraint,
    check_action,
)
from alarms.time_constraint import check_constraint, is_within
from foundation.errors import Invalid

NOW = datetime(2026, 3, 1, 12, 0, 7, tzinfo=UTC)
OK, ALARM, UNKNOWN = AlarmState.OK, AlarmState.ALARM, AlarmState.INSUFFICIENT_DATA


def a_rule(
    *,
    threshold: float = 50,
    operator: ComparisonOperator = ComparisonOperator.GT,
    periods: int = 2,
    granularity_s: int = 10,
) -> Rule:
    target = ResourceTarget("cpu", "instance", "11111111-1111-1111-1111-111111111111")
    return Rule(target, threshold, operator, periods, granularity_s)


def points(*values: float) -> Sequence[tuple[datetime, float]]:
    return [(NOW + timedelta(seconds=10 * place), value) for place, value in enumerate(values)]


def judged(state: AlarmState, *values: float, missing: Missing | None = None) -> Verdict:
    return evaluate(a_rule(), state, points=points(*values), missing=missing)


def test_all_periods_breaching_is_alarm_and_says_what_decided() -> None:
    verdict = judged(OK, 10, 60, 70)
    assert verdict.state is ALARM
    assert verdict.reason == "Transition to alarm due to 2 samples outside threshold, most recent: 70"
    assert verdict.reason_data["disposition"] == "outside"
    assert verdict.reason_data["count"] == 2
    assert verdict.reason_data["most_recent"] == 70
    assert [value for _, value in verdict.reason_data["datapoints"]] == [60, 70]


def test_no_period_breaching_is_ok() -> None:
    verdict = judged(ALARM, 90, 10, 20)
    assert verdict.state is OK
    assert verdict.reason == "Transition to ok due to 2 samples inside threshold, most recent: 20"


@pytest.mark.parametrize("state", [OK, ALARM])
def test_a_mixed_window_keeps_a_known_state(state: AlarmState) -> None:
    assert judged(state, 60, 20).state is state
    assert judged(state, 20, 60).state is state
    assert judged(state, 20, 60).reason.startswith(f"Remaining as {state.value}")


def test_a_mixed_window_moves_an_unknown_state_to_where_its_last_point_is() -> None:
    assert judged(UNKNOWN, 60, 20).state is OK
    assert judged(UNKNOWN, 20, 60).state is ALARM


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        (None, "too few points in the last 30 s"),
        (Missing.METRIC, "no such metric"),
        (Missing.RESOURCE, "no resource is found"),
        (Missing.GRANULARITY, "choose a longer granularity"),
        (Missing.RECENT_POINTS, "is the source running"),
    ],
)
def test_too_few_points_are_insufficient_data_and_say_what_is_missing(missing: Missing | None, said: str) -> None:
    verdict = judged(ALARM, 60, missing=missing)
    assert verdict.state is UNKNOWN
    assert said in verdict.reason
    assert verdict.reason_data["missing"] == (missing or Missing.RECENT_POINTS).value
    assert not verdict.is_repeatable


def test_a_value_that_is_no_number_is_no_point() -> None:
    assert judged(OK, float("nan"), 60).state is UNKNOWN


def naive_state(rule: Rule, state: AlarmState, values: Sequence[float]) -> AlarmState:
    """The semantics once more, written as slowly and plainly as they can be."""
    last = list(values)[len(values) - rule.evaluation_periods :] if len(values) >= rule.evaluation_periods else None
    if last is None:
        return UNKNOWN
    breaching = 0
    for value in last:
        words = {"lt": value < rule.threshold, "le": value <= rule.threshold, "eq": value == rule.threshold}
        words |= {"ne": value != rule.threshold, "ge": value >= rule.threshold, "gt": value > rule.threshold}
        breaching += words[rule.comparison_operator.value]
    if breaching == len(last):
        return ALARM
    if breaching == 0:
        return OK
    if state is not UNKNOWN:
        return state
    return ALARM if words[rule.comparison_operator.value] else OK  # pyright: ignore[reportPossiblyUnboundVariable]


@given(
    state=st.sampled_from(AlarmState),
    operator=st.sampled_from(ComparisonOperator),
    threshold=st.integers(-3, 3),
    periods=st.integers(1, 5),
    values=st.lists(st.integers(-4, 4), max_size=8),
)
def test_an_evaluation_equals_the_naive_oracle(
    state: AlarmState, operator: ComparisonOperator, threshold: int, periods: int, values: list[int]
) -> None:
    rule = a_rule(threshold=threshold, operator=operator, periods=periods)
    verdict = evaluate(rule, state, points=points(*values))
    assert verdict.state is naive_state(rule, state, values)
    assert verdict.reason
    assert len(verdict.reason_data["datapoints"]) == min(periods, len(values))


@given(granularity_s=st.integers(1, 86_400), periods=st.integers(1, 100))
def test_a_window_begins_on_a_bucket_and_holds_one_period_more_than_it_judges(granularity_s: int, periods: int) -> None:
    start = window_start(a_rule(granularity_s=granularity_s, periods=periods), NOW)
    assert start.timestamp() % granularity_s == 0
    length_s = (NOW - start).total_seconds()
    assert granularity_s * (periods + 1) <= length_s < granularity_s * (periods + 2)


@pytest.mark.parametrize(
    "action",
    [
        "https://example.org/hook?x=1",
        "http://127.0.0.1:9000/",
        "trust+https://example.org/",
        "log://",
        "scaling:0190aaaa-0000-7000-8000-000000000001",
    ],
)
def test_the_supported_actions_are_taken(action: str) -> None:
    assert check_action(action) == action


@pytest.mark.parametrize(
    "action",
    [
        "", "ftp://example.org/", "file:///etc/passwd", "gopher://example.org/", "zaqar://?topic=x", "scaling:mine",
        "https://", "https://user:secret@example.org/", "https://exa mple.org/", "https://example.org:0/",
        "https://example.org:99999/", "https://[::1/", "https://example.org/\r\nX-Evil: 1", "https://e.org/" + "x" * 3000,
    ],
)  # fmt: skip
def test_other_actions_are_refused_with_a_sentence(action: str) -> None:
    with pytest.raises(Invalid) as refusal:
        check_action(action)
    assert len(refusal.value.message) > 20


def test_an_alarm_evaluates_each_minute_or_each_granule_where_that_is_shorter() -> None:
    assert AlarmSpec("a", a_rule(granularity_s=10)).interval_s == 10
    assert AlarmSpec("a", a_rule(granularity_s=300)).interval_s == 60
    assert AlarmSpec("a", a_rule(granularity_s=300), evaluation_interval_s=5).interval_s == 5


@pytest.mark.parametrize("threshold", [float("nan"), float("inf"), float("-inf")])
def test_a_threshold_is_a_number(threshold: float) -> None:
    with pytest.raises(Invalid):
        a_rule(threshold=threshold)


@pytest.mark.parametrize("periods", [0, -1, 101])
def test_evaluation_periods_are_bounded(periods: int) -> None:
    with pytest.raises(Invalid):
        a_rule(periods=periods)


@given(
    target=st.sampled_from(
        [
            ResourceTarget("cpu", "instance", "some"),
            MetricsTarget((UUID(int=1), UUID(int=2))),
            ResourcesTarget("cpu", "instance", {"=": {"server_group": "g"}}),
            ResourcesTarget("cpu", "instance", {}, ["*", ["metric", "cpu", "rate:mean"], 2]),
        ]
    ),
    severity=st.sampled_from(Severity),
    enabled=st.booleans(),
    repeat=st.booleans(),
    interval_s=st.none() | st.integers(1, 86_400),
)
def test_an_alarm_is_read_back_as_it_was_written(
    target: ResourceTarget | MetricsTarget | ResourcesTarget,
    severity: Severity,
    enabled: bool,
    repeat: bool,
    interval_s: int | None,
) -> None:
    spec = AlarmSpec(
        name="n",
        rule=Rule(target, 1.5, ComparisonOperator.LE, 3, 60, "rate:mean"),
        severity=severity,
        enabled=enabled,
        repeat_actions=repeat,
        evaluation_interval_s=interval_s,
        actions=Actions(ok=("log://",), alarm=("https://example.org/",)),
        time_constraints=(TimeConstraint("office", "0 9 * * 1-5", 3600, "Asia/Tokyo"),),
    )
    assert spec_from_document(spec_document(spec)) == spec


def test_a_time_constraint_holds_from_its_start_for_its_duration_in_its_zone() -> None:
    office = check_constraint(TimeConstraint("office", "0 9 * * *", 8 * 3600, "Asia/Tokyo"))
    assert is_within([office], datetime(2026, 3, 2, 0, 0, tzinfo=UTC))
    assert is_within([office], datetime(2026, 3, 2, 7, 59, 59, tzinfo=UTC))
    assert not is_within([office], datetime(2026, 3, 2, 8, 0, tzinfo=UTC))
    assert not is_within([office], datetime(2026, 3, 1, 23, 59, 59, tzinfo=UTC))
    assert is_within([], NOW)


@pytest.mark.parametrize(
    "constraint",
    [
        TimeConstraint("a", "never", 60),
        TimeConstraint("a", "* * * * * *", 60),
        TimeConstraint("a", "R R * * *", 60),
        TimeConstraint("a", "0 r(9-17) * * *", 60),
        TimeConstraint("a", "0 9 * * *", 0),
        TimeConstraint("a", "0 9 * * *", 60, "Mars/Olympus"),
        TimeConstraint("a", "0 9 * * *", 60, "../../etc/passwd"),
    ],
)
def test_a_time_constraint_that_cannot_be_is_refused(constraint: TimeConstraint) -> None:
    with pytest.raises(Invalid):
        check_constraint(constraint)


def test_a_cron_line_that_never_fires_is_refused_and_holds_at_no_instant() -> None:
    never = TimeConstraint("never", "0 0 31 2 *", 3600)
    with pytest.raises(Invalid, match="no year has"):
        check_constraint(never)
    assert not is_within([never], NOW)
    leap_day = TimeConstraint("leap day", "0 0 29 2 *", 86_400)
    assert is_within([check_constraint(leap_day)], datetime(2024, 2, 29, 23, tzinfo=UTC))
