"""The nouns of event metering: events as they came, what was answered to each, and the meters that count them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, TypeAlias
from uuid import UUID

from foundation.errors import Conflict, Invalid, NotFound

EVENTS_MAX = 10_000
"""Events of one batch."""
EVENT_BYTES_MAX = 64 * 1024
"""Bytes of one event as JSON: what CloudEvents asks every intermediary to carry."""
METERS_MAX = 100
"""Meters that count one project's events."""
GROUPS_MAX = 5
"""Properties by which one meter groups."""

Outcome: TypeAlias = Literal["accepted", "duplicate", "rejected"]
Aggregation: TypeAlias = Literal["sum", "count", "max", "last"]

SUBJECT_TYPE = "event_subject"
"""The resource type of what events are about."""


class EventFault(Exception):
    """Why one event cannot be taken or counted: the field to mend, and a sentence that says how."""

    def __init__(self, field: str | None, reason: str) -> None:
        super().__init__(reason)
        self.field = field
        self.reason = reason


class EventNotFound(NotFound):
    """No such event, or another project's."""

    def __init__(self, event: object) -> None:
        super().__init__(f"Event {event} does not exist, or its answer is no longer kept")


class MeterNotFound(NotFound):
    """No such meter, or another project's."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Meter {name} does not exist")


class MeterExists(Conflict):
    """The name is taken by a meter that counts otherwise."""


class TooManyMeters(Conflict):
    """The project has as many meters as it may."""

    def __init__(self) -> None:
        super().__init__(
            f"a project's events are counted by at most {METERS_MAX} meters; delete one that is not needed"
        )


class BodyUnreadable(Invalid):
    """A body of which not one event can be read."""


@dataclass(frozen=True, slots=True)
class CloudEvent:
    """An event that can be kept. `data_text` is its data as compact JSON ("" for none), of bytes their base64 as a JSON string.

    `attributes` are those without a column: datacontenttype, dataschema and extensions. Without a written time the event was
    observed when it was received.
    """

    place: int
    source: str
    event_id: str
    type: str
    subject: str | None
    observed_at: datetime
    written_time: str | None
    attributes: Mapping[str, Any]
    data: Any
    data_text: str
    is_binary: bool = False


@dataclass(frozen=True, slots=True)
class RejectedEvent:
    """An event that cannot be kept, by its place in the batch, and why; what could be read of it, and its text, cut."""

    place: int
    reason: str
    field: str | None = None
    source: str | None = None
    event_id: str | None = None
    type: str | None = None
    content: str | None = None


@dataclass(frozen=True, slots=True)
class ReceivedEvents:
    """What one request brought; `is_single` tells an event on its own from a batch."""

    events: tuple[CloudEvent | RejectedEvent, ...]
    received_at: datetime
    is_single: bool


@dataclass(frozen=True, slots=True)
class EventAnswer:
    """What became of one event of a request; `meters` are those that counted it."""

    place: int
    outcome: Outcome
    event_id: str | None = None
    reason: str | None = None
    field: str | None = None
    meters: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class KeptEvent:
    """An event as it is stored."""

    id: UUID
    project_id: str
    source: str
    event_id: str
    type: str
    subject: str | None
    observed_at: datetime
    received_at: datetime
    place: int
    sent_by: str
    may_lower: bool
    attributes: Mapping[str, Any] | None
    data: Any
    is_binary: bool


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """An event with its answer, as the page of recent events shows it; `content` is the text of one that was not kept."""

    id: UUID
    project_id: str
    source: str | None
    event_id: str | None
    type: str | None
    subject: str | None
    observed_at: datetime | None
    received_at: datetime
    place: int
    sent_by: str
    outcome: Outcome
    reason: str | None
    field: str | None
    may_lower: bool = False
    attributes: Mapping[str, Any] | None = None
    data: Any = None
    is_binary: bool = False
    content: str | None = None


@dataclass(frozen=True, slots=True)
class LogPosition:
    """A place in the order of the page of recent events."""

    received_at: datetime
    place: int
    id: UUID


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events of a project a page shows; from `start` on and before `end`, by when they were received."""

    project_id: str
    source: str | None = None
    event_id: str | None = None
    type: str | None = None
    outcome: Outcome | None = None
    start: datetime | None = None
    end: datetime | None = None


@dataclass(frozen=True, slots=True)
class MeterDefinition:
    """What a meter counts; it never changes, since usage that was counted rests on it.

    `value_path` is where the number is in an event's data, None for count; `group_by` names attributes by the paths of
    their values. A project_id of None is every project.
    """

    project_id: str | None
    name: str
    event_type: str
    aggregation: Aggregation
    value_path: str | None
    unit: str
    group_by: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class EventMeter:
    """A meter of events. `past_until` is set while events that came before it are still being counted."""

    id: UUID
    project_id: str | None
    name: str
    event_type: str
    aggregation: Aggregation
    value_path: str | None
    unit: str
    group_by: dict[str, str]
    description: str
    created_at: datetime
    created_by: str
    deleted_at: datetime | None
    past_until: datetime | None
    past_received_at: datetime | None
    past_place: int | None
    past_id: UUID | None
    past_counted: int
    past_skipped: int

    @property
    def definition(self) -> MeterDefinition:
        """What it counts."""
        return MeterDefinition(
            self.project_id,
            self.name,
            self.event_type,
            self.aggregation,
            self.value_path,
            self.unit,
            self.group_by,
        )

    @property
    def is_additive(self) -> bool:
        """Tell a consumption, whose parts add up and can be billed, from a level."""
        return self.aggregation in ("sum", "count")


@dataclass(frozen=True, slots=True)
class CountedEvent:
    """What one meter makes of one event: a value for a subject, and by which attributes it is grouped."""

    meter: EventMeter
    subject: str
    groups: tuple[tuple[str, str], ...]
    value: float


@dataclass(frozen=True, slots=True)
class SubjectUsage:
    """What one meter counted for one subject (and group) in an interval."""

    resource_id: UUID
    attributes: Mapping[str, str]
    quantity: Decimal
    event_count: int
    first_observed_at: datetime
    last_observed_at: datetime
