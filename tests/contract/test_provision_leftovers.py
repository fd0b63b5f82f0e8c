"""What lies in /run after an installation: only what nobody uses goes, shown in a folder that stands for /run."""

import fcntl
import os
import socket
from pathlib import Path

import pytest

from provision import leftovers, libvirt_daemons


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in place of /run, on a host without our packet rules: no program is found."""
    monkeypatch.setenv("PATH", "")
    (tmp_path / leftovers.LOCK).touch()
    return tmp_path


def a_folder(run: Path, *, mark: str = "") -> Path:
    folder = run / "nephoscope-ab12"
    (folder / "redis").mkdir(parents=True)
    if mark:
        (folder / leftovers.MARK).write_text(mark + "\n")
    return folder


def test_the_folder_of_a_killed_installation_and_the_shared_lock_go(run: Path):
    folder = a_folder(run, mark="1:1")
    leftovers.forget_unused(run)
    assert not folder.exists()
    assert not (run / leftovers.LOCK).exists()


def test_a_socket_that_nobody_answers_is_a_dead_installation(run: Path):
    folder = a_folder(run)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(folder / "redis" / "redis.sock"))
        server.listen()
        leftovers.forget_unused(run)
        assert folder.exists()
    leftovers.forget_unused(run)
    assert not folder.exists()


def test_an_installation_that_runs_keeps_everything(run: Path):
    folder = a_folder(run, mark=libvirt_daemons.fingerprint(os.getpid()))
    leftovers.forget_unused(run)
    assert folder.exists()
    assert (run / leftovers.LOCK).exists()


def test_what_may_be_just_beginning_and_what_is_not_ours_stay(run: Path):
    beginning = a_folder(run)
    guests = run / "nephoscope-ab12-guests"
    guests.mkdir()
    leftovers.forget_unused(run)
    assert beginning.exists()
    assert guests.exists()
    assert (run / leftovers.LOCK).exists()


@pytest.mark.parametrize("half", ["", "12", "no mark of ours"])
def test_a_mark_that_is_being_written_is_no_sign_of_death(run: Path, half: str):
    folder = a_folder(run)
    (folder / leftovers.MARK).write_text(half)
    leftovers.forget_unused(run)
    assert folder.exists()


def test_a_lock_that_is_held_stays(run: Path):
    with (run / leftovers.LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        leftovers.forget_unused(run)
        assert (run / leftovers.LOCK).exists()


def test_the_last_one_puts_forwarding_back_and_forgets_how_it_was(run: Path, monkeypatch: pytest.MonkeyPatch):
    forward = run / "ip_forward"
    forward.write_text("1\n")
    monkeypatch.setattr(leftovers, "IP_FORWARD", forward)
    (run / leftovers.FORWARD_BEFORE).write_text("0\n")
    leftovers.forget_unused(run)
    assert forward.read_text() == "0\n"
    assert not (run / leftovers.FORWARD_BEFORE).exists()
