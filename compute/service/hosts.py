"""The hosts as an operator sees them."""

from collections.abc import Sequence
from uuid import UUID

from compute.errors import HostNotFound
from compute.model import Host
from compute.store import hosts
from foundation.database import Transaction


def list_hosts(tx: Transaction) -> Sequence[Host]:
    """List the hosts with what is promised of them; for an admin."""
    return hosts.list_hosts(tx)


def get_host(tx: Transaction, host_id: UUID) -> Host:
    """Return a host. Raises HostNotFound."""
    found = hosts.list_hosts(tx, host_id=host_id)
    if not found:
        raise HostNotFound(f"No hypervisor matching '{host_id}' could be found.")
    return found[0]
