"""InfluxDB's way to write: Telegraf and others send lines, and resources and metrics are made of their tags and fields."""

import re
import zlib
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from urllib.parse import parse_qs

import numpy as np
import orjson
from fastapi import Query, Request, Response
from fastapi.responses import JSONResponse

from api.authentication import RequestCaller, WriterCaller
from api.body import new_router
from api.context import context_of
from api.gnocchi.line_protocol import (
    FAULTS_MAX,
    LINES_MAX,
    NAME_LENGTH_MAX,
    NANOSECONDS,
    LineFault,
    Point,
    metric_name,
    parse_lines,
)
from api.gnocchi.measures import RawBody
from api.transaction import RequestTransaction
from foundation.errors import Invalid
from identity.policy import require_admin
from metering.attributes import checked_type
from metering.errors import ResourceTypeNotFound
from metering.samples import fault_of_time, fault_of_value, instant_of, microseconds_of
from metering.service import policies
from metering.service.measures import Measures
from metering.service.pushes import PushedResource, push_measures

router = new_router("/v1/influxdb")
INFLATED_BYTES_MAX = 32 * 1024 * 1024
RESOURCE_TAG_HEADER = "x-gnocchi-influxdb-tag-resource-id"
CREATE_DATABASE = re.compile(
    r"""\s*create\s+database\s+(?:"([^"]+)"|([^\s";]+))(?:\s+with\s.*)?\s*;?\s*""", re.IGNORECASE
)
TYPE_NAME = re.compile(r"[^\s/]{1,255}")


@router.head("/ping")
@router.get("/ping")
async def ping() -> Response:
    """Say that lines are taken."""
    return Response(status_code=204, headers={"X-Influxdb-Version": "1.8.0"})


@router.get("/query")
@router.post("/query")
def query(
    tx: RequestTransaction, caller: RequestCaller, raw: RawBody, q: Annotated[str | None, Query()] = None
) -> Response:
    """Answer CREATE DATABASE by making a resource type of that name; no other query is understood."""
    found = CREATE_DATABASE.fullmatch(q if q is not None else told_query(raw))
    if found is None:
        reason = {"cause": "Not implemented error", "detail": "q", "reason": "Query not implemented"}
        return JSONResponse({"code": 501, "title": "Not Implemented", "description": reason}, 501)
    name = found[1] or found[2]
    if not TYPE_NAME.fullmatch(name):
        raise Invalid("a database's name has 1 to 255 characters, without spaces or slashes", field="q")
    if not policies.has_resource_type(tx, name):
        require_admin(caller)
        policies.create_resource_type(tx, checked_type(name, {}))
    return Response(status_code=204)


def told_query(raw: bytes) -> str:
    """Return the query of a form, as Telegraf sends it."""
    try:
        return parse_qs(raw.decode(), max_num_fields=100).get("q", [""])[0]
    except ValueError as error:
        raise Invalid("the body is not a form with a query named q", field="q") from error


@router.post("/write")
def write(
    request: Request,
    tx: RequestTransaction,
    caller: WriterCaller,
    raw: RawBody,
    *,
    db: Annotated[str, Query(min_length=1, max_length=NAME_LENGTH_MAX)],
    precision: Annotated[str, Query()] = "ns",
) -> Response:
    """Write lines; a line that cannot be kept is answered with its number and the reason, and the others are kept all the same.

    Only where a resource of another type has a name that they tell, nothing is kept, as in Gnocchi.
    """
    now = context_of(request).clock()
    if precision not in NANOSECONDS:
        raise Invalid(f"precision is one of {', '.join(NANOSECONDS)}", field="precision")
    text = decoded(raw, request.headers.get("content-encoding", ""))
    if text.count("\n") > LINES_MAX:
        raise Invalid(f"at most {LINES_MAX} lines at once")
    tag = request.headers.get(RESOURCE_TAG_HEADER, "host")
    points, faults = parse_lines(text, precision=precision)
    good: list[Point] = []
    for number, point in points:
        reason = fault_of_point(point, tag=tag, now=now)
        if reason is None:
            good.append(point)
        else:
            faults.append(LineFault(number, reason))
    if good:
        push_measures(tx, caller, pushed_by(good, tag=tag, now=now), resource_type=db, received_at=now)
    elif not policies.has_resource_type(tx, db):
        raise ResourceTypeNotFound(db)
    return answer_faults(sorted(faults, key=lambda fault: fault.line), kept=len(good))


def decoded(raw: bytes, encoding: str) -> str:
    """Return the body as text, unpacked under a limit."""
    coding = encoding.strip().lower()
    if coding in ("gzip", "x-gzip"):
        unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
        try:
            raw = unpacker.decompress(raw, INFLATED_BYTES_MAX)
        except zlib.error as error:
            raise Invalid("the body is not gzip", field="Content-Encoding") from error
        if unpacker.unconsumed_tail or not unpacker.eof:
            raise Invalid(f"the body is cut short, or is more than {INFLATED_BYTES_MAX} bytes when unpacked")
    elif coding not in ("", "identity"):
        raise Invalid("the body is sent as it is or as gzip", field="Content-Encoding")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise Invalid("the body is not UTF-8") from error
    if "\0" in text:
        raise Invalid("the body holds a NUL character")
    return text


def fault_of_point(point: Point, *, tag: str, now: datetime) -> str | None:
    """Say why a point cannot be kept, or None."""
    name = point.tags.get(tag)
    if name is None:
        return f"it has no tag {tag[:60]}, by which its resource is named; {RESOURCE_TAG_HEADER} names another tag"
    if len(name) > NAME_LENGTH_MAX:
        return f"the tag {tag[:60]}, which names the resource, has at most {NAME_LENGTH_MAX} characters"
    if point.at_ns is not None:
        wrong = fault_of_time(instant_of(point.at_ns // 1000), received_at=now)
        if wrong:
            return wrong
    return next(filter(None, (fault_of_value(value) for value in point.fields.values())), None)


def pushed_by(points: Sequence[Point], *, tag: str, now: datetime) -> list[PushedResource]:
    """Arrange points by resource and metric; a point without a time is of now."""
    series: dict[str, dict[str, tuple[list[int], list[float]]]] = {}
    for point in points:
        tags = dict(point.tags)
        own = series.setdefault(tags.pop(tag).replace("/", "_"), {})
        at_us = microseconds_of(now) if point.at_ns is None else point.at_ns // 1000
        for field, value in point.fields.items():
            times, values = own.setdefault(metric_name(f"{point.measurement}.{field}", tags), ([], []))
            times.append(at_us)
            values.append(value)
    return [
        PushedResource(
            name,
            {
                metric: Measures(np.array(times, dtype=np.int64), np.array(values, dtype=np.float64))
                for metric, (times, values) in own.items()
            },
            {},
        )
        for name, own in series.items()
    ]


def answer_faults(faults: Sequence[LineFault], *, kept: int) -> Response:
    """Answer 204, or 400 with the lines that were not kept, in Gnocchi's form and in InfluxDB's."""
    if not faults:
        return Response(status_code=204)
    first = f"{len(faults)} lines not kept, {kept} kept; line {faults[0].line}: {faults[0].reason}"
    named = [{"line": fault.line, "reason": fault.reason} for fault in faults[:FAULTS_MAX]]
    description = {"cause": "Invalid lines", "reason": first, "detail": named}
    body = {"code": 400, "title": "Bad Request", "description": description, "error": f"partial write: {first}"}
    return Response(orjson.dumps(body), 400, media_type="application/json")
