"""InfluxDB lines and Prometheus' remote write, as curl and an encoder of the test's own send them."""

import gzip
import math
import struct
import subprocess
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import cramjam
import pytest
import requests

from api.gnocchi.remote_write import INFLATED_BYTES_MAX
from metering.model import owned_resource_id
from tests.contract.conftest import LiveApi

AT_S = int(datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp())
STALE = struct.unpack("<d", bytes.fromhex("0200000000f0f07f")[:8])[0]
Series = tuple[dict[str, str], Sequence[tuple[float, int]]]


def token_of(live_api: LiveApi, name: str) -> str:
    """Sign in as admin or demo, in the project of the same name."""
    password = live_api.admin_password if name == "admin" else live_api.demo_password
    user = {"name": name, "domain": {"id": "default"}, "password": password}
    scope = {"project": {"name": name, "domain": {"id": "default"}}}
    body = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}}
    answer = requests.post(f"{live_api.url}/identity/v3/auth/tokens", json=body, timeout=120)
    return answer.headers["x-subject-token"]


class Sender:
    """A signed-in source."""

    def __init__(self, live_api: LiveApi, name: str) -> None:
        self.url = f"{live_api.url}/metric"
        self.http = requests.Session()
        self.http.headers["X-Auth-Token"] = token_of(live_api, name)

    def call(self, method: str, path: str, **more: Any) -> requests.Response:
        return self.http.request(method, f"{self.url}{path}", timeout=120, **more)

    def write(self, db: str, lines: str, *, query: str = "", **headers: str) -> requests.Response:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.call("POST", f"/v1/influxdb/write?db={db}{query}", data=lines.encode(), headers=sent)

    def remote_write(self, series: Sequence[Series], **headers: str) -> requests.Response:
        usual = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"}
        sent = usual | {name.replace("_", "-"): value for name, value in headers.items()}
        return self.call("POST", "/v1/prometheus/write", data=literal_snappy(write_request(series)), headers=sent)

    def measures(self, kind: str, resource: str, metric: str) -> list[list[Any]]:
        answer = self.call("GET", f"/v1/resource/{kind}/{resource}/metric/{metric}/measures?aggregation=mean")
        assert answer.status_code == 200, answer.text
        finest = min(point[1] for point in answer.json())
        return [point for point in answer.json() if point[1] == finest]


@pytest.fixture(scope="module")
def admin(live_api: LiveApi) -> Iterator[Sender]:
    sender = Sender(live_api, "admin")
    with sender.http:
        yield sender


@pytest.fixture(scope="module")
def demo(live_api: LiveApi) -> Iterator[Sender]:
    sender = Sender(live_api, "demo")
    with sender.http:
        yield sender


@pytest.fixture(scope="module")
def db(admin: Sender) -> str:
    name = f"telegraf_{uuid4().hex[:8]}"
    made = admin.call("POST", "/v1/influxdb/query", data={"q": f'CREATE DATABASE "{name}"'})
    assert made.status_code == 204, made.text
    return name


def varint(number: int) -> bytes:
    """Write protobuf's variable-length integer; a negative one takes ten bytes."""
    number &= 2**64 - 1
    groups = bytearray()
    while number > 127:
        groups.append(number & 127 | 128)
        number >>= 7
    return bytes([*groups, number])


def chunk(field: int, content: bytes) -> bytes:
    """Write a field that has a length."""
    return varint(field << 3 | 2) + varint(len(content)) + content


def write_request(series: Sequence[Series]) -> bytes:
    """Write a WriteRequest by hand, with metadata and an exemplar, which are to be passed over."""
    message = b""
    for labels, samples in series:
        inner = b"".join(
            chunk(1, chunk(1, name.encode()) + chunk(2, value.encode())) for name, value in sorted(labels.items())
        )
        for value, at_ms in samples:
            inner += chunk(2, b"\x09" + struct.pack("<d", value) + b"\x10" + varint(at_ms))
        message += chunk(1, inner + chunk(3, b"\x09" + struct.pack("<d", 1.0)))
    return message + chunk(3, b"\x08\x01" + chunk(2, b"go_goroutines") + chunk(4, b"Goroutines."))


def literal_snappy(raw: bytes) -> bytes:
    """Pack with snappy's block form, as literals only."""
    packed = varint(len(raw))
    for start in range(0, len(raw), 60):
        part = raw[start : start + 60]
        packed += bytes([(len(part) - 1) << 2]) + part
    return packed


def test_the_server_says_that_it_is_there(admin: Sender) -> None:
    assert requests.get(f"{admin.url}/v1/influxdb/ping", timeout=120).status_code == 204
    assert requests.head(f"{admin.url}/v1/influxdb/ping", timeout=120).status_code == 204


