"""What comes in to billing on the native API, read strictly: exact prices as text, instants with an offset."""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated, Literal, TypeAlias
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from billing.prices import CounterPrice, DiskPrice, FlavorPrice, Price, SizePrice, StatePrice
from foundation.money import RoundingMode

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
LATEST = datetime(2100, 1, 1, tzinfo=UTC)
PRICE_TEXT_MAX = 40
PRICES_MAX = 1_000


def require_text_of_instant(value: object) -> object:
    """Refuse a number as an instant: nobody can see in it whether seconds or milliseconds are meant."""
    if not isinstance(value, str | datetime):
        raise ValueError("an instant is ISO 8601 text with an offset, such as 2026-03-01T00:00:00Z")
    return value


def require_plausible(value: datetime) -> datetime:
    """Refuse an instant that no invoice can be of."""
    if not EARLIEST <= value <= LATEST:
        raise ValueError("an instant lies between the years 2000 and 2100")
    return value.astimezone(UTC)


def read_amount(value: object) -> object:
    """Read a price from text or a whole number; a JSON fraction is refused, since it is not exact."""
    if isinstance(value, bool) or not isinstance(value, str | int) or len(str(value)) > PRICE_TEXT_MAX:
        raise ValueError('a price is text, such as "7.2"')
    try:
        return Decimal(value)
    except InvalidOperation as error:
        raise ValueError('a price is a decimal number as text, such as "7.2"') from error


Instant: TypeAlias = Annotated[
    AwareDatetime, BeforeValidator(require_text_of_instant), AfterValidator(require_plausible)
]
Amount: TypeAlias = Annotated[Decimal, BeforeValidator(read_amount)]
Name: TypeAlias = Annotated[str, Field(min_length=1, max_length=255)]
Currency: TypeAlias = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
Reason: TypeAlias = Annotated[str, Field(min_length=1, max_length=1000)]


class Request(BaseModel):
    """What comes in: a field that does not exist is refused."""

    model_config = ConfigDict(extra="forbid")


class StatePriceRequest(Request):
    """What a state other than active costs."""

    state: Name
    factor: Amount | None = None
    per_hour: Amount | None = None


class FlavorPriceRequest(Request):
    """A flavor by the second."""

    kind: Literal["flavor"]
    flavor: Name
    per_hour: Amount
    states: list[StatePriceRequest] = Field(default=[], max_length=20)


class SizePriceRequest(Request):
    """Every other flavor by its vCPUs and memory."""

    kind: Literal["size"]
    per_vcpu_hour: Amount
    per_ram_gib_hour: Amount
    states: list[StatePriceRequest] = Field(default=[], max_length=20)


class DiskPriceRequest(Request):
    """Disk space by the GiB-month."""

    kind: Literal["disk"]
    per_gib_month: Amount


class CounterPriceRequest(Request):
    """What a counter counts."""

    kind: Literal["counter"]
    meter: Name
    base_unit: Name
    unit: Name
    per: Amount
    price: Amount


PriceRequest: TypeAlias = Annotated[
    FlavorPriceRequest | SizePriceRequest | DiskPriceRequest | CounterPriceRequest, Field(discriminator="kind")
]


class PricePlanRequest(Request):
    """A plan to make."""

    name: Name
    currency: Currency
    reason: Reason = "asked by the API"


class PriceVersionRequest(Request):
    """Prices to take effect."""

    effective_from: Instant
    prices: list[PriceRequest] = Field(min_length=1, max_length=PRICES_MAX)
    reason: Reason = "asked by the API"


class AccountRequest(Request):
    """The terms of an account."""

    time_zone: Name
    currency: Currency
    tax_rate: Amount = Field(ge=0, lt=1, decimal_places=6)
    rounding: RoundingMode
    issuer_name: Name
    series: str = Field(pattern=r"^[A-Z0-9][A-Z0-9-]{0,31}$")
    reason: Reason = "asked by the API"


class AssignmentRequest(Request):
    """A plan to put an account on."""

    plan_id: UUID
    effective_from: Instant
    reason: Reason = "asked by the API"


class InvoiceRequest(Request):
    """A period to draft; without a project, the caller's own."""

    start: Instant
    end: Instant
    project_id: Name | None = None
    reason: Reason = "asked by the API"


class FinalizeRequest(Request):
    """Why a draft is made final."""

    reason: Reason = "asked by the API"


def to_prices(requests: Sequence[PriceRequest]) -> tuple[Price, ...]:
    """Make prices of what came in; raises ValueError for a price that cannot be."""
    return tuple(to_price(request) for request in requests)


def to_price(request: PriceRequest) -> Price:
    """Make one price."""
    match request:
        case FlavorPriceRequest():
            return FlavorPrice(request.flavor, request.per_hour, to_states(request.states))
        case SizePriceRequest():
            return SizePrice(request.per_vcpu_hour, request.per_ram_gib_hour, to_states(request.states))
        case DiskPriceRequest():
            return DiskPrice(request.per_gib_month)
        case CounterPriceRequest():
            return CounterPrice(request.meter, request.base_unit, request.unit, request.per, request.price)


def to_states(requests: Sequence[StatePriceRequest]) -> tuple[StatePrice, ...]:
    """Make the prices of states."""
    return tuple(StatePrice(request.state, request.factor, request.per_hour) for request in requests)
