"""The six kinds of failure that the domain knows; each package subclasses them by noun, each dialect renders its own body."""


class DomainError(Exception):
    """A failure whose sentence is fit for the caller to read: it names what is wrong and how to mend it."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class NotFound(DomainError):
    """The thing is not there, or is another project's, which the caller must not be able to tell apart."""


class Conflict(DomainError):
    """The thing is there but not in a state, or not free, for what was asked."""


class Invalid(DomainError):
    """The request itself is wrong; `field` names the part to mend, where there is one."""

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class Forbidden(DomainError):
    """The caller is known and may not do this."""


class QuotaExceeded(DomainError):
    """The request is right but more than the project may have."""


class Unavailable(DomainError):
    """Something that we depend on is away; the same request may succeed later."""

    def __init__(self, message: str, *, retry_after_s: int = 2) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
