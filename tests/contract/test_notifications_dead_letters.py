"""Dead letters in the native API: the operator's alone, listed in pages, replayed and discarded."""

import json
import urllib.error
import urllib.request
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from keystoneauth1 import session as keystone_session
from keystoneauth1.identity import v3

from collectors.definitions.files import load_catalogue
from collectors.listening import Message, take_messages
from foundation.database import Pool, transaction
from tests.contract.conftest import LiveApi
from tests.notification_payloads import Told, a_volume


class As:
    """The native API as one user calls it."""

    def __init__(self, api: LiveApi, user: str, password: str) -> None:
        auth = v3.Password(
            auth_url=f"{api.url}/identity/v3",
            username=user,
            password=password,
            project_name=user,
            user_domain_name="Default",
            project_domain_name="Default",
        )
        self.token, self.url = str(keystone_session.Session(auth=auth).get_token()), f"{api.url}/v1"

    def call(self, method: str, path: str) -> tuple[int, Any]:
        """Call and return the status and the JSON of the answer."""
        headers = {"X-Auth-Token": self.token, "Content-Type": "application/json"}
        content = b"{}" if method == "POST" else None
        request = urllib.request.Request(f"{self.url}{path}", data=content, headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())


@pytest.fixture
def admin(live_api: LiveApi) -> As:
    return As(live_api, "admin", live_api.admin_password)


def bury(pool: Pool, told: Told) -> None:
    with transaction(pool) as tx:
        message = Message(told.body(), "cinder", "notifications.info")
        assert take_messages(tx, [message], catalogue=load_catalogue(), now=datetime(2026, 11, 2, tzinfo=UTC)).dead == 1


def letters_of(admin: As, told: Told) -> list[dict[str, Any]]:
    _, answer = admin.call("GET", "/dead-letters?limit=1000")
    return [letter for letter in answer["items"] if letter["message_id"] == told.message_id]


def test_the_operator_sees_replays_and_discards_what_could_not_be_taken(admin: As, pool: Pool):
    told = Told("volume.create.end", a_volume(str(uuid4()), "p"), at_s=2 * 86_400)
    bury(pool, told)
    (letter,) = letters_of(admin, told)
    assert (letter["state"], letter["exchange"], letter["event_type"]) == ("waiting", "cinder", "volume.create.end")
    assert "set the clock of the source" in letter["reason"]
    status, shown = admin.call("GET", f"/dead-letters/{letter['id']}")
    assert (status, told.message_id in shown["body"]) == (200, True)
    status, replayed = admin.call("POST", f"/dead-letters/{letter['id']}/replay")
    assert (status, replayed["state"]) == (200, "replayed"), replayed
    status, again = admin.call("POST", f"/dead-letters/{letter['id']}/discard")
    assert (status, "was replayed already" in again["detail"]) == (409, True)


def test_a_letter_that_still_cannot_be_taken_says_what_is_wrong_now(admin: As, pool: Pool):
    told = Told("volume.create.end", a_volume(str(uuid4()), "p", size=None))
    bury(pool, told)
    (letter,) = letters_of(admin, told)
    status, answer = admin.call("POST", f"/dead-letters/{letter['id']}/replay")
    assert (status, answer["state"]) == (200, "waiting")
    assert "existence.size" in answer["reason"]
    status, answer = admin.call("POST", f"/dead-letters/{letter['id']}/discard")
    assert (status, answer["state"]) == (200, "discarded")


def test_the_list_goes_on_where_a_page_ends_and_filters_by_state(admin: As, pool: Pool):
    for _ in range(2):
        bury(pool, Told("volume.create.end", a_volume(str(uuid4()), "p", size=None)))
    status, first = admin.call("GET", "/dead-letters?limit=1&state=waiting")
    assert (status, len(first["items"])) == (200, 1)
    status, second = admin.call("GET", f"/dead-letters?limit=1&state=waiting&cursor={first['next']}")
    assert status == 200
    assert second["items"][0]["id"] < first["items"][0]["id"]
    assert admin.call("GET", "/dead-letters?state=lost")[0] in (400, 422)
    assert admin.call("GET", f"/dead-letters/{uuid4()}")[0] == 404
    assert admin.call("POST", "/dead-letters/no-id/replay")[0] in (400, 422)


def test_nobody_but_an_admin_sees_them(live_api: LiveApi):
    demo = As(live_api, "demo", live_api.demo_password)
    assert demo.call("GET", "/dead-letters")[0] == 403
    assert demo.call("POST", f"/dead-letters/{uuid4()}/replay")[0] == 403
