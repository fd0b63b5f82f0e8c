"""Alarms, scaling and deliveries in the native API, as the dashboard and the demo call them."""

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from keystoneauth1 import session as keystone_session
from keystoneauth1.identity import v3

from compute import service as compute
from foundation.database import Pool, transaction
from tests.compute_builders import MANIFEST
from tests.contract.conftest import LiveApi


class Native:
    """The native API as one user calls it."""

    def __init__(self, api: LiveApi) -> None:
        auth = v3.Password(
            auth_url=f"{api.url}/identity/v3",
            username="demo",
            password=api.demo_password,
            project_name="demo",
            user_domain_name="Default",
            project_domain_name="Default",
        )
        session = keystone_session.Session(auth=auth)
        self.token, self.project_id, self.url = str(session.get_token()), str(session.get_project_id()), f"{api.url}/v1"

    def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Call and return the status and the JSON of the answer."""
        content = None if body is None else json.dumps(body).encode()
        headers = {"X-Auth-Token": self.token, "Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, data=content, headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def made(self, path: str, body: Any) -> Any:
        """Make something."""
        status, answer = self.call("POST", path, body)
        assert status in (201, 202), answer
        return answer

    def got(self, path: str) -> Any:
        """Read something."""
        status, answer = self.call("GET", path)
        assert status == 200, answer
        return answer


@pytest.fixture(scope="module")
def native(live_api: LiveApi, pool: Pool) -> Iterator[Native]:
    made = Native(live_api)
    yield made
    with transaction(pool) as tx:
        for statement in (
            "DELETE FROM scaling_group WHERE project_id = %s",
            "DELETE FROM alarm WHERE project_id = %s",
            "DELETE FROM delivery WHERE project_id = %s",
        ):
            tx.execute(statement, (made.project_id,))


@pytest.fixture(scope="module")
def image_id(native: Native, pool: Pool) -> str:
    """An image of the project, to launch from."""
    now = datetime.now(UTC)
    with transaction(pool) as tx:
        compute.bootstrap_flavors(tx, now=now)
        return str(compute.register_image(tx, MANIFEST, project_id=native.project_id, now=now).id)


def a_group(image_id: str = str(UUID(int=0)), **changes: Any) -> dict[str, Any]:
    launch = {"image_id": image_id, "flavor_id": "0", "user_data": "#!/bin/sh\n", "metadata": {"role": "web"}}
    return {"name": f"web-{uuid4()}", "launch": launch, "size_min": 1, "size_max": 3, **changes}


def test_a_group_its_policies_an_alarm_on_it_and_their_histories(native: Native, image_id: str) -> None:
    group = native.made("/scaling/groups", a_group(image_id, cooldown_s=30))
    assert (group["size_desired"], group["size_current"], group["cooldown_until"]) == (1, 0, None)
    assert group["launch"]["metadata"] == {"role": "web"}
    base = f"/scaling/groups/{group['id']}"
    policy = native.made(f"{base}/policies", {"name": "grow", "adjustment": 1})
    assert policy["action"] == f"scaling:{policy['id']}"
    assert native.got(f"{base}/policies")["items"] == [policy]
    alarm = native.made(
        "/alarms",
        {
            "name": "busy",
            "group_id": group["id"],
            "threshold": 60,
            "granularity_s": 10,
            "evaluation_periods": 2,
            "evaluation_interval_s": 5,
            "alarm_actions": [policy["action"], "http://127.0.0.1:9/hook"],
        },
    )
    assert (alarm["state"], alarm["threshold"], alarm["comparison_operator"]) == ("insufficient data", 60, "gt")
    assert alarm["rule"]["query"] == {"=": {"server_group": group["id"]}}
    assert alarm["evaluation_interval_s"] == 5
    assert alarm["repeat_actions"] is False
    tireless = {"name": "t", "group_id": group["id"], "threshold": 1, "alarm_actions": [policy["action"]]}
    assert native.made("/alarms", tireless)["repeat_actions"] is True
    assert alarm["id"] in {one["id"] for one in native.got("/alarms")["items"]}
    assert native.got(f"/alarms/{alarm['id']}/history") == {"items": [], "next": None}
    status, changed = native.call(
        "PATCH", f"/alarms/{alarm['id']}", {"threshold": 70, "ok_actions": [policy["action"]]}
    )
    assert (status, changed["threshold"], changed["name"], changed["ok_actions"]) == (
        200,
        70,
        "busy",
        [policy["action"]],
    )
    status, decision = native.call("POST", f"/scaling/policies/{policy['id']}/execute")
    assert (status, decision["decision"]) == (200, "refusal")
    assert "in progress" in decision["reason"]
    assert native.got(f"{base}/activities")["items"] == [decision]
    status, changed = native.call("PATCH", base, {"size_min": 2})
    assert (status, changed["size_min"], changed["size_desired"]) == (200, 2, 2)
    assert native.got(f"{base}/activities")["items"][0]["decision"] == "resize"
    assert native.call("DELETE", f"/scaling/policies/{policy['id']}")[0] == 204
    assert native.call("DELETE", base)[0] == 202
    assert native.got(base)["state"] == "deleting"
    assert native.call("PATCH", base, {"size_min": 1})[0] == 409
    assert native.call("DELETE", f"/alarms/{alarm['id']}")[0] == 204
    assert native.call("GET", f"/alarms/{alarm['id']}")[0] == 404


def test_a_change_of_a_group_keeps_a_resize_that_is_under_way(native: Native, pool: Pool, image_id: str) -> None:
    group = native.made("/scaling/groups", a_group(image_id))
    answers: list[tuple[int, Any]] = []
    renaming = threading.Thread(
        target=lambda: answers.append(native.call("PATCH", f"/scaling/groups/{group['id']}", {"name": "renamed"}))
    )
    with transaction(pool) as tx:
        tx.execute("UPDATE scaling_group SET size_desired = 3 WHERE id = %s", (group["id"],))
        renaming.start()
        renaming.join(1)
    renaming.join(60)
    assert [(status, changed["name"], changed["size_desired"]) for status, changed in answers] == [(200, "renamed", 3)]
    assert native.got(f"/scaling/groups/{group['id']}/activities")["items"] == []


def test_a_test_event_the_log_and_the_signing_secret(native: Native) -> None:
    delivery = native.made("/deliveries/test", {"url": "https://hooks.example/x"})
    assert (delivery["state"], delivery["attempts"]) == ("pending", [])
    assert delivery["webhook_id"].startswith("msg_")
    assert native.got("/deliveries")["items"][0]["id"] == delivery["id"]
    assert native.got(f"/deliveries/{delivery['id']}")["url"] == "https://hooks.example/x"
    assert native.call("POST", f"/deliveries/{delivery['id']}/redeliver")[0] == 409
    first = native.got("/deliveries/secret")
    assert first["secret"].startswith("whsec_")
    status, rotated = native.call("POST", "/deliveries/secret/rotate")
    assert (status, rotated["previous_secret"]) == (200, first["secret"])


def test_lists_are_paged_by_their_cursor(native: Native) -> None:
    made = [
        native.made("/alarms", {"name": f"a{number}", "instance_id": str(uuid4()), "threshold": 1})["id"]
        for number in range(3)
    ]
    seen: list[str] = []
    path = "/alarms?limit=2"
    for _ in range(20):
        page = native.got(path)
        seen.extend(one["id"] for one in page["items"])
        if page["next"] is None:
            break
        path = f"/alarms?limit=2&cursor={page['next']}"
    assert [one for one in seen if one in made] == made
    assert len(seen) == len(set(seen))


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/alarms", {"name": "a", "threshold": 1}),
        ("/alarms", {"name": "a", "threshold": 1, "group_id": str(uuid4()), "instance_id": str(uuid4())}),
        ("/alarms", {"name": "a", "threshold": "hot", "group_id": str(uuid4())}),
        ("/alarms", {"name": "a", "threshold": 1, "group_id": "x"}),
        ("/alarms", {"name": "a", "threshold": 1, "group_id": str(uuid4()), "alarm_actions": ["scaling:me"]}),
        ("/alarms", {"name": "a", "threshold": 1, "group_id": str(uuid4()), "project_id": "another"}),
        ("/scaling/groups", a_group()),
        ("/scaling/groups", a_group(size_min=4)),
        ("/scaling/groups", a_group(size_desired=9)),
        ("/scaling/groups", a_group(size_max=10**9)),
        ("/scaling/groups", a_group(unknown=1)),
        ("/scaling/groups", a_group(launch={"image_id": "x", "flavor_id": "0"})),
        ("/scaling/groups", a_group(launch={"image_id": str(uuid4()), "flavor_id": "0", "metadata": {"metering.server_group": "x"}})),
        ("/deliveries/test", {"url": "file:///etc/passwd"}),
        ("/deliveries/test", {"url": "log://"}),
    ],
)  # fmt: skip
def test_bad_input_is_a_problem_that_says_what_to_mend(native: Native, path: str, body: dict[str, Any]) -> None:
    status, problem = native.call("POST", path, body)
    assert status in (400, 403), problem
    assert problem["status"] == status
    assert len(problem["detail"]) > 8


def test_what_is_not_there_is_404(native: Native) -> None:
    for path in ("/alarms/", "/scaling/groups/", "/scaling/policies/", "/deliveries/"):
        assert native.call("GET", path + str(uuid4()))[0] == 404
    assert native.call("GET", f"/alarms/{uuid4()}/history")[0] == 404
    assert native.call("GET", f"/scaling/groups/{uuid4()}/activities")[0] == 404
