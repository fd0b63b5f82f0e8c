"""Set-up on machines that are not as ours: files are made for others to read, and what goes wrong is one sentence."""

import errno
import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from provision import set_up
from provision.children import Say
from provision.failures import ProvisionError
from provision.installation import Installation
from provision.set_up import Step


@pytest.fixture
def strict_umask() -> Iterator[None]:
    """As hardened machines have it for root."""
    before = os.umask(0o077)
    yield
    os.umask(before)


def take(do: Callable[[Say], object], var: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set up with this as the only step."""

    def steps(_: Installation, *, packages: Sequence[str]) -> list[Step]:
        return [Step("something", lambda: False, do)]

    monkeypatch.setattr(set_up, "steps", steps)
    set_up.set_up(Installation("ab12", var), packages=[])


def test_what_is_made_can_be_read_by_the_servers_own_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, strict_umask: None
) -> None:
    take(lambda _: (tmp_path / "made").mkdir(), tmp_path, monkeypatch)
    assert (tmp_path / "made").stat().st_mode & 0o777 == 0o755
    (tmp_path / "later").mkdir()
    assert (tmp_path / "later").stat().st_mode & 0o777 == 0o700


def no_room(_: Say) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/somewhere")


def a_program_fails(_: Say) -> None:
    subprocess.run(["false"], check=True)


@pytest.mark.parametrize(
    ("do", "says"),
    [
        (no_room, r"something could not be set up .*No space left.*/somewhere.*\)\. Free some disk space.*NEPHO_VAR"),
        (a_program_fails, r"something could not be set up \(.*'false'.*\)\. Mend that and run it again\."),
    ],
)
def test_what_a_step_did_not_foresee_is_still_one_sentence(
    do: Callable[[Say], object], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ProvisionError, match=says):
        take(do, tmp_path, monkeypatch)


@pytest.mark.parametrize("name", ["Mine", "my-cloud", "a" * 13])
def test_a_name_that_no_installation_can_have_is_refused_in_a_sentence(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEPHO_VAR", str(tmp_path))
    monkeypatch.setenv("NEPHO_INSTALLATION", name)
    with pytest.raises(ProvisionError, match=f"NEPHO_INSTALLATION={name} is not allowed.*small letters"):
        set_up.check_before(listen=None)


def test_a_name_that_a_power_loss_took_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEPHO_VAR", str(tmp_path))
    monkeypatch.delenv("NEPHO_INSTALLATION", raising=False)
    (tmp_path / "installation").touch()
    with pytest.raises(ProvisionError, match=r"/installation does not hold the name.*Write into it"):
        set_up.check_before(listen=None)
