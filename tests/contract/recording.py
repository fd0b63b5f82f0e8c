"""Records the stories anew: `python -m tests.contract.recording [name of a story ...]`.

The real clients talk to the real API through a proxy that keeps every exchange; ids, tokens and times become placeholders.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from openstack.config import OpenStackConfig
from openstack.connection import Connection

from foundation.clock import utc_now
from foundation.database import open_pool
from foundation.ids import new_hex_id
from tests.conftest import ROOT, migrated_database
from tests.contract.conftest import running_api, spare_port
from tests.contract.recorded import Answer, Command, Exchange, Recording, Request, read_body
from tests.contract.recorded_values import Writer
from tests.contract.stories import FILES, STORIES, Script, ScriptNames, Shell, Story
from tests.contract.story_cloud import Account, StoryCloud

CLOUD = "story"
COMMAND_S_MAX = 60
SIGN_IN_PATH = "/identity/v3/auth/tokens"
REQUEST_HEADERS = (
    "User-Agent", "Accept", "Content-Type", "OpenStack-API-Version", "X-OpenStack-Nova-API-Version", "X-Auth-Token",
    "X-Subject-Token", "If-Match", "If-None-Match", "If-Modified-Since",
)  # fmt: skip
ANSWER_HEADERS = (
    "Content-Type", "Location", "Link", "Vary", "ETag", "Last-Modified", "Retry-After", "WWW-Authenticate", "X-Subject-Token",
    "OpenStack-API-Version", "X-OpenStack-Nova-API-Version",
)  # fmt: skip
"""What the clients read of an answer; its request id is another one each time, and is held by other tests."""


@dataclass
class Proxy:
    """Hands requests on to the API and keeps what passes."""

    port: int
    target_port: int
    captured: list[Exchange] = field(default_factory=list[Exchange])

    @property
    def url(self) -> str:
        """Where clients find it."""
        return f"http://127.0.0.1:{self.port}"

    def take(self) -> Sequence[Exchange]:
        """Return what passed since the last time."""
        taken, self.captured = self.captured, []
        return taken

    @contextmanager
    def serving(self) -> Generator[None]:
        """Serve while the block runs."""
        proxy = self

        class Passage(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def pass_on(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                connection = HTTPConnection("127.0.0.1", proxy.target_port, timeout=COMMAND_S_MAX)
                connection.request(self.command, self.path, body or None, dict(self.headers))
                answer = connection.getresponse()
                answered = answer.read()
                connection.close()
                request_headers = {name: self.headers[name] for name in REQUEST_HEADERS if name in self.headers}
                answer_headers = {name: answer.headers[name] for name in ANSWER_HEADERS if name in answer.headers}
                proxy.captured.append(
                    Exchange(
                        Request(self.command, self.path, request_headers, read_body(body)),
                        Answer(answer.status, answer_headers, read_body(answered)),
                    )
                )
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    if name.lower() not in ("transfer-encoding", "content-length", "connection"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(answered)))
                self.end_headers()
                self.wfile.write(answered)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = pass_on  # noqa: N815

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing a request."""

        server = ThreadingHTTPServer(("127.0.0.1", self.port), Passage)
        thread = threading.Thread(target=server.serve_forever, name="proxy")
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


class StoryTeller:
    """Tells stories: runs their steps one by one, and lets the host come to rest after each."""

    def __init__(self, cloud: StoryCloud, proxy: Proxy, *, folder: Path) -> None:
        self.cloud = cloud
        self.proxy = proxy
        self.folder = folder

    def tell(self, story: Story) -> Recording:
        """Tell one story in a new project and return its recording."""
        account = self.cloud.account(story.role)
        self._prepare(account)
        recorded_at = utc_now().replace(microsecond=0)
        hour = (recorded_at - timedelta(hours=2)).replace(minute=0, second=0)
        instants = {"hour": hour.isoformat(), "later": (hour + timedelta(minutes=1)).isoformat()}
        for name, text in FILES.items():
            (self.folder / name).write_text(text.format(**instants))
        scribe = Scribe(
            Writer(
                {
                    self.proxy.url: "<url>",
                    account.project_name: "<project name>",
                    account.user_name: "<user name>",
                    account.password: "<password>",
                }
            )
        )
        names: ScriptNames = {}
        if any(isinstance(step, Script) for step in story.steps):
            names = story.prepare(self._connect())
        for step in story.steps:
            with self.cloud.working() if step.needs_host else nullcontext():
                told = self._run(step, names, instants)
            scribe.keep(told, step, self.proxy.take())
            self.cloud.rest()
        if names:
            names["cloud"].close()
        versions = {name: version(name) for name in story.clients}
        return Recording(story.name, story.role, recorded_at.isoformat(), versions, scribe.commands)

    def _prepare(self, account: Account) -> None:
        (self.folder / "clouds.yaml").write_text(
            yaml.safe_dump(
                {
                    "clouds": {
                        CLOUD: {
                            "auth": {
                                "auth_url": f"{self.proxy.url}/identity",
                                "username": account.user_name,
                                "password": account.password,
                                "project_name": account.project_name,
                                "user_domain_name": "Default",
                                "project_domain_name": "Default",
                            },
                            "region_name": "RegionOne",
                            "identity_api_version": 3,
                        }
                    }
                }
            )
        )

    def _connect(self) -> Connection:
        region: Any = OpenStackConfig(config_files=[str(self.folder / "clouds.yaml")]).get_one(cloud=CLOUD)
        return Connection(config=region)

    def _run(self, step: Shell | Script, names: ScriptNames, instants: dict[str, str]) -> str:
        if isinstance(step, Script):
            try:
                exec(step.lines, names)  # our own lines
            except Exception:
                if not step.is_refused:
                    raise
            else:
                assert not step.is_refused, f"was not refused: {step.lines}"
            return step.lines
        line = step.line
        for name, instant in instants.items():
            line = line.replace(f"{{{name}}}", instant)
        self._type(line, is_refused=step.is_refused)
        return f"openstack {line}"

    def _type(self, line: str, *, is_refused: bool) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("OS_")}
        environment |= {"OS_CLIENT_CONFIG_FILE": str(self.folder / "clouds.yaml"), "NO_PROXY": "*", "no_proxy": "*"}
        client = str(Path(sys.executable).parent / "openstack")
        done = subprocess.run(
            [client, "--os-cloud", CLOUD, *shlex.split(line)],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=COMMAND_S_MAX,
            check=False,
        )
        assert (done.returncode != 0) is is_refused, f"openstack {line}\n{done.stdout}\n{done.stderr}"


