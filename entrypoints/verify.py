"""`nepho verify rollups`: proves stored rollups by computing them a second time from raw readings, and says what differs."""

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TypeAlias
from uuid import UUID

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from entrypoints.installed_database import chosen_settings, give_up, installed_database
from foundation.database import Isolation, Pool, transaction
from foundation.instruments import recorder
from foundation.settings import Settings
from metering.samples import OLDEST
from metering.service import verification
from metering.verification import Difference

TRANSACTION_TIMEOUT_MS = 600_000
PARTS_A_SNAPSHOT = 50
TRIES_A_BUCKET = 5
"""How often chance may lead to buckets that it had led to before: a small store has fewer than were asked for."""
IN_VAIN_MAX = 20
"""How often chance may lead to metrics that have nothing within the bounds, before it is given up."""
DIFFERENCES_KEPT_MAX = 10_000
DIFFERENCES_SHOWN_MAX = 50
LATEST = datetime(2200, 1, 1, tzinfo=UTC)

FOUND_DIFFERENCES = 1

OnProgress: TypeAlias = Callable[[int, int], None]
"""Is told how many metrics or buckets are done, and of how many."""


def unheard(done: int, of: int) -> None:
    """Tell nobody how far it is."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What to prove: everything, or so many buckets by chance; of one metric or all, of buckets that begin in [start, stop)."""

    sample: int | None
    seed: int
    metric_id: UUID | None = None
    start: datetime | None = None
    stop: datetime | None = None
    repair: bool = False

    @property
    def within(self) -> tuple[datetime, datetime]:
        """The bounds of the buckets' beginnings."""
        return self.start or OLDEST, self.stop or LATEST


@dataclass(slots=True)
class Report:
    """What was looked at and what was found; `differences` is cut at a bound, `differing_buckets` is not."""

    provable_since: datetime | None = None
    checked: int = 0
    waiting: int = 0
    differing_buckets: int = 0
    marked_for_repair: int = 0
    metrics: set[int] = field(default_factory=set[int])
    differences: list[Difference] = field(default_factory=list[Difference])

    def add(self, part: verification.Part, verdict: verification.Verdict) -> None:
        """Count a part's verdict in."""
        self.checked += verdict.checked
        self.waiting += verdict.waiting
        self.differing_buckets += len({found.bucket for found in verdict.differences})
        self.metrics.add(part.metric.key)
        self.differences.extend(verdict.differences[: DIFFERENCES_KEPT_MAX - len(self.differences)])


def verify_rollups(pool: Pool, asked: Asked, *, on_progress: OnProgress = unheard) -> Report:
    """Prove rollups; every snapshot holds a bounded number of buckets, so that no transaction grows old. Raises MetricNotFound."""
    with transaction(pool, Isolation.SNAPSHOT) as tx:
        since = verification.provable_since(tx)
    report = Report(provable_since=since if since > asked.within[0] else None)
    asked = replace(asked, start=max(since, asked.within[0]))
    parts = every_part(pool, asked, on_progress=on_progress)
    if asked.sample is not None:
        parts = parts_by_chance(pool, asked, asked.sample, on_progress=on_progress)
    for part, verdict in parts:
        report.add(part, verdict)
        if asked.repair and verdict.differences:
            with transaction(pool) as tx:
                report.marked_for_repair += verification.mark_for_repair(tx, verdict.differences)
    return report


def every_part(
    pool: Pool, asked: Asked, *, on_progress: OnProgress
) -> Iterator[tuple[verification.Part, verification.Verdict]]:
    """Yield the verdict of every part there is, metric by metric."""
    with transaction(pool, Isolation.SNAPSHOT) as tx:
        total = 1 if asked.metric_id is not None else verification.count_metrics(tx).count
    for done, metric in enumerate(metrics_of(pool, asked.metric_id)):
        for granularity_us in metric.granularities_us:
            start, stop = asked.within
            while True:
                with transaction(pool, Isolation.SNAPSHOT) as tx:
                    part = verification.next_part(tx, metric, granularity_us=granularity_us, start=start, stop=stop)
                    if part is None:
                        break
                    verdict = verification.verify_part(tx, part)
                assert part.stop > start, "each part leads further"
                start = part.stop
                yield part, verdict
        on_progress(done + 1, max(total, done + 1))


def metrics_of(pool: Pool, metric_id: UUID | None) -> Iterator[verification.RolledMetric]:
    """Yield the metric that is named, or all of them by pages."""
    if metric_id is not None:
        with transaction(pool, Isolation.SNAPSHOT) as tx:
            metric = verification.metric_to_verify(tx, metric_id)
        yield metric
        return
    after = 0
    while True:
        with transaction(pool, Isolation.SNAPSHOT) as tx:
            page = verification.metrics_to_verify(tx, after=after)
        if not page:
            return
        yield from page
        after = page[-1].key


