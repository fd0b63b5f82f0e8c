"""The nouns of alarms: alarm, rule, state, transition; a value that breaks a rule of the field cannot be made."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NewType, TypeAlias
from urllib.parse import urlsplit
from uuid import UUID

from foundation.errors import Forbidden, Invalid, NotFound, QuotaExceeded
from metering.aggregates import percentile_fraction
from metering.model import BUCKET_METHODS

AlarmId = NewType("AlarmId", UUID)
HistoryEventId = NewType("HistoryEventId", UUID)

NAME_LENGTH_MAX = 255
DESCRIPTION_LENGTH_MAX = 1024
EVALUATION_PERIODS_MAX = 100
GRANULARITY_S_MAX = 31_536_000
EVALUATION_INTERVAL_S_DEFAULT = 60
EVALUATION_INTERVAL_S_MAX = 86_400
ACTIONS_MAX = 10
ACTION_LENGTH_MAX = 2048
METRICS_MAX = 100
TIME_CONSTRAINTS_MAX = 20
ALARMS_PER_PROJECT_MAX_DEFAULT = 1_000


class AlarmNotFound(NotFound):
    """No such alarm in the caller's project."""


class AlarmUnreadable(Invalid):
    """An alarm's stored settings are none that we take any more, such as those that an earlier version took."""

    def __init__(self, alarm_id: UUID, *, project_id: str, fault: str) -> None:
        super().__init__(
            f"Alarm {alarm_id} cannot be read, since its stored settings are none that we take any more ({fault}):"
            " delete it, and make it anew"
        )
        self.alarm_id, self.project_id, self.fault = AlarmId(alarm_id), project_id, fault


class AlarmQuotaExceeded(QuotaExceeded):
    """The project has as many alarms as it may have."""


class AlarmTooSlow(Invalid):
    """What the alarm watches takes longer to read than an evaluation may."""

    def __init__(self, most_s: float) -> None:
        super().__init__(
            f"the alarm's window takes longer than {most_s:g} s to read: let it watch fewer resources, a coarser granularity or "
            "fewer evaluation periods; or try again when the service is less busy",
            field="rule",
        )


class ActionNotAllowed(Forbidden):
    """The action is the operator's alone."""


class AlarmState(StrEnum):
    """What the last evaluation said; the words are Aodh's."""

    OK = "ok"
    ALARM = "alarm"
    INSUFFICIENT_DATA = "insufficient data"


class Severity(StrEnum):
    """How much it matters, for the reader; it changes nothing in the evaluation."""

    LOW = "low"
    MODERATE = "moderate"
    CRITICAL = "critical"


class ComparisonOperator(StrEnum):
    """How a point is compared with the threshold: `point gt threshold` is a breach."""

    LT = "lt"
    LE = "le"
    EQ = "eq"
    NE = "ne"
    GE = "ge"
    GT = "gt"


class RuleType(StrEnum):
    """The kinds of rule that we evaluate, by Aodh's names."""

    RESOURCE = "gnocchi_resources_threshold"
    METRICS = "gnocchi_aggregation_by_metrics_threshold"
    RESOURCES = "gnocchi_aggregation_by_resources_threshold"


SUPPORTED_TYPES = ", ".join(RuleType)


@dataclass(frozen=True, slots=True)
class ResourceTarget:
    """One metric of one resource."""

    metric: str
    resource_type: str
    resource_id: str


@dataclass(frozen=True, slots=True)
class MetricsTarget:
    """Metrics named by their ids, aggregated into one series."""

    metric_ids: tuple[UUID, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.metric_ids) <= METRICS_MAX:
            raise Invalid(f"name between 1 and {METRICS_MAX} metrics", field="metrics")


@dataclass(frozen=True, slots=True)
class ResourcesTarget:
    """One metric of every resource that a search finds, aggregated into one series.

    `operations` is an expression in Gnocchi's language over that metric, for what plain aggregation cannot say (CPU percent).
    """

    metric: str
    resource_type: str
    search: Mapping[str, Any]
    operations: Any = None


