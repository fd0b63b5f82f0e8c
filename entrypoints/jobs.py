"""The worker process: each Celery task asks the database what is due, claims it and does it; a task carries no truth."""

import gc
import os
import time
import warnings
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import Any

import structlog
from celery import signals
from celery.platforms import SecurityWarning

from alarms import service as alarms
from alarms import webhook
from compute import service as compute
from entrypoints import wiring
from entrypoints.logs import configure_logs
from entrypoints.queue import ROLL_UP_EXPIRES_S, TICK_EXPIRES_S, app, settings
from foundation import outbox
from foundation.clock import utc_now
from foundation.database import Pool, Transaction, open_pool, transaction
from foundation.database_clock import database_now
from foundation.errors import Unavailable
from foundation.instruments import counter, histogram, recorder
from identity import service as identity
from metering import service as metering
from metering.service import event_meters, events
from orchestration import retention
from orchestration.retention import RetentionTerms
from scaling import service as scaling

log = structlog.get_logger()

TRANSACTION_TIMEOUT_MS = 90_000
ROUNDS_MAX = 20
"""How often one task takes more of the same work before it lets the queue turn."""
EVALUATE_ALARMS_MAX = 10_000
DELIVERIES_MAX = 20
GROUPS_MAX = 100
RETENTION_STEPS_MAX = 1_000
RETENTION_RUN = timedelta(seconds=30)
"""A step may take many seconds more, and the task has its limit; the next turn goes on."""
OUTBOX_KEPT = timedelta(days=7)
DELIVERIES_KEPT = timedelta(days=30)
"""How long the log of webhooks shows a delivery that has ended; the history of the alarm itself stays."""
DELETED_INSTANCES_KEPT = timedelta(days=90)
"""How long an instance that is gone is still shown to those who ask for deleted ones; metering and bills keep it for good."""

process_signals: Any = signals
"""Celery has no types; what we take from it is named Any where it comes in."""


TASKS = counter(
    "nephoscope_tasks_total", "Tasks that workers ended: done, postponed for an outage, failed.", "task", "outcome"
)
TASK_DURATION = histogram("nephoscope_task_duration_seconds", "From a task's begin to its end.", "task")
ROLLED_MARKS = counter("nephoscope_rollup_marks_handled_total", "Dirty marks that were rolled up.")
ROLLED_BUCKETS = counter("nephoscope_rollup_buckets_written_total", "Buckets that were computed anew.")
EVALUATIONS = counter("nephoscope_alarm_evaluations_total", "Alarms that were judged.")
TRANSITIONS = counter("nephoscope_alarm_transitions_total", "Alarms that changed their state.")

pools: dict[int, Pool] = {}
"""The pool of this child; a pool is never carried over a fork."""


def database() -> Pool:
    """Return this child's pool, opened at its first use."""
    pool = pools.get(os.getpid())
    if pool is None:
        url = settings.database_url.get_secret_value()
        pool = open_pool(url, size_max=3, application_name="worker", transaction_timeout_ms=TRANSACTION_TIMEOUT_MS)
        pools[os.getpid()] = pool
    return pool


@process_signals.celeryd_init.connect
def accept_root(**_: Any) -> None:
    """Silence Celery's warning of root: our tasks are JSON, and it is pickle that would let a message run what it likes."""
    warnings.filterwarnings("ignore", category=SecurityWarning)


@process_signals.setup_logging.connect
def set_logs_up(**_: Any) -> None:
    """Write the worker's log as every other process does."""
    configure_logs()


@process_signals.worker_init.connect
def share_memory(**_: Any) -> None:
    """Count as a worker, and put what is loaded out of the collector's sight before the children are forked, who share its pages."""
    recorder.keep_in(settings.metrics_folder, "worker")
    gc.collect()
    gc.freeze()


@process_signals.worker_process_init.connect
def open_database(**_: Any) -> None:
    """Open the pool when a child starts, so that the first task does not wait for it."""
    database()


@process_signals.worker_process_shutdown.connect
def close_database(**_: Any) -> None:
    """Give the connections back when a child ends."""
    for pool in pools.values():
        pool.close()


def task(name: str) -> Callable[[Callable[..., None]], Any]:
    """Declare a task whose outage is no failure: the next tick finds the work again."""

    def declare(function: Callable[..., None]) -> Any:
        def run(*arguments: Any) -> None:
            started, outcome = time.perf_counter(), "failed"
            try:
                function(*arguments)
                outcome = "done"
            except Unavailable as error:
                outcome = "postponed"
                log.warning("task.postponed", task=name, reason=error.message)
            finally:
                TASKS.add(1, name, outcome)
                TASK_DURATION.observe(time.perf_counter() - started, name)

        return app.task(name=name)(run)

    return declare


def repeat_until_done(step: Callable[[], int], rounds_max: int = ROUNDS_MAX) -> None:
    """Run a step until it finds nothing to do, at most so many times."""
    for _ in range(rounds_max):
        if step() == 0:
            return


