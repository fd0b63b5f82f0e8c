"""Prometheus' remote write 1.0 messages, read from protobuf packed with snappy, each under its limit. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import cramjam
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from foundation.errors import Invalid
from metering.model import VALUE_MAX

INFLATED_BYTES_MAX = 16 * 1024 * 1024
SERIES_MAX = 50_000
SAMPLES_MAX = 200_000
LABELS_MAX = 100

FIELD = descriptor_pb2.FieldDescriptorProto
SHAPES: Mapping[str, tuple[tuple[str, int, int, str], ...]] = {
    "Label": (("name", 1, FIELD.TYPE_STRING, ""), ("value", 2, FIELD.TYPE_STRING, "")),
    "Sample": (("value", 1, FIELD.TYPE_DOUBLE, ""), ("timestamp", 2, FIELD.TYPE_INT64, "")),
    "TimeSeries": (("labels", 1, FIELD.TYPE_MESSAGE, "Label"), ("samples", 2, FIELD.TYPE_MESSAGE, "Sample")),
    "WriteRequest": (("timeseries", 1, FIELD.TYPE_MESSAGE, "TimeSeries"),),
}
"""The messages: each field's name, number, type and, of a repeated message, which. Fields that are not here are passed over."""


@dataclass(frozen=True, slots=True)
class WrittenSeries:
    """One series as it was sent: labels, and the values that can be kept, by time in microseconds since 1970.

    `left_out` counts those that are too large to be kept, but not the marker of a series that ended, which is no number.
    """

    labels: Mapping[str, str]
    times_us: tuple[int, ...]
    values: tuple[float, ...]
    left_out: int = 0


def make_message_class() -> type[Any]:
    """Build the class of WriteRequest from its description."""
    file = descriptor_pb2.FileDescriptorProto(name="remote_write.proto", package="prometheus", syntax="proto3")
    for name, fields in SHAPES.items():
        message = file.message_type.add(name=name)
        for field, number, kind, of in fields:
            label = FIELD.LABEL_REPEATED if of else FIELD.LABEL_OPTIONAL
            made = message.field.add(name=field, number=number, label=label)
            made.type = kind  # pyright: ignore[reportAttributeAccessIssue]
            if of:
                made.type_name = f".prometheus.{of}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("prometheus.WriteRequest"))


WRITE_REQUEST = make_message_class()


def unpacked(raw: bytes) -> bytes:
    """Unpack snappy's block form; what it says of its own length is held against the limit before it is believed."""
    try:
        length = cramjam.snappy.decompress_raw_len(raw)
        if length > INFLATED_BYTES_MAX:
            raise Invalid(f"the body is more than {INFLATED_BYTES_MAX} bytes when unpacked; send fewer samples at once")
        return bytes(cramjam.snappy.decompress_raw(raw, output_len=length))
    except cramjam.DecompressionError as error:
        raise Invalid("the body is not packed with snappy", field="Content-Encoding") from error


def read_write_request(raw: bytes) -> Iterator[WrittenSeries]:
    """Read a packed message; values that are not numbers, such as the marker of a series that ended, are left out."""
    message = WRITE_REQUEST()
    try:
        message.ParseFromString(unpacked(raw))
    except DecodeError as error:
        raise Invalid("the body is not a protobuf message prometheus.WriteRequest") from error
    if len(message.timeseries) > SERIES_MAX:
        raise Invalid(f"at most {SERIES_MAX} series at once; send fewer")
    if sum(len(one.samples) for one in message.timeseries) > SAMPLES_MAX:
        raise Invalid(f"at most {SAMPLES_MAX} samples at once; send fewer")
    for one in message.timeseries:
        if len(one.labels) > LABELS_MAX:
            raise Invalid(f"a series has at most {LABELS_MAX} labels")
        labels = {label.name: label.value for label in one.labels}
        samples = [(sample.timestamp * 1000, sample.value) for sample in one.samples]
        kept = [(at, value) for at, value in samples if abs(value) <= VALUE_MAX]
        left_out = sum(abs(value) > VALUE_MAX for _, value in samples)
        yield WrittenSeries(labels, tuple(at for at, _ in kept), tuple(value for _, value in kept), left_out)
