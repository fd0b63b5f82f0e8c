"""Runs nft: what is asked and answered is JSON, and what is changed is changed in one kernel transaction."""

import json
import subprocess
from collections.abc import Sequence
from typing import Any, TypeAlias

from compute.hypervisor.contract import HypervisorUnavailable

NFT_TIMEOUT_S = 20
ABSENT = "No such file or directory"
"""How nft says ENOENT, in no other language than this."""

Json: TypeAlias = dict[str, Any]


def list_table(family: str, table: str) -> Json | None:
    """Read one table; None when there is none. Raises HypervisorUnavailable when that cannot be told."""
    done = _nft(["-j", "list", "table", family, table])
    if done.returncode != 0 and ABSENT in done.stderr:
        return None
    return _answer(done)


def list_table_names() -> Sequence[str]:
    """Name the inet tables of the host, whosever they are. Raises HypervisorUnavailable."""
    done = _nft(["-j", "list", "tables", "inet"])
    return [item["table"]["name"] for item in _answer(done)["nftables"] if "table" in item]


def _answer(done: subprocess.CompletedProcess[str]) -> Json:
    if done.returncode != 0:
        raise HypervisorUnavailable(f"the packet filter does not tell its rules: {done.stderr.strip()[:500]}")
    return json.loads(done.stdout)


def run_nft(commands: Sequence[Json]) -> None:
    """Apply commands in one kernel transaction: all of them or none. Raises HypervisorUnavailable."""
    done = _nft(["-j", "-f", "-"], text=json.dumps({"nftables": list(commands)}))
    if done.returncode != 0:
        raise HypervisorUnavailable(f"the packet filter refused our rules: {done.stderr.strip()[:500]}")


def _nft(arguments: list[str], text: str | None = None) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            ["nft", *arguments], input=text, capture_output=True, text=True, timeout=NFT_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise HypervisorUnavailable(f"the packet filter does not answer: {error}") from error
