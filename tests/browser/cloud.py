"""A small cloud for the page to show: the real agent on a simulated host and the real workers' steps, told in their own time.

Nothing is inserted by hand but the image: a quarter of an hour of load, alarm, scaling and cost is lived through in seconds, and
then goes on in real time for as long as the tests look at it.
"""

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import LiteralString
from uuid import UUID

from alarms import service as alarms
from alarms.cpu_percent import cpu_percent_rule
from alarms.model import Actions, AlarmFilter, AlarmSpec, ComparisonOperator, Severity
from billing import service as billing
from collectors.spool import Spool
from collectors.stop_note import StopNote
from compute import service as compute
from compute.hypervisor.contract import LaunchFailure
from compute.hypervisor.simulated import Load, SimulatedHypervisor
from compute.lifecycle import FAILURES_MAX
from compute.model import LaunchRequest
from entrypoints.agent import AgentSettings, HostAgent
from entrypoints.wiring import relay_outbox
from foundation.clock import utc_now
from foundation.database import Pool, transaction
from identity import service as identity
from identity.model import DEFAULT_DOMAIN_ID, Caller
from identity.policy import product_caller
from identity.service import Reference
from scaling import service as scaling
from scaling.model import AdjustmentType, GroupSpec, LaunchTemplate, PolicySpec
from tests.compute_builders import FREE_CIDRS, MANIFEST

STEP = timedelta(seconds=10)
GRANULARITY_S = 10
HIGH_PERCENT, LOW_PERCENT = 60, 20
RELAY_ROUNDS_MAX = 5
HEART_S = 2.0
FLAVOR_ID = "0"
HISTORY_STEPS = 80
SILENT_STEPS = range(44, 50)
"""The agent is away here: a gap that the chart must show as one."""

TELL_EARLIER: LiteralString = "UPDATE outbox_event SET next_attempt_at = %s WHERE handled_at IS NULL"
"""An event is born at the database's own time, which is ahead of the time that is told."""


@dataclass(frozen=True, slots=True)
class Account:
    """How a user signs in."""

    username: str
    password: str


def demand_at(step: int) -> float:
    """How many servers' worth of work comes in: quiet, a rush, quiet, and a bigger rush that goes on."""
    base = 0.7 if step < 14 else 2.3 if step < 36 else 0.9 if step < 62 else 3.6
    return base * (1 + 0.09 * math.sin(step * 1.7))


