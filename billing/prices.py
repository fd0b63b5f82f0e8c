"""The kinds of price, one dataclass each, and their written form: what a price version stores and an invoice quotes."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeAlias

from billing.canonical import canonical_json

ACTIVE = "active"
CHARGED_AS: Mapping[str, str] = {"paused": ACTIVE, "suspended": "stopped", "shelved": "stopped"}
"""As what a state is charged where the plan has no price for it: a paused instance still holds its memory and its host."""
PRICE_SCALE_MAX = 10
"""Decimal places of a price; with a factor's 4 and a MiB's share of a GiB (10) a unit price fits in 24."""
PRICE_MAX = Decimal(10) ** 8
FACTOR_SCALE_MAX = 4
FACTOR_MAX = Decimal(100)
COUNTER_PER_MAX = Decimal(10) ** 20
"""A priced unit of a counter may be a PiB."""


@dataclass(frozen=True, slots=True)
class StatePrice:
    """What a state other than active costs: a factor of the active price, or an hourly price of its own."""

    state: str
    factor: Decimal | None = None
    per_hour: Decimal | None = None

    def __post_init__(self) -> None:
        if (self.factor is None) == (self.per_hour is None):
            raise ValueError(f"the price of state {self.state!r} is either a factor or an hourly price")
        if self.state == ACTIVE:
            raise ValueError("the active state is priced by per_hour itself")
        require_price(self.factor, scale_max=FACTOR_SCALE_MAX, maximum=FACTOR_MAX)
        require_price(self.per_hour)


@dataclass(frozen=True, slots=True)
class FlavorPrice:
    """An instance of one flavor by the second, in each of its states."""

    flavor: str
    per_hour: Decimal
    states: tuple[StatePrice, ...] = ()

    def __post_init__(self) -> None:
        require_price(self.per_hour)
        require_distinct_states(self.states)


@dataclass(frozen=True, slots=True)
class SizePrice:
    """An instance by the second from its vCPUs and memory, for every flavor without a price of its own."""

    per_vcpu_hour: Decimal
    per_ram_gib_hour: Decimal
    states: tuple[StatePrice, ...] = ()

    def __post_init__(self) -> None:
        require_price(self.per_vcpu_hour)
        require_price(self.per_ram_gib_hour)
        require_distinct_states(self.states)


@dataclass(frozen=True, slots=True)
class DiskPrice:
    """A GiB of disk held through one billing month; a second of it costs the month's price over the month's real seconds."""

    per_gib_month: Decimal

    def __post_init__(self) -> None:
        require_price(self.per_gib_month)


@dataclass(frozen=True, slots=True)
class CounterPrice:
    """What a counter has counted: `per` base units (2**30 B) are one priced unit (GiB)."""

    meter: str
    base_unit: str
    unit: str
    per: Decimal
    price: Decimal

    def __post_init__(self) -> None:
        require_price(self.price)
        require_price(self.per, maximum=COUNTER_PER_MAX)
        if self.per <= 0:
            raise ValueError("a counter's unit is made of a positive number of base units")


Price: TypeAlias = FlavorPrice | SizePrice | DiskPrice | CounterPrice


def price_key(price: Price) -> tuple[str, str]:
    """Return what a price charges for: no two prices of a version may share it."""
    match price:
        case FlavorPrice():
            return ("flavor", price.flavor)
        case SizePrice():
            return ("size", "")
        case DiskPrice():
            return ("disk", "")
        case CounterPrice():
            return ("counter", price.meter)


def require_price(amount: Decimal | None, *, scale_max: int = PRICE_SCALE_MAX, maximum: Decimal = PRICE_MAX) -> None:
    """Refuse a price that is negative, not finite, too fine or too large to be kept exactly."""
    if amount is None:
        return
    exponent = amount.as_tuple().exponent
    if not isinstance(exponent, int) or amount < 0:
        raise ValueError("a price is a finite number that is not negative")
    if -exponent > scale_max or amount > maximum:
        raise ValueError(f"a price has at most {scale_max} decimal places and is at most {maximum:f}")


def require_distinct_states(states: Sequence[StatePrice]) -> None:
    """Refuse a state that is priced twice."""
    if len({price.state for price in states}) != len(states):
        raise ValueError("a state has one price")


def price_text(prices: Sequence[Price]) -> str:
    """Write prices as canonical JSON, in an order that does not depend on how they were given."""
    return canonical_json([to_written(price) for price in sorted(prices, key=price_key)]).decode()


def read_prices(text: str) -> tuple[Price, ...]:
    """Read prices from their written form."""
    return tuple(from_written(written) for written in json.loads(text))


def to_written(price: Price) -> dict[str, object]:
    """Return one price as named members, its kind first."""
    match price:
        case FlavorPrice():
            states = [to_written_state(state) for state in price.states]
            return {"kind": "flavor", "flavor": price.flavor, "per_hour": price.per_hour, "states": states}
        case SizePrice():
            return {
                "kind": "size",
                "per_vcpu_hour": price.per_vcpu_hour,
                "per_ram_gib_hour": price.per_ram_gib_hour,
                "states": [to_written_state(state) for state in price.states],
            }
        case DiskPrice():
            return {"kind": "disk", "per_gib_month": price.per_gib_month}
        case CounterPrice():
            return {
                "kind": "counter",
                "meter": price.meter,
                "base_unit": price.base_unit,
                "unit": price.unit,
                "per": price.per,
                "price": price.price,
            }


def to_written_state(state: StatePrice) -> dict[str, object]:
    """Return the price of a state: the factor or the hourly price, whichever it has."""
    if state.factor is not None:
        return {"state": state.state, "factor": state.factor}
    return {"state": state.state, "per_hour": state.per_hour}


def from_written(written: Mapping[str, Any]) -> Price:
    """Make a price from its named members; raises ValueError for a kind that does not exist."""
    match written["kind"]:
        case "flavor":
            return FlavorPrice(
                flavor=written["flavor"],
                per_hour=Decimal(written["per_hour"]),
                states=tuple(from_written_state(state) for state in written["states"]),
            )
        case "size":
            return SizePrice(
                per_vcpu_hour=Decimal(written["per_vcpu_hour"]),
                per_ram_gib_hour=Decimal(written["per_ram_gib_hour"]),
                states=tuple(from_written_state(state) for state in written["states"]),
            )
        case "disk":
            return DiskPrice(Decimal(written["per_gib_month"]))
        case "counter":
            return CounterPrice(
                meter=written["meter"],
                base_unit=written["base_unit"],
                unit=written["unit"],
                per=Decimal(written["per"]),
                price=Decimal(written["price"]),
            )
        case kind:
            raise ValueError(f"there is no price of kind {kind!r}; the kinds are flavor, size, disk and counter")


def from_written_state(written: Mapping[str, Any]) -> StatePrice:
    """Make the price of a state from its named members."""
    factor, per_hour = written.get("factor"), written.get("per_hour")
    return StatePrice(
        state=written["state"],
        factor=None if factor is None else Decimal(factor),
        per_hour=None if per_hour is None else Decimal(per_hour),
    )
