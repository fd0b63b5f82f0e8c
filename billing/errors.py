"""What can go wrong in billing, by noun."""

from foundation.errors import Conflict, Invalid, NotFound, QuotaExceeded


class PricePlanNotFound(NotFound):
    """No such price plan."""

    def __init__(self, plan_id: object) -> None:
        super().__init__(f"there is no price plan {plan_id}")


class PricePlanConflict(Conflict):
    """The plan is there, but otherwise than asked."""


class PriceInvalid(Invalid):
    """Prices that cannot be kept or would charge something twice."""


class BillingAccountInvalid(Invalid):
    """Terms that no account can have."""


class InvoiceNotFound(NotFound):
    """No such invoice, or another project's."""

    def __init__(self, invoice_id: object) -> None:
        super().__init__(f"there is no invoice {invoice_id}")


class InvoiceLineNotFound(NotFound):
    """The invoice has no such line."""

    def __init__(self, number: int) -> None:
        super().__init__(f"the invoice has no line {number}")


class InvoiceIsFinal(Conflict):
    """A final invoice never changes."""

    def __init__(self, label: str) -> None:
        super().__init__(f"invoice {label} of this period is final; correct it by an adjustment or a credit note")


class InvoiceIsDiscarded(Conflict):
    """A draft that was discarded is none any more."""

    def __init__(self) -> None:
        super().__init__("this draft was discarded; draft its period again before you make it final")


class InvoiceOverlaps(Conflict):
    """Time that a final invoice has billed cannot be billed again."""

    def __init__(self, label: str) -> None:
        super().__init__(
            f"invoice {label} has already billed a part of this period; choose a period that it leaves free"
        )


class TooManyDrafts(QuotaExceeded):
    """A project keeps no more drafts than anybody could look at."""

    def __init__(self, drafts_max: int) -> None:
        super().__init__(
            f"the project has {drafts_max} drafts, as many as it may make; discard one, draft one of their periods again, "
            "or ask the operator for another"
        )


class TooManyDiscarded(TooManyDrafts):
    """Discarded drafts stay on record, so they are not endless either."""

    def __init__(self, discarded_max: int) -> None:
        QuotaExceeded.__init__(
            self,
            f"the project has discarded {discarded_max} drafts, as many as are kept; draft one of their periods again, "
            "or ask the operator for another",
        )


class PeriodInvalid(Invalid):
    """A period that cannot be billed."""


class PeriodNotOver(Conflict):
    """A period can be finalized only when it is over."""

    def __init__(self, end: str) -> None:
        super().__init__(f"the period ends at {end}; it can be finalized from then on")


class UsageOnItsWay(Conflict):
    """What is made final must hold all that is known: an event that metering has not heard yet would be lost to it."""

    def __init__(self) -> None:
        super().__init__(
            "facts of this project's instances are still on their way to metering; try again in a few seconds, "
            "and if it stays so, look at what the relay says in the workers' log"
        )


class InvoiceTooLarge(Invalid):
    """More lines than an invoice may have."""

    def __init__(self, lines_max: int) -> None:
        super().__init__(f"the period has more than {lines_max} lines; bill a shorter period")
