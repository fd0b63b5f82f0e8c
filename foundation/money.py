"""Money: an exact Decimal with its currency; rounding happens once, at a place the caller names."""

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Context, Decimal, Inexact, localcontext
from enum import StrEnum
from fractions import Fraction
from math import ceil, floor

MONEY_DIGITS = 38
"""Significant digits of every calculation with money, as many as the database keeps (numeric(38,12))."""

CURRENCY_EXPONENT_DEFAULT = 2
CURRENCY_EXPONENTS = {
    "BHD": 3, "CLP": 0, "IQD": 3, "ISK": 0, "JOD": 3, "JPY": 0, "KRW": 0, "KWD": 3,
    "LYD": 3, "OMR": 3, "PYG": 0, "TND": 3, "UGX": 0, "VND": 0, "XAF": 0, "XOF": 0,
}  # fmt: skip
"""Decimal places by ISO 4217 where they are not two."""

MONEY_CONTEXT = Context(prec=MONEY_DIGITS, traps=[Inexact])


class RoundingMode(StrEnum):
    """How an invoice rounds: the issuer's choice, stated on the invoice."""

    FLOOR = "floor"
    HALF_UP = "half_up"
    CEILING = "ceiling"


DECIMAL_ROUNDING = {
    RoundingMode.FLOOR: ROUND_FLOOR,
    RoundingMode.HALF_UP: ROUND_HALF_UP,
    RoundingMode.CEILING: ROUND_CEILING,
}


def currency_exponent(currency: str) -> int:
    """Return the decimal places of a currency by ISO 4217 (JPY 0, USD 2, KWD 3)."""
    return CURRENCY_EXPONENTS.get(currency, CURRENCY_EXPONENT_DEFAULT)


@dataclass(frozen=True, slots=True)
class Money:
    """An exact amount of one currency; amounts of different currencies never meet."""

    amount: Decimal
    currency: str

    def __post_init__(self) -> None:
        if not self.amount.is_finite():
            raise ValueError("an amount of money is finite")
        if len(self.currency) != 3 or not self.currency.isalpha() or not self.currency.isupper():
            raise ValueError(f"a currency is three capital letters, not {self.currency!r}")

    def __add__(self, other: "Money") -> "Money":
        if other.currency != self.currency:
            raise ValueError(f"{self.currency} and {other.currency} cannot be added")
        with localcontext(MONEY_CONTEXT):
            return Money(self.amount + other.amount, self.currency)

    def times(self, quantity: Decimal) -> "Money":
        """Multiply exactly; a product that needs more than 38 digits is an error (decimal.Inexact), never a silent loss."""
        with localcontext(MONEY_CONTEXT):
            return Money(self.amount * quantity, self.currency)

    def rounded(self, mode: RoundingMode) -> "Money":
        """Round to the currency's decimal places."""
        return Money(round_amount(self.amount, currency=self.currency, mode=mode), self.currency)


def round_amount(amount: Decimal, *, currency: str, mode: RoundingMode) -> Decimal:
    """Round an amount to the decimal places of its currency."""
    with localcontext(Context(prec=MONEY_DIGITS)):
        return amount.quantize(Decimal(1).scaleb(-currency_exponent(currency)), rounding=DECIMAL_ROUNDING[mode])


def round_exact(amount: Fraction, *, currency: str, mode: RoundingMode) -> Decimal:
    """Round an exact quotient (a price per hour times seconds) to the decimal places of its currency, in one step.

    A quotient has no exact Decimal, so it stays a Fraction until here; the three modes are integer arithmetic on it.
    """
    exponent = currency_exponent(currency)
    scaled = amount * 10**exponent
    match mode:
        case RoundingMode.FLOOR:
            units = floor(scaled)
        case RoundingMode.CEILING:
            units = ceil(scaled)
        case RoundingMode.HALF_UP:
            units = floor(abs(scaled) + Fraction(1, 2)) * (1 if scaled >= 0 else -1)
    return Decimal(units).scaleb(-exponent, MONEY_CONTEXT)
