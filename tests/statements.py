"""Counting statements: that something is set-based is held by taking no more of them for many than for one."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg

from foundation.database import Transaction


@dataclass(slots=True)
class Counted:
    """The statements that were run so far."""

    texts: list[str] = field(default_factory=list[str])

    @property
    def statements(self) -> int:
        """How many they are."""
        return len(self.texts)

    def begin_again(self) -> int:
        """Return how many they are, and forget them."""
        taken = self.statements
        self.texts.clear()
        return taken


@contextmanager
def counted_statements(tx: Transaction) -> Generator[Counted]:
    """Count the statements of a transaction's plain cursors while the block runs, no other connection's."""
    counted = Counted()

    class CountingCursor(psycopg.Cursor[Any]):
        def execute(self, *args: Any, **more: Any) -> Any:
            counted.texts.append(str(args[0]))
            return super().execute(*args, **more)

        def copy(self, *args: Any, **more: Any) -> Any:
            counted.texts.append(str(args[0]))
            return super().copy(*args, **more)

    former = tx.cursor_factory
    tx.cursor_factory = CountingCursor
    try:
        yield counted
    finally:
        tx.cursor_factory = former
