"""What a project has cost so far: the draft of the running month, shown but not written."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction

from billing.model import Statement
from billing.proration import month_containing, seconds_of
from billing.service.accounts import account_of, zone_of
from billing.service.adjustments import read_originals
from billing.service.rated import rate_period
from foundation.database import Transaction
from foundation.interval import TimeInterval
from foundation.money import round_exact

FORECAST_METHOD = "the pace of the period so far, kept until its end; not a promise"


@dataclass(frozen=True, slots=True)
class Forecast:
    """What the period would cost if it went on as it did, before and with tax, and how that was guessed."""

    subtotal: Decimal
    total: Decimal
    method: str


@dataclass(frozen=True, slots=True)
class Cost:
    """The statement of the running month up to an instant, and a forecast once time has passed."""

    statement: Statement
    forecast: Forecast | None


def cost_so_far(tx: Transaction, project_id: str, now: datetime) -> Cost:
    """Return what the running month of the account's zone costs up to now: what a draft made now would say."""
    account = account_of(tx, project_id)
    period = month_containing(now, zone_of(account))
    earlier = read_originals(tx, account, period=period, as_of=None)
    statement = rate_period(tx, account, period=period, now=now, earlier=earlier)
    return Cost(statement, forecast_of(statement))


def forecast_of(statement: Statement) -> Forecast | None:
    """Stretch the exact usage from the time that has passed to the whole period; adjustments of earlier ones do not grow."""
    if statement.rated_until <= statement.period.start:
        return None
    passed = Fraction(seconds_of(TimeInterval(statement.period.start, statement.rated_until)))
    growing = statement.usage_exact * Fraction(seconds_of(statement.period)) / passed
    stretched = growing + statement.subtotal_exact - statement.usage_exact
    account = statement.account
    subtotal = round_exact(stretched, currency=account.currency, mode=account.rounding)
    tax = Fraction(subtotal) * Fraction(account.tax_rate)
    total = subtotal + round_exact(tax, currency=account.currency, mode=account.rounding)
    return Forecast(subtotal, total, FORECAST_METHOD)
