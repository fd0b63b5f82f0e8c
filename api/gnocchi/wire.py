"""Gnocchi's forms of times, measures, policies, metrics and resources, read from and written to JSON."""

import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from foundation.errors import Invalid
from metering.aggregates import Series
from metering.archive_policies import ArchivePolicy, Definition, complete_definition
from metering.model import Metric, Resource, ResourceType
from metering.periods import Width, calendar_period
from metering.samples import OLDEST, UNIT_LENGTH_MAX
from metering.service.measures import Measures
from metering.service.metrics import MetricRequest
from metering.visibility import creator_named

TEXT_LENGTH_MAX = 255
WHOLE_NUMBER_END = 2**63
"""From here on whole numbers are told as floats: not every reader of JSON has longer ones."""
UNIT_SECONDS: Mapping[str, float] = {
    "us": 1e-6, "microsecond": 1e-6, "ms": 1e-3, "millisecond": 1e-3, "s": 1, "sec": 1, "second": 1,
    "m": 60, "min": 60, "minute": 60, "h": 3600, "hr": 3600, "hour": 3600, "d": 86400, "day": 86400,
    "w": 604800, "week": 604800,
}  # fmt: skip
PART = re.compile(r"\s*([+-]?\d+(?:\.\d+)?)\s*([a-zA-Z]+)\s*,?")
CLOCK = re.compile(r"\s*(\d{1,9}):(\d{1,2})(?::(\d{1,2}(?:\.\d{1,6})?))?\s*$")


def from_wire_timespan(value: object, *, field: str) -> timedelta:
    """Read seconds, `0:05:00`, `30 days, 0:00:00` or `5 minutes`."""
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return seconds_span(float(value), field)
    if isinstance(value, str) and len(value) <= TEXT_LENGTH_MAX:
        try:
            return seconds_span(float(value), field)
        except ValueError:
            pass
        total, rest = 0.0, value
        while part := PART.match(rest):
            unit = part[2].lower()
            seconds = UNIT_SECONDS.get(unit) or UNIT_SECONDS.get(unit.removesuffix("s"))
            if seconds is None:
                break
            total, rest = total + float(part[1]) * seconds, rest[part.end() :]
        clock = CLOCK.match(rest)
        if clock:
            total += int(clock[1]) * 3600 + int(clock[2]) * 60 + float(clock[3] or 0)
            rest = ""
        if not rest.strip() and value.strip():
            return seconds_span(total, field)
    raise Invalid(f"Invalid input: cannot parse `{value!s:.60}' as a time span for {field}", field=field)


def seconds_span(seconds: float, field: str) -> timedelta:
    """Return seconds as a time span within reason."""
    if not math.isfinite(seconds) or abs(seconds) > 1e11:
        raise Invalid(f"Invalid input: the time span for {field} is too long", field=field)
    return timedelta(seconds=seconds)


def from_wire_granularity(text: str | None, field: str) -> int | None:
    """Read a bucket's width as microseconds."""
    if not text:
        return None
    span = round(from_wire_timespan(text, field=field).total_seconds() * 1_000_000)
    if span <= 0:
        raise Invalid(f"Invalid input: {field} must be above 0", field=field)
    return span


def from_wire_resample(text: str | None) -> Width | None:
    """Read what a series is laid into again: a width, or the letter of a period of the calendar."""
    return (calendar_period(text) if text else None) or from_wire_granularity(text, "resample")


def from_wire_timestamp(value: object, *, now: datetime, field: str = "timestamp") -> datetime:
    """Read ISO 8601 (UTC where it names no zone, as in Gnocchi), seconds since 1970, or a span from now such as `-1 hour`."""
    if isinstance(value, str) and len(value) <= TEXT_LENGTH_MAX:
        text = value.strip()
        if text == "now":
            return now
        try:
            return aware(datetime.fromisoformat(text))
        except (ValueError, OverflowError):
            pass
        try:
            value = float(text)
        except ValueError:
            try:
                return now + from_wire_timespan(text, field=field)
            except OverflowError:
                raise Invalid(f"Invalid input: {field} is out of range", field=field) from None
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        try:
            return OLDEST + timedelta(seconds=value)
        except OverflowError:
            pass
    raise Invalid(f"Invalid input: cannot parse `{value!s:.60}' as a time for {field}", field=field)


