"""Reads off an instance how it is as a member of a group (pure)."""

from datetime import datetime, timedelta

from compute.lifecycle import HOST_SILENCE_S_MAX
from compute.model import Instance
from scaling.model import Condition


def condition_of(instance: Instance, now: datetime) -> Condition:
    """Say how a member is: in error or ended without our asking it is lost; on a silent or resting host it is unknown, never lost.

    A member that its owner stopped is kept and counts: it was asked for.
    """
    if instance.desired == "deleted":
        return Condition.LEAVING
    if instance.is_interrupted or now - instance.host_seen_at > timedelta(seconds=HOST_SILENCE_S_MAX):
        return Condition.UNKNOWN
    match instance.vm_state:
        case "building":
            return Condition.STARTING
        case "active":
            return Condition.RUNNING if instance.desired == "active" else Condition.STOPPED
        case "stopped":
            if instance.desired == "active":
                return Condition.STARTING
            return Condition.STOPPED if instance.fault_message is None else Condition.LOST
        case "error":
            return Condition.LOST
        case "deleted":
            return Condition.LEAVING
