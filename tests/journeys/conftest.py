"""One stack with real guests for the journeys of a module."""

from collections.abc import Generator

import pytest

from foundation.ids import new_hex_id
from tests.conftest import migrated_database
from tests.journeys.stack import Stack, running_stack

POLL_INTERVAL_S = 5


@pytest.fixture(scope="module")
def guest_stack(cluster_url: str, tmp_path_factory: pytest.TempPathFactory) -> Generator[Stack]:
    """`nepho up` on this machine's libvirt, with an installation id and a database of its own."""
    with migrated_database(cluster_url, f"guests_{new_hex_id()}") as url:
        settings = {"NEPHO_DATABASE_URL": url, "NEPHO_POLL_INTERVAL_S": str(POLL_INTERVAL_S)}
        with running_stack(tmp_path_factory.mktemp("guests") / "var", settings) as stack:
            yield stack
            stack.delete_all()
