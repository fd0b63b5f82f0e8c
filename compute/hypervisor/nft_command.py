"""Runs nft: what is asked and answered is JSON, and what is changed is changed in one kernel transaction."""

import json
import subprocess
from collections.abc import Sequence
from typing import Any, TypeAlias

from compute.hypervisor.contract import HypervisorUnavailable

NFT_TIMEOUT_S = 20

Json: TypeAlias = dict[str, Any]


def list_table(family: str, table: str) -> Json | None:
    """Read one table; None when there is none."""
    done = _nft(["-j", "list", "table", family, table])
    return json.loads(done.stdout) if done.returncode == 0 else None


def list_table_names() -> Sequence[str]:
    """Name the inet tables of the host, whosever they are."""
    done = _nft(["-j", "list", "tables", "inet"])
    if done.returncode != 0:
        return []
    return [item["table"]["name"] for item in json.loads(done.stdout)["nftables"] if "table" in item]


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
