"""Prometheus' remote write: a resource for each pair of job and instance, with a metric for each of its series."""

from collections.abc import Iterable, Sequence

import numpy as np
import structlog
from fastapi import Request, Response
from starlette.exceptions import HTTPException

from api.authentication import WriterCaller
from api.body import check_text, new_router
from api.context import context_of
from api.gnocchi.line_protocol import NAME_LENGTH_MAX, metric_name
from api.gnocchi.measures import RawBody
from api.gnocchi.remote_write import WrittenSeries, read_write_request
from api.transaction import RequestTransaction
from foundation.errors import Invalid
from metering.attributes import checked_type
from metering.measured import count_measures
from metering.model import VALUE_MAX
from metering.samples import LAST_INSTANT_US
from metering.service import policies
from metering.service.measures import Measures
from metering.service.pushes import PushedResource, push_measures

log = structlog.get_logger("metering")

router = new_router("/v1/prometheus")
RESOURCE_TYPE = "prometheus"
NAME_LABEL, JOB_LABEL, INSTANCE_LABEL = "__name__", "job", "instance"
NO_LABEL = "none"
MESSAGE_NAMES = ("proto=prometheus.WriteRequest", 'proto="prometheus.WriteRequest')


@router.post("/write")
def write(request: Request, tx: RequestTransaction, caller: WriterCaller, raw: RawBody) -> Response:
    """Take a message of remote write 1.0, all of it or nothing; it may come again."""
    check_content(request)
    now = context_of(request).clock()
    series = list(read_write_request(raw))
    tell_left_out(series)
    pushed = pushed_by(series)
    if pushed:
        if not policies.has_resource_type(tx, RESOURCE_TYPE):
            attributes = {label: {"type": "string", "required": True} for label in (JOB_LABEL, INSTANCE_LABEL)}
            policies.ensure_resource_type(tx, checked_type(RESOURCE_TYPE, attributes))
        push_measures(tx, caller, pushed, resource_type=RESOURCE_TYPE, received_at=now)
    return Response(status_code=202)


def tell_left_out(series: Sequence[WrittenSeries]) -> None:
    """Count and log once what cannot be kept; after a 400 the sender would drop the good values of the message as well."""
    lacking = [one for one in series if one.left_out]
    if lacking:
        left_out = sum(one.left_out for one in lacking)
        count_measures(rejected=left_out)
        log.warning(
            "remote_write.left_out",
            values=left_out,
            series=len(lacking),
            first=lacking[0].labels.get(NAME_LABEL, ""),
            reason=f"a value is beyond {VALUE_MAX:g}",
        )


def check_content(request: Request) -> None:
    """Raise 415 for anything but remote write 1.0 packed with snappy, so that a sender falls back to it."""
    kind, *parameters = request.headers.get("content-type", "application/x-protobuf").replace(" ", "").split(";")
    is_other = any(part.startswith("proto=") and part.strip('"') not in MESSAGE_NAMES for part in parameters)
    if kind.lower() != "application/x-protobuf" or is_other:
        raise HTTPException(415, "this takes application/x-protobuf with the message prometheus.WriteRequest (1.0)")
    if request.headers.get("content-encoding", "snappy").strip().lower() != "snappy":
        raise HTTPException(415, "this takes bodies packed with snappy")


def pushed_by(series: Iterable[WrittenSeries]) -> list[PushedResource]:
    """Arrange series by job and instance; the labels beyond these and the name tell apart series of one name."""
    found: dict[tuple[str, str], dict[str, list[WrittenSeries]]] = {}
    for one in series:
        labels = dict(one.labels)
        for text in (*labels, *labels.values()):
            check_text(text)
        name = labels.pop(NAME_LABEL, "")
        if not name:
            raise Invalid(f"a series needs the label {NAME_LABEL}")
        pair = labels.pop(JOB_LABEL, NO_LABEL) or NO_LABEL, labels.pop(INSTANCE_LABEL, NO_LABEL) or NO_LABEL
        if any(len(part) > NAME_LENGTH_MAX for part in pair) or len("@".join(pair)) > NAME_LENGTH_MAX:
            raise Invalid(f"job and instance have at most {NAME_LENGTH_MAX} characters together")
        if one.values:
            found.setdefault(pair, {}).setdefault(metric_name(name, labels), []).append(one)
    return [
        PushedResource(
            f"{job}@{instance}".replace("/", "_"),
            {name: to_measures(own) for name, own in by_name.items()},
            {JOB_LABEL: job, INSTANCE_LABEL: instance},
        )
        for (job, instance), by_name in found.items()
    ]


def to_measures(series: list[WrittenSeries]) -> Measures:
    """Put the samples of one metric into columns."""
    times = [at for one in series for at in one.times_us]
    if not all(0 <= at <= LAST_INSTANT_US for at in times):
        raise Invalid("a sample's time is before 1970 or after 9999", field="timestamp")
    values = [value for one in series for value in one.values]
    return Measures(np.array(times, dtype=np.int64), np.array(values, dtype=np.float64))
