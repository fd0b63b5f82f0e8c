"""What the demo shows: the story's lines, and in a terminal a live view below them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

ACTIVITIES_SHOWN = 4
BAR_CELLS = 20
PLACES_SHOWN = 4
STATE_STYLES = {"ok": "green", "alarm": "bold red", "insufficient data": "yellow"}
STATUS_STYLES = {"ACTIVE": "green", "BUILD": "yellow", "ERROR": "bold red", "SHUTOFF": "dim"}


@dataclass(frozen=True, slots=True)
class Scene:
    """All that is shown at one moment, as the native API answered it."""

    instances: Sequence[Mapping[str, Any]] = ()
    cpu_percent: Mapping[str, str] = field(default_factory=dict[str, str])
    alarms: Sequence[Mapping[str, Any]] = ()
    activities: Sequence[Mapping[str, Any]] = ()
    cost: Mapping[str, Any] | None = None


class DemoView:
    """Prints each line of the story once, as it happens; in a terminal the scene is drawn below, and lines move up into the scrollback."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.console = Console()
        self.scene = Scene()
        self.live: Live | None = None

    def __enter__(self) -> "DemoView":
        if self.console.is_terminal:
            self.live = Live(self.draw(), console=self.console, refresh_per_second=2, transient=False)
            self.live.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        if self.live is not None:
            self.live.__exit__(None, None, None)

    def tell(self, line: str, *, at: datetime) -> None:
        """Add a line to the story."""
        if self.live is None:
            print(f"{at:%H:%M:%S}  {line}", flush=True)
        else:
            self.console.print(Text(f"{at:%H:%M:%S}  {line}"))

    def show(self, scene: Scene) -> None:
        """Replace what is shown."""
        self.scene = scene
        if self.live is not None:
            self.live.update(self.draw())

    def draw(self) -> RenderableType:
        """Put the whole view together."""
        head = Text.assemble(
            ("Nephoscope ", "bold"),
            "dashboard, API and docs at ",
            (self.url, "bold cyan"),
            "   Ctrl-C stops everything",
        )
        return Panel(
            Group(head, "", self.draw_instances(), self.draw_alarms(), self.draw_activities(), self.draw_cost())
        )

    def draw_instances(self) -> Table:
        """List the instances with their CPU."""
        table = Table(expand=True, box=None, title="instances", title_justify="left")
        for heading in ("name", "status", "address", "CPU"):
            table.add_column(heading)
        for instance in self.scene.instances:
            status = str(instance["status"])
            percent = self.scene.cpu_percent.get(str(instance["id"]), "")
            addresses = ", ".join(str(address) for address in instance["addresses"])
            table.add_row(
                str(instance["name"]), Text(status, STATUS_STYLES.get(status, "")), addresses, draw_bar(percent)
            )
        return table

    def draw_alarms(self) -> Table:
        """List the alarms with their state and reason."""
        table = Table(expand=True, box=None, title="alarms", title_justify="left")
        for heading in ("name", "state", "reason"):
            table.add_column(heading)
        for alarm in self.scene.alarms:
            state = str(alarm["state"])
            table.add_row(str(alarm["name"]), Text(state, STATE_STYLES.get(state, "")), str(alarm["state_reason"]))
        return table

    def draw_activities(self) -> Table:
        """List the newest scaling decisions, refusals too."""
        table = Table(expand=True, box=None, title="scaling", title_justify="left")
        for heading in ("when", "size", "why"):
            table.add_column(heading)
        for activity in self.scene.activities[:ACTIVITIES_SHOWN]:
            size = f"{activity['size_before']} to {activity['size_after']}"
            shown = size if activity["decision"] == "resize" else "refused"
            table.add_row(str(activity["at"])[11:19], shown, str(activity["reason"]))
        return table

    def draw_cost(self) -> Text:
        """Say what the project has cost in this period."""
        cost = self.scene.cost
        if cost is None:
            return Text("")
        return Text(f"cost so far: {shortened(cost['total_unrounded'])} {cost['currency']}", "bold")


def shortened(amount: str) -> str:
    """Cut an exact amount to places that a reader can follow; it is only shown, never reckoned with."""
    return f"{Decimal(amount):.{PLACES_SHOWN}f}"


def draw_bar(percent: str) -> str:
    """Draw a percentage as a short bar; nothing where it is unknown."""
    if not percent:
        return ""
    cells = max(0, min(BAR_CELLS, round(float(percent) / 100 * BAR_CELLS)))
    return "█" * cells + "·" * (BAR_CELLS - cells) + f" {float(percent):.0f} %"