class Scribe:
    """Writes down what passed, without repeating itself: signing in again and asking the same again tell nothing new."""

    def __init__(self, writer: Writer) -> None:
        self.writer = writer
        self.commands: list[Command] = []
        self._written: list[Exchange] = []

    def keep(self, told: str, step: Shell | Script, captured: Sequence[Exchange]) -> None:
        """Write one command with what it did that was not seen before."""
        exchanges = [written for each in captured if (written := self._write(each)) is not None]
        self.commands.append(Command(told, exchanges, step.sees_others, step.needs_host))
        print(f"  {told.splitlines()[0][:100]}: {len(exchanges)} of {len(captured)} exchanges")  # noqa: T201

    def _write(self, captured: Exchange) -> Exchange | None:
        tried = self.writer.copy()
        tried.hear_request(f"{captured.request.path} {json.dumps(captured.request.body)}")
        request = Request(
            captured.request.method,
            tried.text(captured.request.path),
            {name: tried.text(value) for name, value in captured.request.headers.items()},
            tried.json(captured.request.body, is_said=True),
        )
        is_sign_in = (request.method, request.path) == ("POST", SIGN_IN_PATH) and captured.answer.status == 201
        earlier = next((each for each in self._written if is_sign_in and each.request == request), None)
        if earlier is not None:
            self.writer.seen[captured.answer.headers["X-Subject-Token"]] = earlier.answer.headers["X-Subject-Token"]
            return None
        tried.hear_answer(json.dumps(captured.answer.body))
        answer = Answer(
            captured.answer.status,
            {name: tried.text(value) for name, value in captured.answer.headers.items()},
            tried.json(captured.answer.body),
        )
        written = Exchange(request, answer)
        if request.method == "GET" and written in self._written:
            return None
        self.writer = tried
        self._written.append(written)
        return written


@contextmanager
def cluster() -> Generator[str]:
    """Give the cluster that the tests use too."""
    given = os.environ.get("NEPHO_TEST_DATABASE_URL")
    if given:
        yield given
        return
    from provision.timescaledb import running_test_cluster

    with running_test_cluster(ROOT / "var") as url:
        yield url


def record(story: Story, *, cluster_url: str) -> Recording:
    """Record a story in a cloud made for it, where nobody else is."""
    with migrated_database(cluster_url, f"recording_{new_hex_id()}") as url, TemporaryDirectory() as made:
        folder = Path(made)
        pool = open_pool(url, size_max=4, application_name="recording")
        proxy = Proxy(spare_port(), spare_port())
        os.environ["NEPHO_PUBLIC_URL"] = proxy.url
        try:
            cloud = StoryCloud(pool, folder, clock=utc_now)
            with running_api(url, folder, port=proxy.target_port), proxy.serving():
                return StoryTeller(cloud, proxy, folder=folder).tell(story)
        finally:
            pool.close()


def main() -> None:
    """Record the stories that are named, or all."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.contract.recording", description=(__doc__ or "").splitlines()[0]
    )
    known = [story.name for story in STORIES]
    parser.add_argument("story", nargs="*", help=f"one of: {', '.join(known)}; all where none is named")
    asked: list[str] = parser.parse_args().story
    unknown = sorted(set(asked) - set(known))
    if unknown:
        parser.error(f"no such story: {', '.join(unknown)}; there are: {', '.join(known)}")
    with cluster() as cluster_url:
        for story in STORIES:
            if not asked or story.name in asked:
                print(story.name)  # noqa: T201
                record(story, cluster_url=cluster_url).write()


if __name__ == "__main__":
    main()
