"""The form of a definition file: which notifications make which resources, lives and samples. Pure."""

from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from collectors.definitions.paths import NumberSource, Path, TextSource, parse_number, parse_path, parse_text

ENTRIES_MAX = 200
METERS_MAX = 50
ITEMS_MAX = 1_000

LifeState = Literal["active", "paused", "suspended", "shelved", "stopped", "error", "deleted"]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_.-]{0,99}$")]
Pattern = Annotated[str, StringConstraints(min_length=1, max_length=255)]
Unit = Annotated[str, StringConstraints(min_length=1, max_length=25)]


def paths_of(given: object) -> object:
    """Read a path or a list of alternatives."""
    written: list[Any] = cast("list[Any]", given) if isinstance(given, list) else [given]
    if not all(isinstance(one, str) for one in written):
        raise ValueError("say a path or a list of paths")
    return tuple(parse_path(one) for one in written)


Text = Annotated[TextSource, BeforeValidator(parse_text)]
Number = Annotated[NumberSource, BeforeValidator(parse_number)]
Paths = Annotated[tuple[Path, ...], BeforeValidator(paths_of)]


class Part(BaseModel):
    """Strict, so that a misspelt field is found at the start and not on the bill."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class ResourcePart(Part):
    """Whose thing a notification is about; `project_fallback` serves where the notification itself does not say."""

    type: Name
    id: Text
    project: Text | None = None
    project_fallback: Text | None = None
    needs_project: bool = True
    user: Text | None = None
    name: Text | None = None
    attributes: dict[Name, Text] = Field(default_factory=dict[str, TextSource])


class InstancePart(Part):
    """The life of an instance: its state by the service's own word for it, and what it is charged by."""

    state: Text
    states: dict[str, LifeState] = Field(min_length=1)
    ends_on: list[Pattern] = Field(min_length=1)
    off_when: dict[str, Pattern] = Field(default_factory=dict[str, str])
    flavor_id: Text
    flavor_name: Text
    vcpus: Number
    ram_mib: Number
    disk_gib: Number
    image: Text | None = None
    host: Text | None = None
    metadata: Paths = ()


class ExistencePart(Part):
    """The life of another resource: its size, measured by a meter, from the first event on to the one that ends it."""

    meter: Name
    unit: Unit
    size: Number = NumberSource(constant=Decimal(1))
    size_may_be_missing: bool = False
    grade: Text | None = None
    ends_on: list[Pattern] = Field(min_length=1)
    ends_when: dict[str, Pattern] = Field(default_factory=dict[str, str])


class MeterPart(Part):
    """A sample that an event makes; on some of the entry's events only where `events` says so."""

    name: Name
    type: Literal["gauge", "delta", "cumulative"]
    unit: Unit
    value: Number
    factor: Decimal = Decimal(1)
    events: list[Pattern] = Field(default_factory=list[str])
    where: dict[str, Pattern] = Field(default_factory=dict[str, str])
    attributes: dict[Name, Text] = Field(default_factory=dict[str, TextSource])

    def is_for(self, event_type: str) -> bool:
        """Tell whether an event makes this sample."""
        return not self.events or matches(self.events, event_type)


class Entry(Part):
    """What to make of the events that match; `item` goes through a list in them, and `item` and `key` are then paths."""

    name: Name
    events: list[Pattern] = Field(min_length=1)
    except_events: list[Pattern] = Field(default_factory=list[str])
    where: dict[str, Pattern] = Field(default_factory=dict[str, str])
    item: Paths = ()
    time: Paths = ()
    resource: ResourcePart
    instance: InstancePart | None = None
    existence: ExistencePart | None = None
    meters: list[MeterPart] = Field(default_factory=list[MeterPart], max_length=METERS_MAX)

    @model_validator(mode="after")
    def _makes_something(self) -> "Entry":
        if self.instance is None and self.existence is None and not self.meters:
            raise ValueError("an entry needs one of instance, existence and meters")
        if self.instance is not None and (self.existence is not None or self.resource.type != "instance"):
            raise ValueError("`instance` is the life of a resource of the type instance, and the only one")
        for where in self._conditions():
            for path in where:
                parse_path(path)
        return self

    def _conditions(self) -> list[dict[str, str]]:
        parts = [self.where, *(meter.where for meter in self.meters)]
        parts += [self.instance.off_when] if self.instance is not None else []
        return [*parts, self.existence.ends_when] if self.existence is not None else parts

    def is_for(self, event_type: str) -> bool:
        """Tell whether an event is this entry's."""
        return matches(self.events, event_type) and not matches(self.except_events, event_type)


class DefinitionFile(Part):
    """One file: a service, and the exchange on which it publishes."""

    service: Name
    exchange: Name
    entries: list[Entry] = Field(min_length=1, max_length=ENTRIES_MAX)


def matches(patterns: list[str], event_type: str) -> bool:
    """Tell whether an event type matches any of the patterns (* and ?)."""
    return any(fnmatchcase(event_type, pattern) for pattern in patterns)
