"""What real clients sent once is sent again, and every answer must still be what they read then: status, headers, keys, types, values.

A client's version that moved, or an answer that was changed on purpose: `python -m tests.contract.recording` (see tests/README.md).
"""

import json
import re
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

import pytest
from starlette.testclient import TestClient

from api.app import create_app
from api.context import ApiContext
from foundation.database import Pool
from foundation.settings import Settings
from tests.conftest import ROOT, own_pool
from tests.contract.recorded import Answer, Comparison, Exchange, Recording, Request, read_body, read_recordings
from tests.contract.recorded_values import Bindings
from tests.contract.stories import STORIES
from tests.contract.story_cloud import StoryCloud

URL = "http://recorded.example"
HOW_TO_RECORD = "record the stories anew: python -m tests.contract.recording (see tests/README.md)"
RECORDINGS = read_recordings()
IDS = [recording.path.stem for recording in RECORDINGS]
NO_BINDINGS = {"<url>": URL, "<project name>": "project-x", "<user name>": "user-x", "<password>": "secret-x"}


@pytest.fixture(scope="module")
def pool(cluster_url: str) -> Generator[Pool]:
    """A database where operators see only what stories made."""
    with own_pool(cluster_url) as opened:
        yield opened


@pytest.fixture(scope="module")
def clock() -> Callable[[], datetime]:
    """It is the time of the newest recording, so that the instants in requests mean what they meant."""
    began, begun_at = time.monotonic(), max(datetime.fromisoformat(each.recorded_at) for each in RECORDINGS)
    return lambda: begun_at + timedelta(seconds=time.monotonic() - began)


@dataclass(frozen=True, slots=True)
class Stage:
    """The application and the host behind it."""

    client: TestClient
    cloud: StoryCloud

    def send(self, request: Request, bindings: Bindings) -> Answer:
        """Send a recorded request as it is now."""
        headers = {name: bindings.fill(value) for name, value in request.headers.items()}
        body = None if request.body is None else json.dumps(bindings.fill_json(request.body)).encode()
        path = bindings.fill(request.path)
        answer = self.client.request(request.method, URL + path, headers=headers, content=body, follow_redirects=False)
        return Answer(answer.status_code, answer.headers, read_body(answer.content))


@pytest.fixture(scope="module")
def stage(pool: Pool, clock: Callable[[], datetime], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    context = ApiContext(settings=Settings(public_url=URL), pool=pool, clock=clock)
    with TestClient(create_app(context), base_url=URL) as client:
        yield Stage(client, StoryCloud(pool, tmp_path_factory.mktemp("stories"), clock=clock))


@pytest.mark.parametrize("recording", RECORDINGS, ids=IDS)
def test_every_request_of_the_story_is_answered_as_the_client_knows_it(recording: Recording, stage: Stage) -> None:
    account = stage.cloud.account(recording.role)
    bindings = Bindings(
        {
            "<url>": URL,
            "<project name>": account.project_name,
            "<user name>": account.user_name,
            "<password>": account.password,
        }
    )
    told: list[str] = []
    for command in recording.commands:
        with stage.cloud.working() if command.needs_host else nullcontext():
            for exchange in command.exchanges:
                actual = stage.send(exchange.request, bindings)
                differences = comparison_of(exchange, bindings, sees_others=command.sees_others).answers(
                    exchange.answer, actual
                )
                asked = f"{command.command}: {exchange.request.method} {exchange.request.path}"
                told += [asked, *differences] if differences else []
        stage.cloud.rest()
    assert not told, "\n".join([*told, f"if that is meant, {HOW_TO_RECORD}"])


def comparison_of(exchange: Exchange, bindings: Bindings, *, sees_others: bool = False) -> Comparison:
    """Compare lists in their order where the client asked for one."""
    return Comparison(bindings, sees_others=sees_others, is_ordered="sort" in exchange.request.path)


def test_every_story_is_recorded_and_nothing_else() -> None:
    assert sorted(IDS) == sorted(story.name.replace(" ", "-") for story in STORIES), HOW_TO_RECORD


@pytest.mark.parametrize("recording", RECORDINGS, ids=IDS)
def test_the_recorded_clients_are_those_that_the_tests_install(recording: Recording) -> None:
    pinned = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / "requirements" / "development.txt").read_text(), re.M))
    story = next(story for story in STORIES if story.name == recording.story)
    assert sorted(recording.clients) == sorted(story.clients), HOW_TO_RECORD
    moved = {name: (then, pinned.get(name)) for name, then in recording.clients.items() if pinned.get(name) != then}
    assert not moved, "".join(
        f"'{recording.story}' was recorded with {name} {then}, and requirements/development.txt has {now}; {HOW_TO_RECORD}"
        for name, (then, now) in moved.items()
    )