def test_a_database_is_a_resource_type_that_an_admin_makes(admin: Sender, demo: Sender) -> None:
    name = f"db_{uuid4().hex[:8]}"
    assert demo.call("POST", f"/v1/influxdb/query?q=create+database+{name}").status_code == 403
    assert admin.call("POST", f"/v1/influxdb/query?q=create+database+{name}").status_code == 204
    assert demo.call("GET", f"/v1/influxdb/query?q=CREATE+DATABASE+{name}%3B").status_code == 204
    kind = admin.call("GET", f"/v1/resource_type/{name}").json()
    assert (kind["name"], kind["attributes"]) == (name, {})
    other = admin.call("POST", "/v1/influxdb/query?q=select+metrics+plz")
    assert (other.status_code, other.json()["description"]["reason"]) == (501, "Query not implemented")


@pytest.mark.parametrize(
    "q", ["", "create database a/b", 'create database "a b"', "create database", "&".join("a=b" for _ in range(200))]
)
def test_a_query_that_is_none_is_refused(admin: Sender, q: str) -> None:
    assert admin.call("POST", "/v1/influxdb/query", params={"q": q}).status_code in (400, 501)
    assert admin.call("POST", "/v1/influxdb/query", data=q.encode()).status_code in (400, 501)


def test_lines_become_resources_and_metrics(admin: Sender, db: str) -> None:
    host = f"web/{uuid4().hex[:8]}"
    line = f'mymetric,host={host},mytag=my\\ value,path=/x field=123,up=true,note="hi" {AT_S}179554816'
    for _ in range(2):
        assert admin.write(db, line).status_code == 204
    name = host.replace("/", "_")
    resource = admin.call("GET", f"/v1/resource/{db}/{name}").json()
    assert (resource["original_resource_id"], resource["type"]) == (name, db)
    assert resource["id"] == str(owned_resource_id(name, creator=resource["creator"]))
    assert sorted(resource["metrics"]) == [
        "mymetric.field@mytag=my value,path=_x",
        "mymetric.up@mytag=my value,path=_x",
    ]
    points = admin.measures(db, name, "mymetric.field@mytag=my value,path=_x")
    assert [value for _, _, value in points] == [123.0]
    found = admin.call("POST", f"/v1/search/resource/{db}", json={"=": {"id": name}}).json()
    assert [one["id"] for one in found] == [resource["id"]]


def test_another_tag_may_name_the_resource(admin: Sender, db: str) -> None:
    name = uuid4().hex
    lines = f"cpu,rack={name},host=a field=43i {AT_S}\ncpu,rack={name},host=b field=44i {AT_S}"
    written = admin.write(db, lines, query="&precision=s", X_Gnocchi_InfluxDB_Tag_Resource_ID="rack")
    assert written.status_code == 204, written.text
    assert [v for _, _, v in admin.measures(db, name, "cpu.field@host=a")] == [43.0]
    assert [v for _, _, v in admin.measures(db, name, "cpu.field@host=b")] == [44.0]


def test_each_bad_line_is_answered_with_its_reason_and_the_good_ones_are_kept(admin: Sender, db: str) -> None:
    host = uuid4().hex
    lines = f"cpu,host={host} v=1 {AT_S}\nnonsense\ncpu v=1\ncpu,host={host} v=1 99999999999\ncpu,host={host} v=1e999 {AT_S}\n"
    answer = admin.write(db, lines, query="&precision=s")
    assert answer.status_code == 400
    assert [one["line"] for one in answer.json()["description"]["detail"]] == [2, 3, 4, 5]
    assert answer.json()["error"].startswith("partial write: 4 lines not kept, 1 kept; line 2: ")
    assert [v for _, _, v in admin.measures(db, host, "cpu.v")] == [1.0]


def test_lines_come_packed_by_curl(live_api: LiveApi, admin: Sender, db: str) -> None:
    host = uuid4().hex
    body = gzip.compress(f"mem,host={host} used=5 {AT_S}".encode())
    command = [
        "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--data-binary", "@-", "-H", "Content-Encoding: gzip",
        "-H", f"X-Auth-Token: {token_of(live_api, 'admin')}", f"{admin.url}/v1/influxdb/write?db={db}&precision=s",
    ]  # fmt: skip
    assert subprocess.run(command, input=body, capture_output=True, check=True).stdout == b"204"
    assert [v for _, _, v in admin.measures(db, host, "mem.used")] == [5.0]


@pytest.mark.parametrize(
    "body",
    [b"no gzip", gzip.compress(b"cpu,host=a v=1")[:-6], gzip.compress(b"\0" * 40_000_000), gzip.compress(b"\xff")],
    ids=["not gzip", "cut short", "a bomb", "not UTF-8"],
)
def test_a_packed_body_that_cannot_be_unpacked_is_refused(admin: Sender, db: str, body: bytes) -> None:
    path = f"/v1/influxdb/write?db={db}"
    assert admin.call("POST", path, data=body, headers={"Content-Encoding": "gzip"}).status_code == 400


