"""Lets a paused domain go on, and sees whether it does."""

import time
from collections.abc import Mapping

from compute.hypervisor.contract import LaunchFailure, PowerState, StopReason
from compute.hypervisor.libvirt_connection import Domain
from compute.hypervisor.libvirt_stats import is_stalled, read_power_state

STALL_WAIT_S = 0.3


def let_go_on(domain: Domain) -> None:
    """Resume a paused domain; one that was stalled repeats what it could not write.

    Raises LaunchFailure when it stalls again at once. To be used inside the connection's `calls()`.
    """
    before = state_record(domain)
    if read_power_state(before) is not PowerState.PAUSED:
        return
    domain.resume()
    if is_stalled(before):
        time.sleep(STALL_WAIT_S)
        if is_stalled(state_record(domain)):
            raise LaunchFailure(f"The guest cannot go on: {StopReason.DISK_FULL.value}.")


def state_record(domain: Domain) -> Mapping[str, int]:
    """Ask a domain for its state and why, in the form of a statistics record."""
    state, reason = domain.state()
    return {"state.state": int(state), "state.reason": int(reason)}