def aware(instant: datetime) -> datetime:
    """Return an instant in UTC; one without a zone is UTC."""
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)


def from_wire_measures(value: object, *, now: datetime) -> Measures:
    """Read [{timestamp, value}, ...]."""
    if not isinstance(value, list):
        raise Invalid("Invalid input: expected a list of {timestamp, value}")
    return from_wire_columns(cast("list[Any]", value), now=now)


def from_wire_columns(measures: Sequence[Any], *, now: datetime) -> Measures:
    """Read many {timestamp, value} at once, in loops that run in C where all times are ISO 8601."""
    try:
        times: list[Any] = [measure["timestamp"] for measure in measures]
        values: list[Any] = [measure["value"] for measure in measures]
    except (KeyError, TypeError, IndexError):
        raise Invalid("Invalid input: a measure has a timestamp and a value") from None
    if not {type(value) for value in values} <= {int, float}:
        wrong = next(value for value in values if type(value) not in (int, float))
        raise Invalid(f"Invalid input: the value `{wrong!s:.60}' is not a number", field="value")
    try:
        return Measures(from_wire_timestamps(times, now=now), np.array(values, dtype=np.float64))
    except OverflowError:
        raise Invalid("Invalid input: a value is too large", field="value") from None


def from_wire_timestamps(given: Sequence[Any], *, now: datetime) -> NDArray[np.int64]:
    """Read times as microseconds since 1970.

    Whole seconds and microseconds are taken apart, since a float of seconds is exact to the microsecond only until 2041.
    """
    try:
        instants = [*map(datetime.fromisoformat, given)]
    except (ValueError, TypeError):
        instants = [from_wire_timestamp(one, now=now) for one in given]
    seconds = [one.timestamp() if one.tzinfo else one.replace(tzinfo=UTC).timestamp() for one in instants]
    microseconds = np.array([one.microsecond for one in instants], dtype=np.int64)
    return np.rint(np.array(seconds) - microseconds / 1e6).astype(np.int64) * 1_000_000 + microseconds


def to_wire_points(width: Width, series: Series) -> list[list[Any]]:
    """Write measures as [timestamp, granularity in seconds or a period's letter, value]; a value that is not finite is null."""
    granularity = width / 1e6 if isinstance(width, int) else width
    times = np.datetime_as_string(series.times_us.astype("datetime64[us]"), unit="us").tolist()
    values = np.where(np.isfinite(series.values), series.values, np.nan).tolist()
    return [
        [f"{time.removesuffix('.000000')}+00:00", granularity, None if value != value else value]
        for time, value in zip(times, values, strict=True)
    ]


def from_wire_object(value: object, *, allowed: frozenset[str], required: Sequence[str] = ()) -> dict[str, Any]:
    """Check that a body is an object with just these fields."""
    if not isinstance(value, dict):
        raise Invalid("Invalid input: expected an object")
    fields = cast("dict[str, Any]", value)
    for name in fields:
        if name not in allowed:
            raise Invalid(f"Invalid input: extra keys not allowed @ data['{name[:60]}']", field=name[:60])
    for name in required:
        if name not in fields:
            raise Invalid(f"Invalid input: required key not provided @ data['{name}']", field=name)
    return fields


def from_wire_text(fields: Mapping[str, Any], name: str, *, length_max: int = TEXT_LENGTH_MAX) -> str | None:
    """Read an optional text."""
    value = fields.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not 1 <= len(value) <= length_max:
        raise Invalid(f"Invalid input: expected text of 1 to {length_max} characters @ data['{name}']", field=name)
    return value


def from_wire_definitions(value: object) -> list[Definition]:
    """Read an archive policy's definition: objects with two or three of granularity, points and timespan."""
    if not isinstance(value, list):
        raise Invalid("Invalid input: expected a list @ data['definition']", field="definition")
    definitions: list[Definition] = []
    for item in cast("list[Any]", value):
        fields = from_wire_object(item, allowed=frozenset({"granularity", "points", "timespan"}))
        points = fields.get("points")
        if isinstance(points, str) and re.fullmatch(r"[0-9]{1,13}", points):
            points = int(points)
        if points is not None and (not isinstance(points, int) or isinstance(points, bool)):
            raise Invalid("Invalid input: expected int for points @ data['definition']", field="definition")
        spans = {
            name: from_wire_timespan(fields[name], field=name) if fields.get(name) is not None else None
            for name in ("granularity", "timespan")
        }
        try:
            whole = complete_definition(granularity=spans["granularity"], points=points, timespan=spans["timespan"])
        except Invalid as error:
            raise Invalid(f"Invalid input: {error.message} @ data['definition']", field=error.field) from error
        definitions.append(whole)
    return definitions


