"""How every process writes its log: one JSON object a line on stderr, with plain tracebacks and without secrets."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO, cast

import structlog
from structlog.typing import Processor

SECRET_WORDS = ("password", "secret", "token", "authorization", "cookie")
REDACTED = "***"


def redact_secrets(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Hide the value of every key that is named like a secret."""
    for key in event:
        if any(word in key.lower() for word in SECRET_WORDS):
            event[key] = REDACTED
    return event


PROCESSORS: list[Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    redact_secrets,
    structlog.processors.format_exc_info,
    structlog.processors.JSONRenderer(default=str),
]
"""One list for whoever configures again: loggers that are there already keep the list that they began with."""


class PresentStderr:
    """Writes to what stderr is at that moment: loggers live longer than a stderr that somebody put there for a while."""

    def write(self, text: str) -> int:
        """Write a part of a line."""
        return sys.stderr.write(text)

    def flush(self) -> None:
        """Pass on what was written."""
        sys.stderr.flush()


def configure_logs(level: int = logging.INFO) -> None:
    """Set up structlog for a process; a traceback never shows local variables, since those hold what callers sent."""
    structlog.configure(
        processors=PROCESSORS,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", PresentStderr())),
        cache_logger_on_first_use=True,
    )
