"""The API killed, stopped and cut off under load: what was acknowledged is stored, once, and the next process carries on."""

import threading
import time
from pathlib import Path
from uuid import uuid4

import httpx2
import pytest

from foundation.database import Pool, transaction
from tests.contract.conftest import running_api, spare_port

WRITERS = 4
MORE_PER_WRITER = 5
PATIENCE_S = 60.0


class Writers:
    """Threads that make projects as fast as they can, each name once, and remember what was acknowledged."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self.token = token
        self.mark = uuid4().hex[:8]
        self.acknowledged: list[str] = []
        self.refused: list[httpx2.Response] = []
        self.is_over = threading.Event()
        self.threads = [threading.Thread(target=self.write, args=(number,)) for number in range(WRITERS)]

    def write(self, number: int) -> None:
        with httpx2.Client(base_url=self.url, trust_env=False, timeout=PATIENCE_S) as client:
            for count in range(10_000):
                if self.is_over.is_set():
                    return
                name = f"kill-{self.mark}-{number}-{count}"
                try:
                    answer = client.post(
                        "/identity/v3/projects", json={"project": {"name": name}}, headers={"X-Auth-Token": self.token}
                    )
                except httpx2.TransportError:
                    time.sleep(0.02)
                    continue
                if answer.status_code == 201:
                    self.acknowledged.append(name)
                else:
                    self.refused.append(answer)

    def start(self) -> None:
        for thread in self.threads:
            thread.start()

    def wait_for_more(self) -> None:
        """Wait until each writer may have been acknowledged again, on however busy a machine."""
        wanted = len(self.acknowledged) + MORE_PER_WRITER * len(self.threads)
        deadline = time.monotonic() + PATIENCE_S
        while len(self.acknowledged) < wanted:
            if time.monotonic() > deadline:
                self.stop()
                pytest.fail(f"nothing more is acknowledged; last refused: {self.refused[-3:]}")
            time.sleep(0.02)

    def stop(self) -> None:
        self.is_over.set()
        for thread in self.threads:
            thread.join(PATIENCE_S)

    def stored(self, pool: Pool) -> list[str]:
        with transaction(pool) as tx:
            rows = tx.execute("SELECT name FROM project WHERE name LIKE %s", (f"kill-{self.mark}-%",)).fetchall()
            return [str(row[0]) for row in rows]


def signed_in(url: str, password: str) -> str:
    user = {"name": "admin", "domain": {"id": "default"}, "password": password}
    body = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}}}
    answer = httpx2.post(f"{url}/identity/v3/auth/tokens", json=body, trust_env=False, timeout=PATIENCE_S)
    return answer.headers["x-subject-token"]


@pytest.mark.parametrize("signal_name", ["kill", "terminate"])
def test_an_api_that_ends_under_load_loses_nothing_that_it_acknowledged(
    pool: Pool, database_url: str, tmp_path: Path, passwords: dict[str, str], signal_name: str
) -> None:
    port = spare_port()
    url = f"http://127.0.0.1:{port}"
    with running_api(database_url, tmp_path, port=port) as api:
        writers = Writers(url, signed_in(url, passwords["admin"]))
        writers.start()
        writers.wait_for_more()
        before = len(writers.acknowledged)
        getattr(api, signal_name)()
        api.wait(PATIENCE_S)
    with running_api(database_url, tmp_path, port=port):
        writers.wait_for_more()
        writers.stop()
    stored = writers.stored(pool)
    assert 0 < before < len(writers.acknowledged), "the load went on before and after"
    assert set(writers.acknowledged) <= set(stored)
    assert len(stored) == len(set(stored))
    assert {answer.status_code for answer in writers.refused} <= {503}


def test_connections_that_the_database_ends_are_503s_and_heal_without_a_restart(
    pool: Pool, database_url: str, tmp_path: Path, passwords: dict[str, str]
) -> None:
    port = spare_port()
    url = f"http://127.0.0.1:{port}"
    with running_api(database_url, tmp_path, port=port):
        writers = Writers(url, signed_in(url, passwords["admin"]))
        writers.start()
        for _ in range(5):
            writers.wait_for_more()
            with transaction(pool) as tx:
                tx.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE application_name = 'nephoscope-api' AND datname = current_database()"
                )
        writers.wait_for_more()
        writers.stop()
    assert set(writers.acknowledged) <= set(writers.stored(pool))
    assert {answer.status_code for answer in writers.refused} <= {503}
    assert all(answer.headers["retry-after"] for answer in writers.refused)


def test_an_api_that_is_stopped_ends_its_open_streams_and_itself_at_once(
    database_url: str, tmp_path: Path, passwords: dict[str, str]
) -> None:
    port = spare_port()
    url = f"http://127.0.0.1:{port}"
    with running_api(database_url, tmp_path, port=port) as api:
        headers = {"X-Auth-Token": signed_in(url, passwords["admin"])}
        with httpx2.stream("GET", f"{url}/v1/stream", headers=headers, trust_env=False, timeout=PATIENCE_S) as stream:
            chunks = stream.iter_bytes()
            assert b"retry" in next(chunks)
            api.terminate()
            for _ in chunks:
                pass
        assert api.wait(PATIENCE_S) == 0
