"""The cloud in which stories are recorded and replayed: a database of its own, and a simulated host that works between commands."""

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Network
from pathlib import Path

from collectors.spool import Spool
from collectors.stop_note import StopNote
from compute import service as compute
from compute.hypervisor.simulated import SimulatedHypervisor
from entrypoints.agent import AgentSettings, HostAgent
from entrypoints.bootstrap import project_id_of
from foundation.database import Pool, transaction
from foundation.ids import new_hex_id
from identity import directory, service
from identity.directory import Grant, NewProject, NewUser
from identity.model import DEFAULT_DOMAIN_ID
from identity.service import DefaultScope, Reference
from tests.compute_builders import MANIFEST
from tests.contract.recorded_values import ADDRESS_PREFIX

GUESTS_MAX = 1_000
POLL_INTERVAL_S = 3_600
STEP_INTERVAL_S = 0.05
ROUNDS_MAX = 5
SYSTEM_ROLES = frozenset({"admin"})


@dataclass(frozen=True, slots=True)
class Account:
    """A user with one role in one new project."""

    project_name: str
    user_name: str
    password: str


class StoryCloud:
    """A host without time of its own, and accounts for stories."""

    def __init__(self, pool: Pool, folder: Path, *, clock: Callable[[], datetime]) -> None:
        self.pool = pool
        self.clock = clock
        hypervisor = SimulatedHypervisor(now=clock(), guests_max=GUESTS_MAX, clock=clock)
        settings = AgentSettings(f"simulated:{GUESTS_MAX}", Path("/images"), POLL_INTERVAL_S, StopNote(folder / "stop"))
        self.agent = HostAgent(
            pool=pool, hypervisor=hypervisor, spool=Spool(folder / "spool"), settings=settings, clock=clock
        )
        self._furnish()
        self.rest()

    def _furnish(self) -> None:
        now = self.clock()
        free = list(IPv4Network(f"{ADDRESS_PREFIX}.0.0/16").subnets(new_prefix=24))
        with transaction(self.pool) as tx:
            service.bootstrap(tx, now)
            admin = project_id_of(tx, "admin")
            compute.bootstrap_flavors(tx, now=now)
            compute.bootstrap_networks(tx, project_ids=[admin], free_cidrs=free, shared_owner_id=admin, now=now)
            compute.register_image(tx, MANIFEST, project_id=admin, now=now)

    def account(self, role_name: str) -> Account:
        """Make a project and a user with a role in it; an admin has it in the system too."""
        account = Account(f"project-{new_hex_id()[-12:]}", f"user-{new_hex_id()[-12:]}", f"secret-{new_hex_id()}")
        now = self.clock()
        with transaction(self.pool) as tx:
            login = service.find_login(tx, Reference(name="admin", domain_id=DEFAULT_DOMAIN_ID))
            assert login is not None
            expires_at = service.token_expiry(now, lifetime_s=3600)
            actor = service.issue_token(
                tx, login, scope=DefaultScope(), methods=["password"], now=now, expires_at=expires_at
            ).token
            project = directory.create_project(tx, actor, new=NewProject(account.project_name), now=now)
            user = directory.create_user(tx, actor, new=NewUser(account.user_name, account.password), now=now)
            (role,) = directory.list_roles(tx, name=role_name)
            directory.assign_role(tx, actor, Grant(user.id, role.id, project.id))
            if role_name in SYSTEM_ROLES:
                directory.assign_role(tx, actor, Grant(user.id, role.id, None))
        return account

    def rest(self) -> None:
        """Let the host do all that is desired of it."""
        for _ in range(ROUNDS_MAX):
            self.agent.wake()
            self.agent.step(self.clock())

    @contextmanager
    def working(self) -> Generator[None]:
        """Let the host work while the block runs."""
        is_over = threading.Event()

        def work() -> None:
            while not is_over.wait(STEP_INTERVAL_S):
                self.agent.wake()
                self.agent.step(self.clock())

        thread = threading.Thread(target=work, name="host")
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()
