"""What compute does, one file a noun; every use case takes the transaction first and never commits."""

from compute.service.agents import (
    begin_host_stop,
    console_requests,
    desired_instances,
    drop_deleted_instances,
    networks_wanted,
    record_consoles,
    record_failure,
    record_host_seen,
    record_observation,
    register_host,
)

__all__ = [
    "begin_host_stop",
    "console_requests",
    "desired_instances",
    "drop_deleted_instances",
    "networks_wanted",
    "record_consoles",
    "record_failure",
    "record_host_seen",
    "record_observation",
    "register_host",
]