@task("tick")
def tick() -> None:
    """Look at what is due, in one short transaction, and wake the tasks that do it."""
    with transaction(database()) as tx:
        now = database_now(tx)
        due_shards = metering.dirty_shards(tx)
        wanted = [
            (relay_outbox, outbox.has_due(tx, now=now)),
            (evaluate_alarms, alarms.has_due(tx, now=now)),
            (send_deliveries, alarms.has_due_deliveries(tx, now=now)),
            (converge_groups, scaling.has_due(tx, now=now)),
            (count_past_events, event_meters.has_past_events_due(tx)),
            (keep_samples, metering.is_retention_due(tx, now=now)),
        ]
    for shard in due_shards:
        roll_up.apply_async((shard,), expires=ROLL_UP_EXPIRES_S)
    for wake, is_due in wanted:
        if is_due:
            wake.apply_async(expires=TICK_EXPIRES_S)


@task("roll_up")
def roll_up(shard: int) -> None:
    """Recompute the dirty buckets of one shard; only one worker at a time holds a shard."""
    for _ in range(ROUNDS_MAX):
        with metering.shard_lease(database(), shard) as tx:
            if tx is None:
                return
            result = metering.roll_up_shard(tx, shard=shard)
        ROLLED_MARKS.add(result.marks)
        ROLLED_BUCKETS.add(result.buckets)
        if not result.more:
            return


@task("count_past_events")
def count_past_events() -> None:
    """Let meters that were just made count the events that came before them, some thousands a transaction."""

    def count_some() -> int:
        with transaction(database()) as tx:
            return event_meters.count_past_events(tx)

    repeat_until_done(count_some)


@task("relay_outbox")
def relay_outbox() -> None:
    """Hand events to their hearers, then wake what they may have made due."""

    def relay_some() -> int:
        with transaction(database()) as tx:
            now = database_now(tx)
        return wiring.relay_outbox(database(), now=now)

    repeat_until_done(relay_some)
    send_deliveries.apply_async(expires=TICK_EXPIRES_S)
    converge_groups.apply_async(expires=TICK_EXPIRES_S)


@task("evaluate_alarms")
def evaluate_alarms() -> None:
    """Judge the due alarms, and relay at once what changed.

    By the database's clock: a worker whose own is fast would find no points yet and put every alarm to insufficient data.
    """
    with transaction(database()) as tx:
        result = alarms.evaluate_due(tx, now=database_now(tx), limit=EVALUATE_ALARMS_MAX)
    EVALUATIONS.add(result.evaluated)
    TRANSITIONS.add(result.transitions)
    if result.slow is not None:
        log.warning("alarm.too_slow_to_evaluate", alarm_id=str(result.slow))
    if result.transitions:
        relay_outbox.apply_async(expires=TICK_EXPIRES_S)


@task("send_deliveries")
def send_deliveries() -> None:
    """Send the due webhooks: lease, call outside any transaction, record."""
    repeat_until_done(lambda: webhook.send_due(database(), settings, limit=DELIVERIES_MAX))


@task("converge_groups")
def converge_groups() -> None:
    """Bring the scaling groups to their desired size, each in a transaction of its own, so that none waits for another's launches."""

    def converge_one() -> int:
        with transaction(database()) as tx:
            return scaling.converge_groups(tx, now=database_now(tx), limit=1).groups

    repeat_until_done(converge_one, GROUPS_MAX)


@task("keep_samples")
def keep_samples() -> None:
    """Seal, archive and drop what nobody needs any more, a step a transaction; what has to be waited for is taken up again later."""
    with transaction(database()) as tx:
        if not metering.claim_retention(tx, now=utc_now()):
            return
    until = utc_now() + RETENTION_RUN

    def take_step() -> int:
        with transaction(database()) as tx:
            step = retention.take_step(tx, RetentionTerms.of(settings), now=utc_now())
        return int(step.is_progress and utc_now() < until)

    repeat_until_done(take_step, RETENTION_STEPS_MAX)


@task("housekeeping")
def housekeeping() -> None:
    """Forget what nobody asks for any more, and times of a clock that was wrong, each kind some thousands a transaction.

    So one that fails keeps no other. Some thousands in all would be fewer than come at 10,000 alarms, and what waits would grow for ever.
    """
    now = utc_now()
    steps: Mapping[str, Callable[[Transaction], int]] = {
        "expired tokens": lambda tx: identity.forget_expired_tokens(tx, now),
        "handled events": lambda tx: outbox.drop_handled(tx, before=now - OUTBOX_KEPT),
        "finished deliveries": lambda tx: alarms.drop_finished_deliveries(tx, before=now - DELIVERIES_KEPT),
        "deleted instances": lambda tx: compute.drop_deleted_instances(tx, before=now - DELETED_INSTANCES_KEPT),
        "alarms of another time": lambda tx: alarms.bring_forward(tx, now=database_now(tx)),
        "refused events": lambda tx: events.drop_expired_refusals(tx, now=now),
    }

    def forget_some(forget: Callable[[Transaction], int]) -> int:
        with transaction(database()) as tx:
            return forget(tx)

    for kind, forget in steps.items():
        try:
            repeat_until_done(partial(forget_some, forget))
        except Unavailable:
            raise
        except Exception:
            log.exception("housekeeping.failed", kind=kind)
