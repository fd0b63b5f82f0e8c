"""Archive policies: their definition from two of granularity, points and timespan, and the aggregation methods they serve. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from foundation.errors import Invalid

METHODS_DEFAULT = ("mean", "min", "max", "sum", "std", "count")
PLAIN_METHODS = ("mean", "sum", "last", "max", "min", "std", "median", "first", "count")
METHODS_ALL = frozenset(
    f"{rate}{method}" for rate in ("", "rate:") for method in (*PLAIN_METHODS, *(f"{n}pct" for n in range(1, 100)))
)
DEFINITIONS_MAX = 20
GRANULARITY_US_MAX = 366 * 86_400 * 1_000_000
FOR_EVER_US = 1_000 * 365 * 86_400 * 1_000_000
"""No timespan is longer; a definition of a granularity alone keeps this long, and is written without points and timespan."""


@dataclass(frozen=True, slots=True)
class ArchivePolicy:
    """Which rollups are kept: parallel lists of granularities and numbers of points, finest first, and the methods served."""

    name: str
    back_window: int
    aggregation_methods: list[str]
    granularities_us: list[int]
    points: list[int]


@dataclass(frozen=True, slots=True)
class Definition:
    """How many buckets of one width are kept; as many as make up FOR_EVER_US are said to be kept for ever."""

    granularity_us: int
    points: int

    @property
    def is_for_ever(self) -> bool:
        """Whether no bucket is ever too old."""
        return self.points == FOR_EVER_US // self.granularity_us

    @property
    def timespan(self) -> timedelta:
        """How far back that reaches."""
        return timedelta(microseconds=self.granularity_us * self.points)


def complete_definition(*, granularity: timedelta | None, points: int | None, timespan: timedelta | None) -> Definition:
    """Derive the third of granularity, points and timespan from the other two; a granularity alone is kept for ever.

    Raises Invalid where they do not agree.
    """
    if granularity is None:
        if points is None or timespan is None:
            raise Invalid("at least two of granularity, points and timespan must be given", field="definition")
        granularity = timespan / max(points, 1)
    granularity_us = granularity // timedelta(microseconds=1)
    if not 0 < granularity_us <= GRANULARITY_US_MAX:
        raise Invalid("granularity must be above 0 and at most a year", field="definition")
    if points is None:
        span_us = FOR_EVER_US if timespan is None else timespan // timedelta(microseconds=1)
        points = span_us // granularity_us
    elif timespan is not None and points != timespan // timedelta(microseconds=granularity_us):
        raise Invalid("timespan ≠ granularity × points", field="definition")
    if points <= 0:
        raise Invalid("points must be above 0", field="definition")
    if points > FOR_EVER_US // granularity_us:
        raise Invalid("the timespan must be at most 1000 years", field="definition")
    return Definition(granularity_us, points)


def new_policy(
    name: str, *, back_window: int, definitions: Sequence[Definition], methods: Sequence[str] | None
) -> ArchivePolicy:
    """Make an archive policy; two definitions of one granularity are refused."""
    if not 1 <= len(definitions) <= DEFINITIONS_MAX:
        raise Invalid(f"a definition has 1 to {DEFINITIONS_MAX} parts", field="definition")
    ordered = sorted(definitions, key=lambda one: one.granularity_us)
    granularities = [one.granularity_us for one in ordered]
    if len(set(granularities)) != len(granularities):
        raise Invalid("more than one definition uses the same granularity", field="definition")
    return ArchivePolicy(name, back_window, resolve_methods(methods), granularities, [one.points for one in ordered])


def resolve_methods(asked: Sequence[str] | None) -> list[str]:
    """Return the methods that a policy serves: those named, all (*), or the default with some left out (-) or added (+)."""
    if not asked:
        return sorted(METHODS_DEFAULT)
    for method in asked:
        if method != "*" and method.lstrip("+-") not in METHODS_ALL:
            raise Invalid(f"'{method}' is not a valid aggregation method", field="aggregation_methods")
    if "*" in asked:
        return sorted(METHODS_ALL)
    signs = {method[0] for method in asked}
    if signs <= {"+", "-"}:
        added = {method[1:] for method in asked if method[0] == "+"}
        dropped = {method[1:] for method in asked if method[0] == "-"}
        kept = (set(METHODS_DEFAULT) | added) - dropped
    else:
        kept = {method.lstrip("+-") for method in asked}
    if not kept:
        raise Invalid("an archive policy needs an aggregation method", field="aggregation_methods")
    return sorted(kept)
