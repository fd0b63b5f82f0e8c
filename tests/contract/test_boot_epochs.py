"""A guest that was migrated brings its former host's note of its boot along; its counters begin anew, and so must its epoch."""

from collections.abc import Iterator
from pathlib import Path

import libvirt
import pytest

from compute.domain_xml import BOOT_NAMESPACE, PREFIX, build_boot_mark, domain_name, read_boot_host, read_boot_mark
from compute.hypervisor.libvirt_driver import LibvirtHypervisor
from tests.contract.test_hypervisor import Bench, boot_epoch_of, libvirt_bench

pytestmark = pytest.mark.guests
FORMER_EPOCH = 1_772_323_200_000_000


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A libvirt host with one network."""
    yield from libvirt_bench(tmp_path)


def test_a_note_of_another_host_gives_a_new_epoch_and_our_own_is_kept_by_the_next_agent(bench: Bench) -> None:
    driver = bench.driver
    assert isinstance(driver, LibvirtHypervisor)
    spec = bench.running()
    first = boot_epoch_of(bench, spec)
    with driver.connection.calls() as host:
        domain = host.lookupByName(domain_name(driver.installation, spec.instance_id))
        for mark in (build_boot_mark(FORMER_EPOCH), build_boot_mark(FORMER_EPOCH, host_boot="another")):
            domain.setMetadata(
                libvirt.VIR_DOMAIN_METADATA_ELEMENT,
                mark,
                f"{PREFIX}boot",
                BOOT_NAMESPACE,
                libvirt.VIR_DOMAIN_AFFECT_LIVE,
            )
    after = epoch_seen_by_another(driver, bench)
    assert abs(after - first) < 1_000_000
    assert after != FORMER_EPOCH
    assert epoch_seen_by_another(driver, bench) == after


def epoch_seen_by_another(driver: LibvirtHypervisor, bench: Bench) -> int:
    """Look as an agent does that was started anew."""
    another = LibvirtHypervisor("qemu:///system", installation=driver.installation, root=Path("/nonexistent"))
    try:
        return another.read_stats()[0].boot_epoch
    finally:
        another.close()


def test_a_note_without_a_host_is_ours() -> None:
    assert read_boot_host('<boot epoch="5"/>') == ""
    assert read_boot_mark('<boot epoch="5"/>') == 5
    assert read_boot_host(build_boot_mark(5, host_boot="h")) == "h"
