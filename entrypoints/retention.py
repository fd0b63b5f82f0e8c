"""`nepho retention`: says what raw samples may be dropped and why not more, and drops them: sealed, archived, then by chunks."""

import time

from rich.console import Console
from rich.table import Table

from entrypoints.installed_database import chosen_settings, installed_database
from foundation.clock import utc_now
from foundation.database import Isolation, Pool, transaction
from foundation.settings import Settings
from metering.service.retention import Plan, Step
from orchestration import retention
from orchestration.retention import RetentionTerms

STEPS_MAX = 1_000_000
WAITS_MAX = 600
WAIT_S = 1.0
TRANSACTION_TIMEOUT_MS = 600_000
WAITED_IN_VAIN = 1
TOLD = frozenset({Step.SEALED, Step.SWITCHED, Step.DROPPED, Step.COMPRESSED})
WAITING = frozenset({Step.WAITING, Step.WAITING_FOR_ROLLUPS, Step.BUSY})


def show_plan(pool: Pool, terms: RetentionTerms, *, output: Console) -> None:
    """Print what would go and why not more."""
    with transaction(pool, Isolation.SNAPSHOT) as tx:
        plan = retention.plan(tx, terms, now=utc_now())
    for line in lines_of(plan):
        output.print(line)
    table = Table(title="What keeps the rest", title_justify="left")
    table.add_column("needed since")
    table.add_column("reason")
    for hold in plan.holds:
        table.add_row(f"{hold.needed_since:%Y-%m-%d %H:%M}", hold.reason)
    output.print(table)


def lines_of(plan: Plan) -> list[str]:
    """Say what would go."""
    lines: list[str] = []
    if plan.state.archived_until > plan.state.dropped_until or plan.state.archiving_until > plan.state.archived_until:
        lines.append(f"A run is under way up to {plan.state.archiving_until:%Y-%m-%d}.")
    if plan.boundary is None or not plan.chunks:
        lines.append(f"Nothing would be dropped; {plan.chunks_kept} chunks of raw samples are kept.")
        return lines
    mib = sum(chunk.bytes for chunk in plan.chunks) / 2**20
    lines.append(
        f"{len(plan.chunks)} chunks of raw samples ({mib:,.1f} MiB) from before {plan.boundary.drop_before:%Y-%m-%d %H:%M} UTC"
        f" would be dropped, {plan.chunks_kept} kept; everything before {plan.boundary.seal_before:%Y-%m-%d %H:%M} UTC would be sealed."
    )
    return lines


def run_retention(pool: Pool, terms: RetentionTerms, *, output: Console) -> bool:
    """Take steps until nothing is left; False where it waited in vain for others."""
    waits, last = 0, Step.NOTHING
    for _ in range(STEPS_MAX):
        with transaction(pool) as tx:
            step = retention.take_step(tx, terms, now=utc_now())
        if step is Step.NOTHING:
            output.print("Done: nothing more may be dropped.")
            return True
        before, last = last, step
        if step not in WAITING:
            waits = 0
            if step in TOLD:
                output.print(f"{step.value.capitalize()}.")
            continue
        waits += 1
        if step is not before:
            output.print(f"Waiting: {step.value}.")
        if waits > WAITS_MAX:
            output.print(f"Gave up: {step.value}. It goes on where it stopped when it is run again.")
            return False
        time.sleep(WAIT_S)
    raise AssertionError("a run ends")


def main(*, is_plan: bool) -> int:
    """Plan or run the retention of the installation that the settings name; return the exit code."""
    output = Console(highlight=False, markup=False, soft_wrap=True)
    settings = chosen_settings(Settings)
    terms = RetentionTerms.of(settings)
    with installed_database(settings, "retention", transaction_timeout_ms=TRANSACTION_TIMEOUT_MS) as pool:
        if is_plan:
            show_plan(pool, terms, output=output)
            return 0
        return 0 if run_retention(pool, terms, output=output) else WAITED_IN_VAIN
