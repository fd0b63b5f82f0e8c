"""What can be wrong in metering. The sentences are Gnocchi's to the letter, since its client tells failures apart by them."""

from collections.abc import Sequence
from typing import Any

from foundation.errors import Conflict, Forbidden, Invalid, NotFound


class ArchivePolicyNotFound(NotFound):
    """No such archive policy."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Archive policy {name} does not exist")


class ArchivePolicyRuleNotFound(NotFound):
    """No such rule."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Archive policy rule {name} does not exist")


class MetricNotFound(NotFound):
    """No such metric, or another project's."""

    def __init__(self, metric: object) -> None:
        super().__init__(f"Metric {metric} does not exist")


class MetricUnknown(Invalid):
    """What was to be given to a resource is no metric that the caller sees."""

    def __init__(self, message: str) -> None:
        super().__init__(message, field="metrics")


class ResourceNotFound(NotFound):
    """No such resource, or another project's."""

    def __init__(self, resource: object) -> None:
        super().__init__(f"Resource {resource} does not exist")


class ResourceTypeNotFound(NotFound):
    """No such resource type."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Resource type {name} does not exist")


class AggregationNotFound(NotFound):
    """The metric's archive policy does not keep this."""

    def __init__(self, metric: object, method: str, granularity_s: float | None = None) -> None:
        where = "" if granularity_s is None else f" at granularity '{granularity_s}'"
        super().__init__(f"Aggregation method '{method}'{where} for metric {metric} does not exist")
        self.metric, self.method, self.granularity_s = metric, method, granularity_s


class WidthNotFound(AggregationNotFound):
    """The metric's archive policy keeps no buckets of this width."""


class SearchedWidthUnknown(Invalid):
    """A search for measures names a width of which a metric keeps none."""

    def __init__(self, missing: WidthNotFound) -> None:
        super().__init__(missing.message, field="granularity")
        self.detail = {"granularity": missing.granularity_s, "aggregation_method": missing.method}


class AggregationUnknown(NotFound):
    """Nothing is aggregated in this way."""

    def __init__(self, method: str) -> None:
        super().__init__(f"Aggregation method '{method}' does not exist")


class ArchivePolicyUnknown(Invalid):
    """What was to be made names an archive policy that is not there."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Archive policy {name} does not exist", field="archive_policy_name")


class ArchivePolicyExists(Conflict):
    """The name is taken."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Archive policy {name} already exists")


class ArchivePolicyRuleExists(Conflict):
    """The name of a new rule is taken."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Archive policy rule {name} already exists")


class ArchivePolicyRuleNameTaken(Invalid):
    """The name that a rule was to have from now on is another one's."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Archive policy rule {name} already exists", field="name")


class NamedMetricExists(Conflict):
    """The resource has a metric of this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Named metric {name} already exists")


class SeveralCalled(Invalid):
    """A name that the caller gave to nothing is what several others gave to something."""

    def __init__(self, name: str, ids: Sequence[object]) -> None:
        super().__init__(f"Several resources are called {name[:60]}, name one by its id: {', '.join(map(str, ids))}")


class ResourceExists(Conflict):
    """The id is taken."""

    def __init__(self, resource: object, *, why: str = "") -> None:
        super().__init__(f"Resource {resource} already exists{why}")


class ResourceTypeExists(Conflict):
    """The name is taken."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Resource type {name} already exists")


class InUse(Invalid):
    """It cannot be deleted while something needs it."""

    def __init__(self, noun: str, name: str) -> None:
        super().__init__(f"{noun} {name} is still in use")


class NoRuleMatches(Invalid):
    """A metric needs an archive policy, by name or by a rule."""

    def __init__(self, metric_name: str | None) -> None:
        super().__init__(
            f"No archive policy name specified and no archive policy rule found matching the metric name {metric_name}",
            field="archive_policy_name",
        )


class SeveralUnknown(Invalid):
    """Several things of a batch are not there; the details name each."""

    def __init__(self, cause: str, detail: Sequence[Any]) -> None:
        super().__init__(f"{cause}: {', '.join(str(one) for one in detail[:20])}")
        self.cause = cause
        self.detail = list(detail)


class CannotAggregate(Invalid):
    """The metrics do not fit together."""

    def __init__(self, reason: str, detail: Sequence[Any] = ()) -> None:
        super().__init__(f"Metrics cannot be aggregated: {reason}")
        self.cause = "Metrics cannot be aggregated"
        self.reason = reason
        self.detail = list(detail)


class GranularityMissing(CannotAggregate):
    """A metric's archive policy does not keep the granularity that is asked for; the metric by itself does not answer either."""

    def __init__(self, metric: object, method: str, granularity_s: float) -> None:
        super().__init__("Granularities are missing", [[str(metric), method, granularity_s]])
        self.of_metric = WidthNotFound(metric, method, granularity_s)


class MeasuresRefused(Forbidden):
    """Only who made a metric, or an admin, may write to it: what the meters say is on the bill."""

    def __init__(self) -> None:
        super().__init__("only the creator of a metric or an admin may write to it or delete it")


class MetricsNotFound(NotFound):
    """The operations name metrics that are not there, or are another project's."""

    def __init__(self, metrics: Sequence[str]) -> None:
        super().__init__(f"Metrics not found: {', '.join(metrics)}")
        self.cause = "Unknown metrics"
        self.detail = list(metrics)


class NamedMetricsNotFound(NotFound):
    """No resource of a search has any of the metrics that the operations name."""

    def __init__(self, metrics: Sequence[str]) -> None:
        super().__init__(f"Metric {list(metrics)} does not exist")