def to_wire_policy(policy: ArchivePolicy) -> dict[str, Any]:
    """Write an archive policy."""
    return {
        "name": policy.name,
        "back_window": policy.back_window,
        "aggregation_methods": policy.aggregation_methods,
        "definition": [
            to_wire_definition(Definition(granularity_us, points))
            for granularity_us, points in zip(policy.granularities_us, policy.points, strict=True)
        ],
    }


def to_wire_definition(definition: Definition) -> dict[str, Any]:
    """Write how many buckets of one width are kept; for ever has no number of points."""
    granularity = str(timedelta(microseconds=definition.granularity_us))
    if definition.is_for_ever:
        return {"granularity": granularity, "points": None, "timespan": None}
    return {"granularity": granularity, "points": definition.points, "timespan": str(definition.timespan)}


def from_wire_metric(value: object) -> MetricRequest:
    """Read what a caller says of a metric; `type` (gauge, delta, cumulative) is ours: it makes `rate:` know resets."""
    fields = from_wire_object(value, allowed=frozenset({"name", "unit", "archive_policy_name", "resource_id", "type"}))
    name = from_wire_text(fields, "name")
    if name is not None and "/" in name:
        raise Invalid("'/' is not supported in metric name", field="name")
    kind = fields.get("type", "gauge")
    if kind not in ("gauge", "delta", "cumulative"):
        raise Invalid("Invalid input: type is gauge, delta or cumulative", field="type")
    return MetricRequest(
        name=name,
        unit=from_wire_text(fields, "unit", length_max=UNIT_LENGTH_MAX),
        archive_policy_name=from_wire_text(fields, "archive_policy_name"),
        meter_type=kind,
    )


def from_wire_uuid(value: object, *, field: str) -> UUID:
    """Read a UUID."""
    if isinstance(value, str):
        try:
            return UUID(value)
        except ValueError:
            pass
    raise Invalid(f"Invalid input: expected a UUID for {field}", field=field)


def to_wire_metric(metric: Metric, policy: ArchivePolicy) -> dict[str, Any]:
    """Write a metric."""
    creator = creator_named(metric.created_by_user_id, project_id=metric.created_by_project_id)
    user, _, project = creator.partition(":")
    return {
        "id": str(metric.id),
        "name": metric.name,
        "unit": metric.unit,
        "creator": creator,
        "created_by_user_id": user,
        "created_by_project_id": project,
        "resource_id": str(metric.resource_id) if metric.resource_id else None,
        "archive_policy": to_wire_policy(policy),
    }


def to_wire_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Write values by name: what was told as 1e300 is kept as a whole number of 301 digits, and is told as it was."""
    return {
        name: float(value) if isinstance(value, int) and abs(value) >= WHOLE_NUMBER_END else value
        for name, value in values.items()
    }


def to_wire_resource(resource: Resource, resource_type: ResourceType | None) -> dict[str, Any]:
    """Write a resource; attributes that its type has and it has not are null."""
    user, _, project = resource.creator.partition(":")
    attributes = dict.fromkeys(resource_type.attributes) if resource_type is not None else {}
    return {
        **attributes,
        **to_wire_values(resource.attributes),
        "id": str(resource.id),
        "original_resource_id": resource.original_resource_id,
        "type": resource.resource_type,
        "project_id": resource.project_id or None,
        "user_id": resource.user_id or None,
        "creator": resource.creator,
        "created_by_user_id": user,
        "created_by_project_id": project,
        "started_at": resource.started_at.isoformat(),
        "ended_at": resource.ended_at.isoformat() if resource.ended_at else None,
        "revision_start": resource.revision_start.isoformat(),
        "revision_end": resource.revision_end.isoformat() if resource.revision_end else None,
        "metrics": resource.metrics,
    }
