"""Checks an alarm's expression by evaluating it once over as many points as its window can hold (pure)."""

import numpy as np

from alarms.evaluation import LOOK_BACK_PERIODS
from alarms.model import ResourcesTarget, Rule
from foundation.errors import Invalid
from metering.aggregates import UnknownMethod, percentile_fraction
from metering.model import BUCKET_METHODS
from metering.operations import Column, Matrix, evaluate, metrics_wanted
from metering.operations_syntax import parse_operations


def check_expression(rule: Rule) -> None:
    """Raise Invalid with what is wrong where the rule's expression could never be evaluated."""
    if not isinstance(rule.target, ResourcesTarget) or rule.target.operations is None:
        return
    expression = parse_operations(rule.target.operations)
    wanted = metrics_wanted(expression)
    for one in wanted:
        if one.aggregation not in BUCKET_METHODS and percentile_fraction(one.aggregation.removeprefix("rate:")) is None:
            raise UnknownMethod(one.aggregation)
    if not any(one.metric == rule.target.metric for one in wanted):
        raise Invalid(f"the operations do not use the rule's metric, {rule.target.metric}", field="operations")
    granularity_us = rule.granularity_s * 1_000_000
    rows = rule.evaluation_periods + LOOK_BACK_PERIODS
    times_us = np.arange(rows, dtype=np.int64) * granularity_us
    columns = tuple(Column(one, owner="any") for one in wanted)
    evaluate(expression, Matrix(granularity_us, times_us, np.ones((rows, len(columns))), columns))
