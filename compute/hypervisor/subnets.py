"""Which subnets an installation may use: those that meet nothing the host routes, from a corner of 10/8 of its own. Pure."""

from collections.abc import Iterator, Sequence
from hashlib import sha256
from ipaddress import IPv4Network
from itertools import islice

PRIVATE_RANGE = IPv4Network("10.0.0.0/8")
SUBNET_PREFIX = 24
SUBNETS_MAX = 4_096


def choose_free_subnets(occupied: Sequence[IPv4Network], *, installation: str, count: int) -> list[IPv4Network]:
    """Return `count` subnets that meet nothing occupied.

    Where the search begins follows from the installation's id, so that two installations on one machine choose apart even
    before either has made a network. `count` is at most SUBNETS_MAX; fewer come back where no more are free.
    """
    free = (subnet for subnet in _candidates(installation) if not any(subnet.overlaps(network) for network in occupied))
    return list(islice(free, min(count, SUBNETS_MAX)))


def _candidates(installation: str) -> Iterator[IPv4Network]:
    blocks = list(PRIVATE_RANGE.subnets(new_prefix=16))
    first = int.from_bytes(sha256(installation.encode()).digest()[:4], "big") % len(blocks)
    for block in blocks[first:] + blocks[:first]:
        yield from block.subnets(new_prefix=SUBNET_PREFIX)
