"""The written form of prices: what a price version stores, what an invoice quotes, and back again."""

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from billing.canonical import canonical_json
from billing.model import (
    CounterPrice,
    DiskPrice,
    FlavorPrice,
    Price,
    PriceVersion,
    SizePrice,
    StatePrice,
    price_key,
)


def price_text(prices: Sequence[Price]) -> str:
    """Write prices as canonical JSON, in an order that does not depend on how they were given."""
    return canonical_json([to_written(price) for price in sorted(prices, key=price_key)]).decode()


def read_prices(text: str) -> tuple[Price, ...]:
    """Read prices from their written form."""
    return tuple(from_written(written) for written in json.loads(text))


def version_terms(version: PriceVersion) -> dict[str, object]:
    """Return the terms of a version as an invoice quotes them."""
    return {
        "id": version.id,
        "plan_id": version.plan_id,
        "number": version.number,
        "effective_from": version.effective_from,
        "prices": [to_written(price) for price in sorted(version.prices, key=price_key)],
    }


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
