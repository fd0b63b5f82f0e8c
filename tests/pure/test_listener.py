"""What the listener decides without a broker: when a batch is due, how long it waits, where it connects, whether it runs at all."""

import ssl
from pathlib import Path

import pytest
from typer.testing import CliRunner

from entrypoints.__main__ import command_line
from entrypoints.listener import BACKOFF_MAX_S, Batching, ListenerSettings, backoff_s
from entrypoints.notification_queue import QueueOptions, amqp_url, tls_of
from entrypoints.preflight import broker_place
from entrypoints.up import services_of


def options(url: str, ca_file: str = "") -> QueueOptions:
    return QueueOptions(url, ("nova",), ("notifications.info",), "nephoscope", 10, ca_file)


def test_a_batch_is_due_when_it_is_full_or_its_first_message_has_waited():
    batching = Batching(size_max=3, wait_s=0.2)
    assert not batching.is_due(0, 10.0)
    assert not batching.is_due(1, 10.0)
    assert batching.wait_for(1, 10.05) == pytest.approx(0.15)
    assert not batching.is_due(2, 10.1)
    assert batching.is_due(3, 10.1)
    assert batching.is_due(2, 10.25)
    assert batching.wait_for(2, 11.0) == 0


def test_a_batch_that_was_taken_lets_the_next_one_wait_anew():
    batching = Batching(size_max=3, wait_s=0.2)
    assert not batching.is_due(1, 10.0)
    assert not batching.is_due(0, 10.1)
    assert not batching.is_due(1, 20.0)


def test_waiting_doubles_up_to_a_bound():
    assert [backoff_s(failures) for failures in (0, 1, 2, 3)] == [1, 2, 4, 8]
    assert backoff_s(1_000) == BACKOFF_MAX_S


def test_a_broker_is_named_as_openstack_names_it_and_without_its_password():
    assert amqp_url("rabbit://u:p@h:5672/v") == "amqp://u:p@h:5672/v"
    assert amqp_url("amqps://u:p@h:5671/") == "amqps://u:p@h:5671/"
    assert amqp_url("rabbit://u:p@h/v; rabbit://u:p@i/v") == "amqp://u:p@h/v;amqp://u:p@i/v"
    assert broker_place("amqp://u:secret@h:5672/v;amqp://u:secret@i/v") == "amqp://h:5672/v"


def test_tls_always_checks_the_certificate():
    assert tls_of(options("amqp://h")) is False
    assert tls_of(options("amqps://h"))["cert_reqs"] == ssl.CERT_REQUIRED
    assert tls_of(options("amqps://h", "/ca.pem"))["ca_certs"] == "/ca.pem"


def test_the_listener_runs_only_where_there_is_an_openstack_to_hear():
    assert "listener" not in services_of({})
    assert services_of({"NEPHO_AMQP_URL": "amqp://h"})[-1] == "listener"


def test_a_listener_without_a_broker_says_what_to_set(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    from entrypoints.listener import main

    monkeypatch.delenv("NEPHO_AMQP_URL", raising=False)
    with pytest.raises(SystemExit, match="2"):
        main(ListenerSettings())
    assert "set NEPHO_AMQP_URL to the broker" in capsys.readouterr().err


def test_definitions_are_checked_without_a_broker_and_a_database(tmp_path: Path):
    ours = Path(__file__).parent.parent.parent / "collectors" / "definitions"
    right = CliRunner().invoke(command_line, ["listener", "--check-definitions", str(ours)])
    assert (right.exit_code, "all is well" in right.output) == (0, True)
    (tmp_path / "wrong.yaml").write_text("service: x\nexchange: x\nentries: [{name: foo, events: [a]}]\n")
    wrong = CliRunner().invoke(command_line, ["listener", "--check-definitions", str(tmp_path / "wrong.yaml")])
    assert (wrong.exit_code, "entry foo: resource: Field required" in wrong.output) == (1, True)