def parts_by_chance(
    pool: Pool, asked: Asked, wanted: int, *, on_progress: OnProgress
) -> Iterator[tuple[verification.Part, verification.Verdict]]:
    """Yield the verdicts of buckets chosen by chance, each once; the same seed chooses the same buckets of the same store."""
    chance = random.Random(asked.seed)  # noqa: S311
    chosen: set[tuple[int, int, datetime]] = set()
    in_vain = 0
    for _ in range(0, wanted * TRIES_A_BUCKET, PARTS_A_SNAPSHOT):
        with transaction(pool, Isolation.SNAPSHOT) as tx:
            population = verification.count_metrics(tx)
            named = None if asked.metric_id is None else verification.metric_to_verify(tx, asked.metric_id)
            if population.count == 0:
                return
            for _ in range(PARTS_A_SNAPSHOT):
                part = verification.choose_part(tx, chance, of=named or population, within=asked.within)
                if part is None:
                    in_vain += 1
                elif (name := (part.metric.key, part.granularity_us, part.start)) not in chosen:
                    chosen.add(name)
                    yield part, verification.verify_part(tx, part)
                if len(chosen) >= wanted or in_vain >= IN_VAIN_MAX:
                    return
        on_progress(len(chosen), wanted)


def show(report: Report, asked: Asked, *, output: Console) -> None:
    """Say what was proven and what was not."""
    for found in report.differences[:DIFFERENCES_SHOWN_MAX]:
        output.print(line_of(found))
    hidden = len(report.differences) - DIFFERENCES_SHOWN_MAX
    if hidden > 0:
        output.print(f"and {hidden:,} more; --json lists up to {DIFFERENCES_KEPT_MAX:,}")
    how = "all there are" if asked.sample is None else f"by chance, --seed {asked.seed} chooses the same again"
    verdict = f"{report.differing_buckets:,} differ" if report.differing_buckets else "every one the same to the bit"
    if report.checked:
        output.print(f"{report.checked:,} buckets of {len(report.metrics):,} metrics checked ({how}): {verdict}")
    else:
        output.print("Nothing was proven: no bucket was found to compare.")
    if report.waiting:
        output.print(
            f"{report.waiting:,} more wait to be rolled up and were left out; reads take them from raw readings"
        )
    if report.provable_since is not None:
        output.print(
            f"Buckets from before {report.provable_since:%Y-%m-%dT%H:%M:%SZ} are sealed: their readings are gone"
        )
    if asked.repair:
        output.print(f"{report.marked_for_repair:,} buckets are marked to be computed again by the workers")
    elif report.differing_buckets:
        output.print("--repair marks those that have readings to be computed again by the workers.")


def line_of(found: Difference) -> str:
    """Write a difference as one line."""
    bucket = f"{found.bucket.isoformat().replace('+00:00', 'Z')}, {found.granularity_us / 1e6:g} s"
    stored = "not stored" if found.stored is None else f"stored as {found.stored}"
    recomputed = "it has no readings" if found.recomputed is None else f"its readings say {found.recomputed}"
    return f"{found.metric_id} {found.metric_name or ''} {bucket}: {found.column} is {stored}, {recomputed}"


def to_json(report: Report, asked: Asked) -> str:
    """Write the report as one JSON object; numbers of rollups as text, which reads back to the same bits."""
    return json.dumps(
        {
            "checked": report.checked,
            "metrics": len(report.metrics),
            "waiting": report.waiting,
            "differing_buckets": report.differing_buckets,
            "marked_for_repair": report.marked_for_repair,
            "provable_since": None if report.provable_since is None else report.provable_since.isoformat(),
            "sample": asked.sample,
            "seed": None if asked.sample is None else asked.seed,
            "differences": [
                {
                    "metric_id": str(found.metric_id),
                    "metric": found.metric_name,
                    "granularity_s": found.granularity_us / 1e6,
                    "bucket": found.bucket.isoformat().replace("+00:00", "Z"),
                    "column": found.column,
                    "stored": found.stored,
                    "recomputed": found.recomputed,
                }
                for found in report.differences
            ],
        },
        indent=2,
    )


def run(pool: Pool, asked: Asked, *, as_json: bool) -> int:
    """Prove, show and return the exit code: 0 where all is the same, 1 where something differs."""
    output, progress_output = Console(highlight=False, markup=False, soft_wrap=True), Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:,}/{task.total:,}"))
    unit = "metrics" if asked.sample is None else "buckets"
    is_shown = progress_output.is_terminal
    with Progress(
        *columns, TimeElapsedColumn(), console=progress_output, transient=True, disable=not is_shown
    ) as progress:
        task = progress.add_task(unit, total=asked.sample or 1)
        report = verify_rollups(
            pool, asked, on_progress=lambda done, of: progress.update(task, completed=done, total=of)
        )
    if as_json:
        print(to_json(report, asked))
    else:
        show(report, asked, output=output)
    return FOUND_DIFFERENCES if report.differing_buckets else 0


def main(asked: Asked, *, as_json: bool) -> int:
    """Prove the rollups of the database that the settings name; return the exit code."""
    if asked.within[0] >= asked.within[1]:
        give_up("--from must lie before --to")
    settings = chosen_settings(Settings)
    recorder.keep_in(settings.metrics_folder, "verify")
    with installed_database(settings, "verify", size_max=2, transaction_timeout_ms=TRANSACTION_TIMEOUT_MS) as pool:
        return run(pool, asked, as_json=as_json)
