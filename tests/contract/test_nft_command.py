"""What nft answers is told apart: a table that is not there is no failure, and a failure is never taken for one."""

from pathlib import Path
from uuid import uuid4

import pytest

from compute.hypervisor.contract import HypervisorUnavailable
from compute.hypervisor.nft_command import list_table, list_table_names
from compute.hypervisor.nftables import PacketFilter


def test_a_table_that_is_not_there_is_none() -> None:
    assert list_table("inet", f"nephoscope_{uuid4().hex[:8]}") is None


@pytest.fixture
def failing_nft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An nft that the kernel refuses for a while; it notes whether it was asked to change anything."""
    program, noted = tmp_path / "nft", tmp_path / "changed"
    program.write_text(
        f'#!/bin/sh\ncase "$*" in *-f*) echo "$@" >>{noted};; esac\n'
        "echo 'netlink: Error: cache initialization failed: No buffer space available' >&2\nexit 1\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/sbin:/usr/bin:/sbin:/bin")
    return noted


def test_a_listing_that_fails_is_not_an_absent_table(failing_nft: Path) -> None:
    with pytest.raises(HypervisorUnavailable, match="No buffer space"):
        list_table("inet", "nephoscope_t")


def test_counters_are_not_thrown_away_because_they_could_not_be_read(failing_nft: Path) -> None:
    with pytest.raises(HypervisorUnavailable):
        PacketFilter("t").converge([], [])
    assert not failing_nft.exists()


def test_other_installations_that_cannot_be_seen_are_not_taken_for_gone(failing_nft: Path) -> None:
    with pytest.raises(HypervisorUnavailable, match="No buffer space"):
        list_table_names()
