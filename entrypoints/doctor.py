"""`nepho doctor metering`: says what is wrong with the sources of readings, one sentence each with its mend."""

import psycopg
from rich.console import Console

from api.native.doctor import to_diagnosis
from entrypoints.installed_database import find_database_url
from foundation.clock import utc_now
from foundation.database import Isolation, Pool, open_pool, transaction
from foundation.errors import DomainError
from foundation.settings import Settings
from metering import service as metering

FOUND_SOMETHING, COULD_NOT_LOOK = 1, 2


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
    errors = Console(stderr=True, highlight=False, markup=False)
    url = find_database_url(Settings())
    if url is None:
        errors.print("No installation runs here: start `make run`, or set NEPHO_DATABASE_URL.")
        return COULD_NOT_LOOK
    pool = open_pool(url, size_max=1, application_name="nephoscope-doctor")
    try:
        return examine(pool, as_json=as_json)
    except (DomainError, psycopg.Error) as error:
        errors.print(f"Metering could not be examined: {error}")
        return COULD_NOT_LOOK
    finally:
        pool.close()