Target: TypeAlias = ResourceTarget | MetricsTarget | ResourcesTarget


@dataclass(frozen=True, slots=True)
class Rule:
    """The condition: the last `evaluation_periods` points of `granularity_s` seconds against a threshold."""

    target: Target
    threshold: float
    comparison_operator: ComparisonOperator = ComparisonOperator.EQ
    evaluation_periods: int = 1
    granularity_s: int = 60
    aggregation_method: str = "mean"

    def __post_init__(self) -> None:
        if not math.isfinite(self.threshold):
            raise Invalid("a threshold is a finite number", field="threshold")
        if not 1 <= self.evaluation_periods <= EVALUATION_PERIODS_MAX:
            raise Invalid(f"evaluation_periods is between 1 and {EVALUATION_PERIODS_MAX}", field="evaluation_periods")
        if not 1 <= self.granularity_s <= GRANULARITY_S_MAX:
            raise Invalid(f"granularity is between 1 and {GRANULARITY_S_MAX} seconds", field="granularity")
        method = self.aggregation_method
        if method not in BUCKET_METHODS and percentile_fraction(method.removeprefix("rate:")) is None:
            raise Invalid(f"aggregation_method {method!r} is none that we compute", field="aggregation_method")

    @property
    def type(self) -> RuleType:
        """The kind of rule, by Aodh's name."""
        match self.target:
            case ResourceTarget():
                return RuleType.RESOURCE
            case MetricsTarget():
                return RuleType.METRICS
            case ResourcesTarget():
                return RuleType.RESOURCES


@dataclass(frozen=True, slots=True)
class TimeConstraint:
    """When an alarm is evaluated: from each firing of a cron line, for a number of seconds, in a time zone."""

    name: str
    start: str
    duration_s: int
    timezone: str = "UTC"
    description: str = ""


OPERATOR_SCHEMES = frozenset({"log"})
"""Schemes that write where only the operator reads, and so are the operator's to use."""
ACTION_SCHEMES = frozenset({"http", "https", "trust+http", "trust+https", "log", "scaling"})
SUPPORTED_ACTIONS = "http, https, trust+http, trust+https, log and scaling:<policy id>"


def check_action(action: str) -> str:
    """Return the action if its form is one that we can act on; else raise Invalid with a sentence that names the forms."""
    if len(action) > ACTION_LENGTH_MAX:
        raise Invalid(f"an action is at most {ACTION_LENGTH_MAX} characters long", field="actions")
    scheme, _, rest = action.partition(":")
    if scheme not in ACTION_SCHEMES:
        raise Invalid(f"unsupported action {action!r}; supported are {SUPPORTED_ACTIONS}", field="actions")
    if scheme == "scaling":
        try:
            UUID(rest)
        except ValueError:
            raise Invalid(
                f"{action!r}: write scaling:<policy id> with the id of a scaling policy", field="actions"
            ) from None
    elif scheme != "log":
        check_webhook_url(action.removeprefix("trust+"))
    return action


def check_webhook_url(url: str) -> None:
    """Raise Invalid unless the URL has a host, a port that exists and no credentials; where it leads is checked when it is sent."""
    if not url.isascii() or any(character.isspace() or not character.isprintable() for character in url):
        raise Invalid("a webhook URL is plain ASCII without spaces: percent-encode the rest", field="actions")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise Invalid(f"{url!r} is not a URL: {error}", field="actions") from error
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
        raise Invalid(f"{url!r} is not an http or https URL with a host", field="actions")
    if parts.username is not None or parts.password is not None:
        raise Invalid("a webhook URL carries no user or password", field="actions")


