"""The live story of `make run`: two real instances are metered, one is put under load, the group scales out and in, and is billed.

It is a client like any other: it signs in as the demo user and uses the public interfaces, so whatever it shows, a user can do.
"""

import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv4Address
from types import FrameType
from typing import Any

import httpx2

from entrypoints.bootstrap import CLOUD_NAME, read_clouds
from entrypoints.demo_cloud import GRANULARITY_S, HIGH_PERCENT, LOW_PERCENT, Credentials, DemoCloud
from entrypoints.demo_guest import USER_DATA, GuestOrders
from entrypoints.demo_view import DemoView, Scene, shortened
from foundation.clock import utc_now
from foundation.settings import Settings

GROUP_NAME = "demo-web"
FLAVOR_NAME = "n1.nano"
SIZE_MIN, SIZE_MAX = 2, 3
BURN_S = 75
SEND_MIB = 16
LOOK_INTERVAL_S = 1.0
STEP_WAIT_S_MAX = 240.0
ORDER_ATTEMPTS_MAX = 60
CHART_WINDOW = timedelta(minutes=2)
LINES_SHOWN_MAX = 20


class StoryEnded(Exception):
    """The story was told to stop, or a step of it did not happen in its time."""


@dataclass(slots=True)
class Story:
    """One telling of the story, step by step; each step waits for what really happens."""

    cloud: DemoCloud
    view: DemoView
    group: Mapping[str, Any]
    is_stopped: bool = False

    def tell(self, line: str) -> None:
        """Add a line, stamped with the present instant."""
        self.view.tell(line, at=utc_now())

    def look(self) -> Scene:
        """Read everything that the view shows."""
        now = utc_now()
        cpu = self.cloud.get(
            "/v1/series/cpu-percent",
            group_id=self.group["id"],
            start=(now - CHART_WINDOW).isoformat(),
            stop=now.isoformat(),
            granularity=str(GRANULARITY_S),
        )
        path = f"/v1/scaling/groups/{self.group['id']}"
        scene = Scene(
            instances=self.cloud.items("/v1/instances"),
            cpu_percent={str(series["resource_id"]): newest_value(series["points"]) for series in cpu["series"]},
            alarms=self.cloud.items("/v1/alarms"),
            activities=self.cloud.items(f"{path}/activities"),
            cost=self.cloud.get("/v1/billing/cost"),
        )
        self.view.show(scene)
        return scene

    def wait(self, what: str, *, until: Callable[[Scene], bool], for_s: float = STEP_WAIT_S_MAX) -> Scene:
        """Look once a second until something is so. Raises StoryEnded when it is not in time."""
        deadline = time.monotonic() + for_s
        while time.monotonic() < deadline:
            if self.is_stopped:
                raise StoryEnded("stopped")
            try:
                scene = self.look()
            except httpx2.HTTPError:
                scene = self.view.scene
            if until(scene):
                return scene
            time.sleep(LOOK_INTERVAL_S)
        raise StoryEnded(f"{what} did not happen within {for_s:.0f} s; the dashboard and the logs say more")

    def members(self, scene: Scene) -> Sequence[Mapping[str, Any]]:
        """Return the group's running instances."""
        mine = (instance for instance in scene.instances if instance["scaling_group_id"] == self.group["id"])
        return [instance for instance in mine if instance["status"] == "ACTIVE"]

    def run(self) -> None:
        """Tell it all."""
        scene = self.wait("two instances to run", until=lambda now: len(self.members(now)) >= SIZE_MIN)
        first = min(self.members(scene), key=lambda instance: str(instance["created_at"]))
        self.tell(f"{SIZE_MIN} instances are ACTIVE and metered every few seconds")
        self.wait("a quiet group", until=lambda now: is_quiet(now) and len(self.members(now)) == SIZE_MIN)
        for watch in WATCHES:
            ensure_alarm(self.cloud, self.group, watch)
        orders = GuestOrders(IPv4Address(first["addresses"][0]))
        began = self.start_load(orders, str(first["name"]))
        self.wait("the alarm", until=lambda now: any(is_high(alarm) for alarm in now.alarms))
        self.tell(f"alarm cpu-high after {seconds_since(began)} s; its action runs the scale-out policy")
        self.wait("the scale-out", until=lambda now: len(self.members(now)) == SIZE_MAX)
        self.tell(f"scaled out: the third instance is ACTIVE {seconds_since(began)} s after the load began")
        self.tell(f"{orders.send(SEND_MIB) // 2**20} MiB moved out of {first['name']}, metered at its port")
        self.wait("the scale-in", until=lambda now: len(self.members(now)) == SIZE_MIN)
        self.tell("load is over: scaled in again")
        self.show_invoice()
        self.tell("that is the story; everything goes on running until Ctrl-C")
        while not self.is_stopped:
            self.wait("a stop", until=lambda _: self.is_stopped, for_s=float("inf"))

    def start_load(self, orders: GuestOrders, name: str) -> float:
        """Order the guest to burn CPU, as soon as it listens."""
        for _ in range(ORDER_ATTEMPTS_MAX):
            try:
                answer = orders.burn(BURN_S)
            except OSError:
                self.wait("the guest to boot", until=lambda _: True)
                time.sleep(LOOK_INTERVAL_S)
                continue
            self.tell(f"load begins: {name} answers «{answer}»")
            return time.monotonic()
        raise StoryEnded(f"{name} does not take orders")

    def show_invoice(self) -> None:
        """Draft this period's invoice and show how each of its lines came about."""
        cost = self.cloud.get("/v1/billing/cost")
        period = cost["period"]
        invoice = self.cloud.post("/v1/billing/invoices", {"start": period["start"], "end": period["end"]})
        exactly = f"{shortened(cost['total_unrounded'])} before it is rounded"
        self.tell(f"draft invoice: {invoice['total']} {invoice['currency']} ({exactly})")
        for line in invoice["lines"][:LINES_SHOWN_MAX]:
            self.tell(
                f"  {line['number']}. {line['description']}: {line['quantity']} {line['unit']} = {line['amount']}"
            )
            explained = self.cloud.get(f"/v1/billing/invoices/{invoice['id']}/lines/{line['number']}/explain")
            self.tell(f"     why: {explained['formula']}")


