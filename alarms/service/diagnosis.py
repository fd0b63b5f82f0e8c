"""Finds out what an alarm without points is missing, so that its owner is told and need not guess."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from alarms.evaluation import Missing
from alarms.model import Alarm
from foundation.database import Transaction


def find_missing(tx: Transaction, alarms: Sequence[Alarm]) -> Mapping[UUID, Missing]:
    """Say of each alarm which part of what its rule names is not there."""
    return {}