@pytest.mark.parametrize("recording", RECORDINGS, ids=IDS)
def test_a_recording_keeps_no_secret_and_nothing_of_one_run(recording: Recording) -> None:
    text = recording.path.read_text()
    for trace in (
        r"nph_",
        r"secret-[0-9a-f]",
        r"PRIVATE KEY",
        r"127\.0\.0\.1:\d",
        r"[0-9a-f]{8}-[0-9a-f]{4}-",
        r"/tmp/",
    ):
        assert not re.search(trace, text), f"{recording.path.name} holds {trace}"


@contextmanager
def told_anew(exchange: Exchange) -> Generator[tuple[Comparison, Answer]]:
    """A comparison, and the recorded answer as another run would give it."""
    invented = Bindings(dict(NO_BINDINGS))
    answer = Answer(
        exchange.answer.status,
        {name: invented.fill(value) for name, value in exchange.answer.headers.items()},
        invented.fill_json(exchange.answer.body),
    )
    yield comparison_of(exchange, Bindings(dict(NO_BINDINGS))), answer


def exchanges_of(recording: Recording) -> list[Exchange]:
    return [exchange for command in recording.commands for exchange in command.exchanges]


def new_in(recording: Recording) -> list[Exchange]:
    """What no recording before this one has: every story signs in, and to try all faults on that once is enough."""
    before = {shape_of(each) for other in RECORDINGS[: RECORDINGS.index(recording)] for each in exchanges_of(other)}
    return list({shape_of(each): each for each in exchanges_of(recording) if shape_of(each) not in before}.values())


def shape_of(exchange: Exchange) -> tuple[str, str, int]:
    return exchange.request.method, exchange.request.path, exchange.answer.status


@pytest.mark.parametrize("recording", RECORDINGS, ids=IDS)
def test_a_recording_is_like_itself_with_other_ids(recording: Recording) -> None:
    for exchange in exchanges_of(recording):
        with told_anew(exchange) as (comparison, answer):
            assert comparison.answers(exchange.answer, answer) == []


def faults_of(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the body with one thing wrong at a time: a field dropped, one of another type, a row lost."""
    if isinstance(value, dict):
        items = cast(dict[str, Any], value)
        for key, held in items.items():
            yield f"without {key}", {name: each for name, each in items.items() if name != key}
            for said, wrong in faults_of(held):
                yield f"{key} {said}", items | {key: wrong}
    elif isinstance(value, list):
        rows = cast(list[Any], value)
        for number, held in enumerate(rows[:3]):
            yield f"without row {number}", rows[:number] + rows[number + 1 :]
            for said, wrong in faults_of(held):
                yield f"[{number}] {said}", [*rows[:number], wrong, *rows[number + 1 :]]
    elif isinstance(value, str):
        yield "as nothing", None
        yield "as a list", [value]
    elif value is None:
        yield "as a text", ""
    elif isinstance(value, bool):
        yield "as a number", int(value)
    else:
        yield "as a text", str(value)


@pytest.mark.parametrize("recording", RECORDINGS, ids=IDS)
def test_a_dropped_field_or_another_type_is_seen_at_any_depth(recording: Recording) -> None:
    for exchange in new_in(recording):
        with told_anew(exchange) as (comparison, answer):
            for said, wrong in faults_of(answer.body):
                differences = Comparison(comparison.bindings.copy(), is_ordered=comparison.is_ordered).answers(
                    exchange.answer, Answer(answer.status, answer.headers, wrong)
                )
                assert differences, f"{exchange.request.method} {exchange.request.path}: {said} was not seen"


@pytest.mark.parametrize("recording", RECORDINGS, ids=IDS)
def test_another_status_and_a_lost_header_are_seen(recording: Recording) -> None:
    for exchange in exchanges_of(recording):
        with told_anew(exchange) as (comparison, answer):
            assert comparison.answers(exchange.answer, Answer(answer.status + 1, answer.headers, answer.body))
            for name in answer.headers:
                fewer = {other: value for other, value in answer.headers.items() if other != name}
                assert comparison.answers(exchange.answer, Answer(answer.status, fewer, answer.body))


def test_an_id_that_is_another_one_the_second_time_is_seen() -> None:
    expected = Answer(200, {}, {"id": "<uuid 1>", "links": ["<url>/servers/<uuid 1>"], "image": "<uuid 2>"})
    one, other, third = (f"00000000-0000-0000-0000-00000000000{number}" for number in (1, 2, 3))

    def differences(id_: str, link: str, image: str) -> Any:
        actual = Answer(200, {}, {"id": id_, "links": [f"{URL}/servers/{link}"], "image": image})
        return Comparison(Bindings(dict(NO_BINDINGS))).answers(expected, actual)

    assert not differences(one, one, other)
    assert differences(one, third, other), "the link leads elsewhere"
    assert differences(one, one, one), "two things are one"