@dataclass(slots=True)
class SmallCloud:
    """One host, a group of web servers that scales, and three instances beside it."""

    pool: Pool
    folder: Path
    now: datetime = field(default_factory=lambda: utc_now() - HISTORY_STEPS * STEP)
    accounts: dict[str, Account] = field(default_factory=dict[str, Account])
    host: SimulatedHypervisor = field(init=False)
    agent: HostAgent = field(init=False)
    caller: Caller = field(init=False)
    image_id: UUID = field(init=False)
    group_id: UUID = field(init=False)
    steps: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    is_over: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.host = SimulatedHypervisor(now=self.now, hostname="host-1")
        settings = AgentSettings("simulated:1000", self.folder, STEP.total_seconds(), StopNote(self.folder / "stop"))
        spool = Spool(self.folder / "spool")
        self.agent = HostAgent(pool=self.pool, hypervisor=self.host, spool=spool, settings=settings)

    def found(self) -> None:
        """Make accounts, sizes, networks, the image, prices and the host."""
        with transaction(self.pool) as tx:
            made = identity.bootstrap(tx, self.now)
            assert made.admin is not None
            assert made.demo is not None
            for account in (made.admin, made.demo):
                self.accounts[account.user_name] = Account(account.user_name, account.password)
            demo = identity.find_referenced_project(tx, Reference(name="demo", domain_id=DEFAULT_DOMAIN_ID))
            assert demo is not None
            self.caller = product_caller(project_id=demo.id)
            compute.bootstrap_flavors(tx, now=self.now)
            compute.bootstrap_networks(
                tx,
                project_ids=[self.caller.project_id],
                free_cidrs=FREE_CIDRS,
                shared_owner_id=self.caller.project_id,
                now=self.now,
            )
            image = compute.register_image(tx, MANIFEST, project_id=self.caller.project_id, now=self.now)
            self.image_id = image.id
            billing.bootstrap_plans(tx, self.now)
        self.agent.step(self.now)

    def live_through(self) -> None:
        """Tell the quarter of an hour up to now."""
        old_batch, _ = self.launch("old-batch", "db-1")
        self.step()
        self.fail_a_launch("import-job")
        self.make_group()
        with transaction(self.pool) as tx:
            compute.stop_instance(tx, caller=self.caller, instance_id=old_batch, now=self.now)
        while self.steps < HISTORY_STEPS:
            self.step()
        self.let_alarms_speak_once()

    def go_on(self) -> None:
        """Go on in real time until the cloud is over; runs in a thread of its own."""
        told_until = self.now
        while not self.is_over.wait(HEART_S):
            with self.lock:
                self.now = utc_now()
                self.steps = HISTORY_STEPS + (self.now - told_until) // STEP
                self.share_demand()
                self.work()

    def step(self) -> None:
        """Let one step of told time pass."""
        self.steps += 1
        self.now += STEP
        self.share_demand()
        self.work()

    def let_alarms_speak_once(self) -> None:
        """From now on a lasting alarm is told once: refusals without end would push the decisions of the story off the page."""
        with transaction(self.pool) as tx:
            for alarm in alarms.list_alarms(tx, AlarmFilter(project_id=self.caller.project_id), caller=self.caller):
                spec = replace(alarm.spec, repeat_actions=False)
                alarms.update_alarm(tx, alarm.id, spec=spec, caller=self.caller, now=self.now)

    def share_demand(self) -> None:
        """Give the web servers their shares of the demand, none quite alike, and the database its own steady load."""
        servers = [guest for guest in self.host.guests.values() if guest.spec.name.startswith("web-")]
        for guest in self.host.guests.values():
            guest.count_until(self.now)
            guest.load = Load(cpu_fraction=0.3, outgoing_bytes=2_000_000)
        for place, guest in enumerate(servers):
            share = demand_at(self.steps) / len(servers) * (1 + 0.06 * math.sin(self.steps + 2 * place))
            guest.load = Load(cpu_fraction=min(0.98, share), outgoing_bytes=2_000_000)

    def work(self) -> None:
        """Do what is due: the agent's part, then the workers', and again what that set off on the host."""
        self.host.advance(self.now)
        self.let_agent_step()
        self.relay()
        with transaction(self.pool) as tx:
            alarms.evaluate_due(tx, self.now)
        self.relay()
        with transaction(self.pool) as tx:
            scaling.converge_groups(tx, self.now)
        self.let_agent_step()
        self.relay()

    def let_agent_step(self) -> None:
        """The agent looks at the host at once, as a NOTIFY makes it; in the gap it does not run."""
        if self.steps in SILENT_STEPS:
            return
        self.agent.wake()
        self.agent.step(self.now)

    def relay(self) -> None:
        """Hand on all events, those that handing on makes too."""
        for _ in range(RELAY_ROUNDS_MAX):
            with transaction(self.pool) as tx:
                tx.execute(TELL_EARLIER, (self.now,))
            if relay_outbox(self.pool, now=self.now) == 0:
                return

    def launch(self, *names: str) -> Sequence[UUID]:
        """Order an instance of each name."""
        with transaction(self.pool) as tx:
            return [
                compute.create_instances(
                    tx, caller=self.caller, request=LaunchRequest(name, self.image_id, FLAVOR_ID), now=self.now
                )[0].id
                for name in names
            ]

    def fail_a_launch(self, name: str) -> None:
        """Order an instance that the host cannot start, as often as it is tried."""
        self.launch(name)
        for _ in range(FAILURES_MAX):
            self.host.fail_next(
                "start_instance", LaunchFailure("the guest's disk does not fit on host-1: 3 GiB are free")
            )
        self.step()
        while self.host.failures.get("start_instance"):
            self.step()

    def make_group(self) -> None:
        """Make the group, its two policies, and the alarms that execute them."""
        launch = LaunchTemplate(image_id=self.image_id, flavor_id=FLAVOR_ID)
        spec = GroupSpec("web", launch, size_min=1, size_max=4, size_desired=2, cooldown_s=60)
        with transaction(self.pool) as tx:
            self.group_id = scaling.create_group(tx, spec, caller=self.caller, now=self.now).group.id
        for name, threshold, operator, change in (
            ("web-cpu-high", HIGH_PERCENT, ComparisonOperator.GT, 1),
            ("web-cpu-low", LOW_PERCENT, ComparisonOperator.LT, -1),
        ):
            self.make_alarm(name, threshold=threshold, operator=operator, change=change)

    def make_alarm(self, name: str, *, threshold: float, operator: ComparisonOperator, change: int) -> None:
        """Make an alarm on the group's CPU and the policy that it executes, again for as long as it lasts."""
        with transaction(self.pool) as tx:
            policy_spec = PolicySpec(f"{name} policy", AdjustmentType.CHANGE_IN_CAPACITY, adjustment=change)
            policy = scaling.create_policy(tx, self.group_id, spec=policy_spec, caller=self.caller, now=self.now)
            rule = cpu_percent_rule(
                group_id=self.group_id,
                instance_id=None,
                threshold=threshold,
                comparison_operator=operator,
                evaluation_periods=2,
                granularity_s=GRANULARITY_S,
            )
            spec = AlarmSpec(
                name=name,
                rule=rule,
                severity=Severity.CRITICAL if change > 0 else Severity.LOW,
                actions=Actions(alarm=(f"scaling:{policy.id}",)),
                repeat_actions=change > 0,
                evaluation_interval_s=GRANULARITY_S,
            )
            alarms.create_alarm(tx, spec, caller=self.caller, now=self.now)
