"""The rule behind an alarm on CPU percent: how busy the vCPUs of a scaling group's instances, or of one, are on average (pure)."""

from uuid import UUID

from alarms.model import ComparisonOperator, ResourcesTarget, Rule

CPU_PERCENT_METHOD = "rate:per_second"
"""The counter's increase over the seconds that it really took: right whatever the polling interval, and in a bucket not yet full."""

CPU_PERCENT_OPERATIONS = "(aggregate mean (* (/ (metric cpu rate:per_second) (* (metric vcpus last) 1000000000)) 100))"
"""Nanoseconds of CPU per second and vCPU as a percentage of an instance, then the mean over the instances."""


def cpu_percent_rule(
    *,
    group_id: UUID | None,
    instance_id: UUID | None,
    threshold: float,
    comparison_operator: ComparisonOperator,
    evaluation_periods: int,
    granularity_s: int,
) -> Rule:
    """Make the rule; instances are found by the group that their metadata name, or one by its id."""
    search = {"=": {"server_group": str(group_id)}} if instance_id is None else {"=": {"id": str(instance_id)}}
    return Rule(
        target=ResourcesTarget("cpu", "instance", search, CPU_PERCENT_OPERATIONS),
        threshold=threshold,
        comparison_operator=comparison_operator,
        evaluation_periods=evaluation_periods,
        granularity_s=granularity_s,
        aggregation_method=CPU_PERCENT_METHOD,
    )
