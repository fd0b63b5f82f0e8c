"""The `nepho` command: one subcommand for each process of the product."""

import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from provision.installation import ROOT, this_installation

command_line = typer.Typer(
    name="nepho",
    help="Metering, billing, alarms and autoscaling for KVM clouds, with the compute core embedded.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

verify = typer.Typer(help="Prove what is stored.", no_args_is_help=True)
command_line.add_typer(verify, name="verify")
doctor = typer.Typer(help="Say what is wrong, and how to mend it.", no_args_is_help=True)
command_line.add_typer(doctor, name="doctor")
retention = typer.Typer(help="Keep raw samples as long as anything rests on them, and no longer.", no_args_is_help=True)
command_line.add_typer(retention, name="retention")

letters = typer.Typer(help="Notifications that could not be taken.", no_args_is_help=True)
command_line.add_typer(letters, name="dead-letters")


def become(name: str) -> None:
    """Become one of the processes, in the Python that runs this; what it needs stands in NEPHO_* variables, or runs here."""
    from entrypoints.installed_database import servers_of_a_process
    from entrypoints.up import service

    if name != "listener":  # it looks for its servers itself, after its own settings
        os.environ.update(servers_of_a_process(name))
    command = (sys.executable, *service(name, this_installation()).command[1:])
    os.execv(command[0], command)  # noqa: S606


@command_line.command()
def up() -> None:
    """Run everything on this machine, in the foreground until Ctrl-C."""
    from entrypoints.up import up as run_everything

    raise typer.Exit(run_everything())


@command_line.command()
def api() -> None:
    """Serve HTTP: the native API, the OpenStack dialects and the dashboard. Stateless, any number."""
    become("api")


@command_line.command()
def worker() -> None:
    """Do what is due: rollups, rating, alarms, scaling decisions, deliveries. Any number, on any machine."""
    become("worker")


@command_line.command()
def scheduler() -> None:
    """Wake the workers twice a second. One is enough; a second one does no harm."""
    become("scheduler")


@command_line.command()
def agent() -> None:
    """Own this host: its guests, its networks, its readings. One a host."""
    become("agent")


@command_line.command()
def listener(
    check: Annotated[
        Path | None,
        typer.Option("--check-definitions", help="only look whether a file or folder of definitions is right"),
    ] = None,
) -> None:
    """Take OpenStack's notifications from the broker that NEPHO_AMQP_URL names. Any number, on any machine."""
    if check is not None:
        from entrypoints.listener import check_definitions

        raise typer.Exit(check_definitions(check))
    become("listener")


@letters.command("list")
def list_letters(
    every: Annotated[bool, typer.Option("--all", help="also those that were replayed or discarded")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="how many at most")] = 100,
) -> None:
    """List them with their reasons, the newest first."""
    from entrypoints.dead_letters import show

    raise typer.Exit(show(None if every else "waiting", limit))


@letters.command("show")
def show_letter(letter_id: UUID) -> None:
    """Print the message itself, as it came."""
    from entrypoints.dead_letters import show_body

    raise typer.Exit(show_body(letter_id))


@letters.command("replay")
def replay_letters(
    letter_id: Annotated[UUID | None, typer.Argument(help="which; without it, all that wait")] = None,
) -> None:
    """Try again, by the definitions as they are now. Exit code 1: one still cannot be taken."""
    from entrypoints.dead_letters import replay

    raise typer.Exit(replay(letter_id))


@letters.command("discard")
def discard_letter(
    letter_id: Annotated[UUID | None, typer.Argument(help="which one")] = None,
    every: Annotated[bool, typer.Option("--all", help="all that wait")] = False,
) -> None:
    """Throw one away, or all that wait; they stay in the list of all for 90 days."""
    from entrypoints.dead_letters import discard

    raise typer.Exit(discard(letter_id, every=every))


@command_line.command()
def migrate() -> None:
    """Bring the database to the present schema."""
    from entrypoints.migrate import main

    main()


@command_line.command()
def openapi(output: Path) -> None:
    """Write the native API's OpenAPI description to a file."""
    from entrypoints.openapi import main

    main(output)


@command_line.command("seed-demo")
def seed_demo() -> None:
    """Write a month of sample history for two projects of their own, marked as such."""
    from entrypoints.sample_data import main

    raise typer.Exit(main())


def as_utc(told: datetime | None) -> datetime | None:
    """Take a time that was told without an offset as UTC."""
    return told if told is None or told.tzinfo is not None else told.replace(tzinfo=UTC)


@verify.command("rollups")
def verify_rollups(
    sample: Annotated[int, typer.Option(min=1, max=1_000_000, help="how many buckets to choose by chance")] = 1_000,
    every: Annotated[bool, typer.Option("--all", help="every bucket there is, instead of a sample")] = False,
    metric: Annotated[UUID | None, typer.Option(help="only this metric's, by its id")] = None,
    start: Annotated[datetime | None, typer.Option("--from", help="only buckets that begin from here on (UTC)")] = None,
    stop: Annotated[datetime | None, typer.Option("--to", help="only buckets that begin before (UTC)")] = None,
    seed: Annotated[int | None, typer.Option(help="chooses the same sample again")] = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="mark what differs, so that the workers compute it again")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Compute rollups again from raw readings, by other code than made them, and compare to the bit.

    Exit code 0: all the same; 1: something differs; 2: it could not be looked at.
    """
    import secrets

    from entrypoints.verify import Asked, main

    asked = Asked(
        sample=None if every else sample,
        seed=secrets.randbelow(10**9) if seed is None else seed,
        metric_id=metric,
        start=as_utc(start),
        stop=as_utc(stop),
        repair=repair,
    )
    raise typer.Exit(main(asked, as_json=as_json))


@doctor.command("metering")
def examine_metering(
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Look for hosts that fell silent, metrics that stopped, clocks that are off and sources that repeat themselves.

    Exit code 0: nothing is wrong; 1: something is; 2: it could not be looked at.
    """
    from entrypoints.doctor import main

    raise typer.Exit(main(as_json=as_json))


@retention.command("plan")
def plan_retention() -> None:
    """Say which raw samples would be dropped now, and what keeps the rest. Changes nothing."""
    from entrypoints.retention import main

    raise typer.Exit(main(is_plan=True))


@retention.command("run")
def run_retention() -> None:
    """Seal, archive and drop what the plan says, now instead of when the workers come to it.

    Exit code 0: done; 1: gave up waiting for others; 2: it could not be run. Stopped in the middle, it goes on at the next run.
    """
    from entrypoints.retention import main

    raise typer.Exit(main(is_plan=False))


@command_line.command()
def version() -> None:
    """Print the version."""
    typer.echo(project_version((ROOT / "pyproject.toml").read_text()))


def project_version(pyproject: str) -> str:
    """The version that pyproject.toml states."""
    import tomllib

    return str(tomllib.loads(pyproject)["project"]["version"])


if __name__ == "__main__":
    command_line(prog_name="nepho")
