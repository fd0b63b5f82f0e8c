"""`nepho doctor metering`: says what is wrong with the sources of readings, one sentence each with its mend."""

from rich.console import Console

from api.native.doctor import to_diagnosis
from entrypoints.installed_database import chosen_settings, installed_database
from foundation.clock import utc_now
from foundation.database import Isolation, Pool, transaction
from foundation.settings import Settings
from metering import service as metering

FOUND_SOMETHING = 1


def examine(pool: Pool, *, as_json: bool) -> int:
    """Examine, print and return the exit code: 0 where nothing is wrong, 1 where something is."""
    with transaction(pool, Isolation.SNAPSHOT) as tx:
        diagnosis = metering.examine_metering(tx, now=utc_now())
    if as_json:
        print(to_diagnosis(diagnosis).model_dump_json(indent=2))
    else:
        show(diagnosis)
    return FOUND_SOMETHING if diagnosis.findings else 0


def show(diagnosis: metering.Diagnosis) -> None:
    """Print the findings, and what was looked at."""
    output = Console(highlight=False, markup=False, soft_wrap=True)
    for finding in diagnosis.findings:
        output.print(f"{finding.kind.value}: {finding.sentence}.")
    looked = f"{diagnosis.sources:,} hosts, {diagnosis.instances:,} running instances, {diagnosis.metrics:,} metrics"
    output.print(f"Looked at {looked}: {len(diagnosis.findings):,} findings.")
    if diagnosis.is_cut:
        output.print("There is more than one look takes in: mend these first, then look again.")


def main(*, as_json: bool) -> int:
    """Examine the installation that the settings name; return the exit code."""
    with installed_database(chosen_settings(Settings), "doctor") as pool:
        return examine(pool, as_json=as_json)