def test_what_is_wrong_with_a_write_is_said(admin: Sender, db: str) -> None:
    line = f"cpu,host=a v=1 {AT_S}"
    assert admin.write("no_such_db", line, query="&precision=s").status_code == 404
    assert admin.write("no_such_db", "").status_code == 404
    assert admin.write(db, "").status_code == 204
    assert admin.write(db, line, query="&precision=fortnight").status_code == 400
    assert admin.write(db, line, Content_Encoding="br").status_code == 400
    assert admin.call("POST", "/v1/influxdb/write", data=line).status_code == 400
    assert admin.write(db, "cpu,host=a v=1\0").status_code == 400
    assert requests.post(f"{admin.url}/v1/influxdb/write?db={db}", data=line, timeout=120).status_code == 401


def test_two_projects_may_have_a_host_of_one_name(admin: Sender, demo: Sender, db: str) -> None:
    host = f"web-{uuid4().hex[:8]}"
    assert admin.write(db, f"cpu,host={host} v=1 {AT_S}", query="&precision=s").status_code == 204
    assert demo.write(db, f"cpu,host={host} v=2 {AT_S}", query="&precision=s").status_code == 204
    assert [v for _, _, v in admin.measures(db, host, "cpu.v")] == [1.0]
    assert [v for _, _, v in demo.measures(db, host, "cpu.v")] == [2.0]


def test_remote_write_makes_a_resource_for_each_job_and_instance(demo: Sender) -> None:
    job, instance = f"node/{uuid4().hex[:8]}", "10.0.0.1:9100"
    pair = {"job": job, "instance": instance}
    load = (
        {"__name__": "node_load1", **pair},
        [(0.5, AT_S * 1000), (math.nan, AT_S * 1000 + 1), (STALE, AT_S * 1000 + 2)],
    )
    idle = ({"__name__": "node_cpu_seconds_total", "cpu": "0", "mode": "idle", **pair}, [(7.0, AT_S * 1000)])
    user = (
        {"__name__": "node_cpu_seconds_total", "cpu": "0", "mode": "user", **pair},
        [(9.0, AT_S * 1000), (math.inf, 1)],
    )
    for _ in range(2):
        written = demo.remote_write([load, idle, user, ({"__name__": "gone", **pair}, [(STALE, AT_S * 1000)])])
        assert (written.status_code, written.text) == (202, "")
    name = f"{job}@{instance}".replace("/", "_")
    resource = demo.call("GET", f"/v1/resource/prometheus/{name}").json()
    assert (resource["job"], resource["instance"]) == (job, instance)
    assert sorted(resource["metrics"]) == [
        "node_cpu_seconds_total@cpu=0,mode=idle", "node_cpu_seconds_total@cpu=0,mode=user", "node_load1",
    ]  # fmt: skip
    assert [v for _, _, v in demo.measures("prometheus", name, "node_load1")] == [0.5]
    assert [v for _, _, v in demo.measures("prometheus", name, "node_cpu_seconds_total@cpu=0,mode=user")] == [9.0]


def test_remote_write_of_other_kinds_is_refused(demo: Sender) -> None:
    series: list[Series] = [({"__name__": "up", "job": uuid4().hex}, [(1.0, AT_S * 1000)])]
    newer = "application/x-protobuf;proto=io.prometheus.write.v2.Request"
    assert demo.remote_write(series, Content_Type=newer).status_code == 415
    assert demo.remote_write(series, Content_Type="application/json").status_code == 415
    assert demo.remote_write(series, Content_Encoding="zstd").status_code == 415
    named = "application/x-protobuf; proto=prometheus.WriteRequest"
    assert demo.remote_write(series, Content_Type=named).status_code == 202


@pytest.mark.parametrize(
    "body",
    [
        b"", b"\xff", b"\x05abc", literal_snappy(b"\x0a\xff\xff\xff\xff\x0f"), literal_snappy(b"garbage that is no message"),
        literal_snappy(chunk(1, chunk(1, chunk(1, b"job") + chunk(2, b"\xff")))), varint(2**31) + b"\0",
        literal_snappy(write_request([({"job": "a"}, [(1.0, AT_S * 1000)])])),
        literal_snappy(write_request([({"__name__": "a\0b"}, [(1.0, AT_S * 1000)])])),
        literal_snappy(write_request([({"__name__": "a"}, [(1.0, -1)])])),
        literal_snappy(write_request([({"__name__": "a"}, [(1.0, 2**62)])])),
        literal_snappy(write_request([({"__name__": "a", "job": "j" * 300}, [(1.0, AT_S * 1000)])])),
        bytes(cramjam.snappy.compress_raw(b"\x0a\x00" * 60_000)),
        bytes(cramjam.snappy.compress_raw(chunk(1, b"\x12\x00" * 300_000))),
        bytes(cramjam.snappy.compress_raw(b"\0" * (INFLATED_BYTES_MAX + 1))),
    ],
    ids=range(15),
)  # fmt: skip
def test_a_remote_write_that_cannot_be_read_is_refused(demo: Sender, body: bytes) -> None:
    headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"}
    answer = demo.call("POST", "/v1/prometheus/write", data=body, headers=headers)
    assert answer.status_code == (202 if body == b"" and answer.status_code == 202 else 400), answer.text
