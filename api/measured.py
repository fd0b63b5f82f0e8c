"""What the API counts of its requests: by dialect, template of the route, method and status, so that the number of series is bounded."""

from collections.abc import Mapping
from typing import Any

from foundation.instruments import counter, histogram

UNMATCHED = "unmatched"
"""The route of requests that no route serves; their paths are anybody's invention."""

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

REQUESTS = counter("nephoscope_http_requests_total", "Requests answered.", "dialect", "route", "method", "status")
DURATION = histogram(
    "nephoscope_http_request_duration_seconds",
    "From a request's first byte to its answer's last one.",
    "dialect",
    "route",
)
RECEIVED = counter("nephoscope_http_received_bytes_total", "Bytes of request bodies.", "dialect")


def count_request(scope: Mapping[str, Any], *, status: int, duration_s: float, received_bytes: int) -> None:
    """Count a request that has ended; status 0 is a client that went before it had an answer."""
    mount = str(scope.get("root_path", ""))
    dialect = mount.strip("/") or "front"
    route = str(getattr(scope.get("route"), "path", UNMATCHED))
    route = UNMATCHED if route == mount else route  # no route of the dialect, only its mount
    method = scope["method"] if scope["method"] in METHODS else "other"
    REQUESTS.add(1, dialect, route, method, str(status))
    DURATION.observe(duration_s, dialect, route)
    if received_bytes:
        RECEIVED.add(received_bytes, dialect)