@dataclass(frozen=True, slots=True)
class Actions:
    """What is told when an alarm reaches a state."""

    ok: tuple[str, ...] = ()
    alarm: tuple[str, ...] = ()
    insufficient_data: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for actions in (self.ok, self.alarm, self.insufficient_data):
            if len(actions) > ACTIONS_MAX:
                raise Invalid(f"a state has at most {ACTIONS_MAX} actions", field="actions")
            for action in actions:
                check_action(action)

    def all(self) -> frozenset[str]:
        """Every action of any state."""
        return frozenset((*self.ok, *self.alarm, *self.insufficient_data))

    def for_state(self, state: AlarmState) -> tuple[str, ...]:
        """The actions of one state, each once."""
        chosen = {
            AlarmState.OK: self.ok,
            AlarmState.ALARM: self.alarm,
            AlarmState.INSUFFICIENT_DATA: self.insufficient_data,
        }
        return tuple(dict.fromkeys(chosen[state]))


@dataclass(frozen=True, slots=True)
class AlarmSpec:
    """What the owner of an alarm decides about it."""

    name: str
    rule: Rule
    description: str = ""
    enabled: bool = True
    severity: Severity = Severity.LOW
    actions: Actions = field(default_factory=Actions)
    repeat_actions: bool = False
    time_constraints: tuple[TimeConstraint, ...] = ()
    evaluation_interval_s: int | None = None

    def __post_init__(self) -> None:
        if not 1 <= len(self.name) <= NAME_LENGTH_MAX:
            raise Invalid(f"a name has 1 to {NAME_LENGTH_MAX} characters", field="name")
        if len(self.description) > DESCRIPTION_LENGTH_MAX:
            raise Invalid(f"a description has at most {DESCRIPTION_LENGTH_MAX} characters", field="description")
        if len(self.time_constraints) > TIME_CONSTRAINTS_MAX:
            raise Invalid(f"an alarm has at most {TIME_CONSTRAINTS_MAX} time constraints", field="time_constraints")
        interval_s = self.evaluation_interval_s
        if interval_s is not None and not 1 <= interval_s <= EVALUATION_INTERVAL_S_MAX:
            raise Invalid(
                f"evaluation_interval_s is between 1 and {EVALUATION_INTERVAL_S_MAX}", field="evaluation_interval_s"
            )

    @property
    def interval_s(self) -> int:
        """Seconds between evaluations: as set, else a minute, or the granularity where that is shorter."""
        return self.evaluation_interval_s or min(EVALUATION_INTERVAL_S_DEFAULT, self.rule.granularity_s)


@dataclass(frozen=True, slots=True)
class Alarm:
    """A watched condition, what its last evaluation said, and when the next is due."""

    id: AlarmId
    project_id: str
    user_id: str | None
    spec: AlarmSpec
    state: AlarmState
    state_reason: str
    state_reason_data: Mapping[str, Any]
    state_at: datetime
    created_at: datetime
    updated_at: datetime
    evaluated_at: datetime | None
    next_evaluation_at: datetime
    last_value: float | None


class HistoryType(StrEnum):
    """What happened to an alarm; the words are Aodh's."""

    CREATION = "creation"
    RULE_CHANGE = "rule change"
    STATE_TRANSITION = "state transition"
    DELETION = "deletion"


@dataclass(frozen=True, slots=True)
class HistoryEvent:
    """One fact of an alarm's life, kept for ever, also when the alarm is gone."""

    id: HistoryEventId
    alarm_id: AlarmId
    project_id: str
    user_id: str | None
    type: HistoryType
    detail: Mapping[str, Any]
    severity: Severity
    at: datetime


@dataclass(frozen=True, slots=True)
class AlarmFilter:
    """Which alarms a list shows; None says nothing about a field."""

    project_id: str | None = None
    user_id: str | None = None
    type: str | None = None
    name: str | None = None
    enabled: bool | None = None
    state: str | None = None
    severity: str | None = None
    repeat_actions: bool | None = None
