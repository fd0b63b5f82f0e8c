"""From where somebody signs in: the address that a trusted proxy tells, and nobody else's word."""

import pytest

from api.login import told_client

PROXIES = "10.0.0.0/8, 192.0.2.7"


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "1.1.1.1, 198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "198.51.100.1, 192.0.2.7, 10.3.3.3", "198.51.100.1"),
        ("10.0.0.1", "10.0.0.2, 10.0.0.3", "10.0.0.2"),
        ("10.0.0.1", "nonsense", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.1, nonsense", "10.0.0.1"),
        ("10.0.0.1", " 2001:db8::7 ", "2001:db8::7"),
    ],
)
def test_the_nearest_address_that_is_no_proxy_of_ours_counts(peer: str, forwarded: str, expected: str) -> None:
    assert told_client(peer, forwarded, proxies=PROXIES) == expected


def test_without_proxies_nobody_is_believed() -> None:
    assert told_client("10.0.0.1", "198.51.100.1", proxies="") == "10.0.0.1"
