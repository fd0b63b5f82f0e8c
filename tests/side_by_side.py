"""How the tests are spread over several processes: a module stays whole, and modules that share one thing run one after another."""

import contextlib
import os
import signal
from collections import Counter
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

import psutil
import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

from provision.timescaledb import running_test_cluster

CLUSTER_VARIABLE = "NEPHO_TEST_DATABASE_URL"
SHARING = {
    "guests": (
        "tests/journeys/test_guests.py",
        "tests/journeys/test_agent_on_guests.py",
        "tests/contract/test_hypervisor.py",
        "tests/contract/test_traffic_of_guests.py",
        "tests/contract/test_compute_full_disk.py",
        "tests/contract/test_boot_epochs.py",
        "tests/contract/test_network_isolation.py",
    ),
    "kills": ("tests/journeys/test_kills.py",),
    "browser": (
        "tests/browser/test_overview.py",
        "tests/browser/test_hard_contents.py",
        "tests/browser/test_looks.py",
        "tests/browser/test_signing_in.py",
        "tests/browser/test_away_and_back.py",
    ),
}
"""What there is one of, and whose tests therefore follow one another: this machine's room for guests, the cloud that the browser looks at.

They take longest and mostly wait, so they begin first, in this order.
"""
LONG = (
    "tests/contract/test_listener.py",
    "tests/contract/test_keystone_clients.py",
    "tests/contract/test_compute_clients.py",
    "tests/contract/test_aodh.py",
    "tests/store/test_retention.py",
    "tests/contract/test_gnocchi.py",
    "tests/contract/test_native_schema_fuzz.py",
    "tests/store/test_invoice_law.py",
)
"""What begins next, so that none of them is left over at the end for one worker alone."""
GROUP_OF_MODULE = {module: group for group, modules in SHARING.items() for module in modules}
PLACE_OF_MODULE = {module: place for place, module in enumerate((*GROUP_OF_MODULE, *LONG))}
WORKERS_BESIDE_CORES = 1
"""Who waits for a guest to boot needs no core."""
WORKERS_MAX = 6
LEAVE_S_MAX = 180
"""What a worker may take to stop guests and a whole product when it is interrupted."""


def worker_count() -> int:
    """How many workers `-n auto` means on this machine."""
    return min(len(os.sched_getaffinity(0)) + WORKERS_BESIDE_CORES, WORKERS_MAX)


def module_of(node_id: str) -> str:
    """The path of the module that a test is in."""
    return node_id.partition("::")[0]


def group_of(node_id: str) -> str:
    """What runs in one worker, in its order: the modules that share something, else the module alone."""
    module = module_of(node_id)
    return GROUP_OF_MODULE.get(module, module)


class Item(Protocol):
    """What of a collected test matters here."""

    @property
    def nodeid(self) -> str:
        """Its module's path, then its name."""
        ...

    def get_closest_marker(self, name: str) -> object:
        """The mark of that name, or None."""
        ...


SomeItem = TypeVar("SomeItem", bound=Item)


def check_places(items: Sequence[Item]) -> None:
    """Raise UsageError for a module whose tests are marked as sharing something and that is in no group, and for tests of one name."""
    marked = (item for item in items if any(item.get_closest_marker(mark) for mark in SHARING))
    lost = sorted({module_of(item.nodeid) for item in marked} - GROUP_OF_MODULE.keys())
    if lost:
        raise pytest.UsageError(f"{', '.join(lost)} uses what others use too: name it in SHARING of {__file__}")
    twins = sorted(name for name, count in Counter(item.nodeid for item in items).items() if count > 1)
    if twins:
        raise pytest.UsageError(f"{', '.join(twins)}: several tests of this name, of which workers would run one only")


def arrange(items: list[SomeItem]) -> None:
    """Put those that share something first, then the long ones, module by module, and leave the order of the rest."""
    items.sort(key=lambda item: PLACE_OF_MODULE.get(module_of(item.nodeid), len(PLACE_OF_MODULE)))


class GroupScheduling(LoadScopeScheduling):
    """Gives each worker one group after another, in the order in which they were collected."""

    def __init__(self, config: pytest.Config, log: Producer | None = None) -> None:
        config.option.loadscopereorder = False
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)


@contextlib.contextmanager
def shared_cluster(var: Path) -> Generator[str]:
    """One database cluster for all workers, which find its URL where they would find a given one."""
    given = os.environ.get(CLUSTER_VARIABLE)
    if given:
        yield given
        return
    with running_test_cluster(var) as url:
        os.environ[CLUSTER_VARIABLE] = url
        try:
            yield url
        finally:
            del os.environ[CLUSTER_VARIABLE]


class Workers:
    """What whoever distributes the tests knows of the workers: the cluster of all, and that none is cut off while it tidies up."""

    def __init__(self, var: Path) -> None:
        self.var = var
        self.ready: list[WorkerController] = []

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Start the cluster before the workers, whose environment is ours; it ends after them, however they end."""
        cluster = contextlib.ExitStack()
        session.config.add_cleanup(cluster.close)
        cluster.enter_context(shared_cluster(self.var))

    def pytest_testnodeready(self, node: WorkerController) -> None:
        """Remember it."""
        self.ready.append(node)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Interrupt the workers that still work, as Ctrl-C does to a single process, and let them stop what they started."""
        working = [node for node in self.ready if not node.channel.isclosed()]
        if not working:
            return
        for worker in worker_processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                worker.send_signal(signal.SIGINT)
        for node in working:
            with contextlib.suppress(TimeoutError, node.channel.RemoteError):
                node.channel.waitclose(LEAVE_S_MAX)


def worker_processes() -> list[psutil.Process]:
    """The workers: our children that have left our process group and are no database."""
    children = psutil.Process().children()
    return [each for each in children if os.getpgid(each.pid) == each.pid and each.name().startswith("python")]


def become_worker() -> None:
    """Leave the terminal's foreground, so that Ctrl-C reaches the distributor only, and us by it, once."""
    os.setpgid(0, 0)