def is_quiet(scene: Scene) -> bool:
    """Tell whether every instance that is measured has come to rest after its boot, and an earlier story's alarm has too."""
    known = [float(value) for value in scene.cpu_percent.values() if value]
    return len(known) >= SIZE_MIN and max(known) < LOW_PERCENT and not any(is_high(alarm) for alarm in scene.alarms)


def is_high(alarm: Mapping[str, Any]) -> bool:
    """Tell whether this is the scale-out alarm, firing."""
    return alarm["name"] == "cpu-high" and alarm["state"] == "alarm"


def newest_value(points: Sequence[Sequence[Any]]) -> str:
    """Return the newest known point as text; nothing where there is none."""
    return next((str(value) for _, value in reversed(points) if value is not None), "")


def seconds_since(began: float) -> int:
    """Return whole seconds on the monotonic clock."""
    return round(time.monotonic() - began)


def ensure_group(cloud: DemoCloud) -> Mapping[str, Any]:
    """Find the demo's group, or make it."""
    found = cloud.find_named("/v1/scaling/groups", GROUP_NAME)
    if found is not None:
        return found
    image = next(image for image in cloud.get("/image/v2/images")["images"] if image["status"] == "active")
    network = next(net for net in cloud.get("/network/v2.0/networks")["networks"] if not net["shared"])
    flavors = cloud.get("/compute/v2.1/flavors")["flavors"]
    flavor_id = next(flavor["id"] for flavor in flavors if flavor["name"] == FLAVOR_NAME)
    return cloud.post(
        "/v1/scaling/groups",
        {
            "name": GROUP_NAME,
            "size_min": SIZE_MIN,
            "size_max": SIZE_MAX,
            "size_desired": SIZE_MIN,
            "cooldown_s": 15,
            "launch": {
                "image_id": image["id"],
                "flavor_id": flavor_id,
                "network_ids": [network["id"]],
                "user_data": USER_DATA,
            },
        },
    )


@dataclass(frozen=True, slots=True)
class Watch:
    """An alarm on the group's CPU percent, and by how much its policy changes the group."""

    name: str
    comparison_operator: str
    threshold: int
    adjustment: int
    evaluation_periods: int


WATCHES = (
    Watch("cpu-high", "gt", HIGH_PERCENT, adjustment=1, evaluation_periods=1),
    Watch("cpu-low", "lt", LOW_PERCENT, adjustment=-1, evaluation_periods=2),
)


def ensure_alarm(cloud: DemoCloud, group: Mapping[str, Any], watch: Watch) -> None:
    """Make a policy and the alarm that runs it, unless they are there; after the boot, whose load is not the story's."""
    if cloud.find_named("/v1/alarms", watch.name) is not None:
        return
    policy = cloud.post(
        f"/v1/scaling/groups/{group['id']}/policies",
        {"name": watch.name, "adjustment_type": "change_in_capacity", "adjustment": watch.adjustment},
    )
    cloud.post(
        "/v1/alarms",
        {
            "name": watch.name,
            "group_id": group["id"],
            "threshold": watch.threshold,
            "comparison_operator": watch.comparison_operator,
            "granularity_s": GRANULARITY_S,
            "evaluation_periods": watch.evaluation_periods,
            "alarm_actions": [f"scaling:{policy['id']}"],
        },
    )


def main() -> int:
    """Tell the story in this terminal until it is stopped."""
    settings = Settings()
    auth = read_clouds(settings)[CLOUD_NAME.format("demo")]["auth"]
    cloud = DemoCloud(settings.base_url, Credentials(auth["username"], auth["password"], auth["project_name"]))
    cloud.sign_in()
    with DemoView(f"{settings.base_url}/") as view:
        story = Story(cloud, view, ensure_group(cloud))

        def stop(_signal: int, _frame: FrameType | None) -> None:
            story.is_stopped = True

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, stop)
        try:
            story.run()
        except StoryEnded as ended:
            if not story.is_stopped:
                story.tell(str(ended))
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
