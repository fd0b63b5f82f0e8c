"""Who may read what is set up, whatever root's own umask."""

import os
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def read_by_all() -> Generator[None]:
    """What is made may be read by everybody: the database's own user, QEMU's and a guest's must, and none of it is secret."""
    before = os.umask(0o022)
    try:
        yield
    finally:
        os.umask(before)
