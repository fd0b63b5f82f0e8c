"""Money: exact amounts, the decimal places of currencies, and the one rounding, at a place the caller names."""

from decimal import Context, Decimal, Inexact
from enum import StrEnum
from fractions import Fraction
from math import ceil, floor

MONEY_DIGITS = 38
"""Significant digits of every calculation with money, as many as the database keeps (numeric(38,12))."""

CURRENCY_EXPONENT_DEFAULT = 2
CURRENCY_EXPONENTS = {
    "BHD": 3, "BIF": 0, "CLF": 4, "CLP": 0, "DJF": 0, "GNF": 0, "IQD": 3, "ISK": 0, "JOD": 3, "JPY": 0, "KMF": 0,
    "KRW": 0, "KWD": 3, "LYD": 3, "OMR": 3, "PYG": 0, "RWF": 0, "TND": 3, "UGX": 0, "UYI": 0, "UYW": 4, "VND": 0,
    "VUV": 0, "XAF": 0, "XOF": 0, "XPF": 0,
}  # fmt: skip
"""Decimal places by ISO 4217 where they are not two."""

MONEY_CONTEXT = Context(prec=MONEY_DIGITS, traps=[Inexact])


class RoundingMode(StrEnum):
    """How an invoice rounds: the issuer's choice, stated on the invoice."""

    FLOOR = "floor"
    HALF_UP = "half_up"
    CEILING = "ceiling"


def currency_exponent(currency: str) -> int:
    """Return the decimal places of a currency by ISO 4217 (JPY 0, USD 2, KWD 3)."""
    return CURRENCY_EXPONENTS.get(currency, CURRENCY_EXPONENT_DEFAULT)


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
