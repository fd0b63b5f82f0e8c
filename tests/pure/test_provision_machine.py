"""What is checked before anything is made: each failure is one sentence that names its mend."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provision import machine
from provision.failures import ProvisionError


def test_an_ordinary_user_is_told_to_become_root():
    with pytest.raises(ProvisionError, match="Become root"):
        machine.check_rights(1000)
    machine.check_rights(0)


def test_another_system_is_named():
    with pytest.raises(ProvisionError, match=r"runs Ubuntu 24\.04"):
        machine.check_system({"ID": "ubuntu", "VERSION_ID": "24.04", "PRETTY_NAME": "Ubuntu 24.04"})
    machine.check_system({"ID": "debian", "VERSION_ID": "12"})


def test_too_little_disk_says_how_much_is_needed_and_where():
    with pytest.raises(ProvisionError, match=r"100 MiB free for /x, 4096 MiB needed.*NEPHO_VAR"):
        machine.check_disk(100, needed_mib=4096, folder=Path("/x"))


def test_too_little_memory_is_said():
    with pytest.raises(ProvisionError, match="200 MiB available"):
        machine.check_memory(200)


@pytest.mark.parametrize("listen", ["8780", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:70000", "127.0.0.1:http", ":80"])
def test_a_bad_listen_address_is_refused(listen: str):
    with pytest.raises(ProvisionError, match="is not an address and a port"):
        machine.parse_listen(listen)


@given(st.ip_addresses(), st.integers(1, 65_535))
def test_every_address_and_port_is_understood(address: object, port: int):
    text = f"[{address}]:{port}" if ":" in str(address) else f"{address}:{port}"
    assert machine.parse_listen(text) == (str(address), port)


@given(st.ip_addresses().map(str), st.integers(1, 65_535))
def test_the_other_port_that_is_named_can_be_typed_as_it_stands(host: str, port: int):
    other_host, other_port = machine.parse_listen(machine.beside(host, port))
    assert other_host == host
    assert abs(other_port - port) == 1


def test_the_owner_of_a_port_is_read_from_the_listing():
    listing = 'LISTEN 0 511 127.0.0.1:8780 0.0.0.0:* users:(("nginx",pid=812,fd=6),("nginx",pid=813,fd=6))\n'
    assert machine.owner_in_listing(listing) == "nginx (process 812)"
    assert machine.owner_in_listing("") == ""


def test_key_values_lose_their_quotes():
    assert machine.parse_key_values('ID=debian\nPRETTY_NAME="Debian 12"\n\n', separator="=") == {
        "ID": "debian",
        "PRETTY_NAME": "Debian 12",
    }
