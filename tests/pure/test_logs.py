"""Logs: where they go, and that secrets and caught lines stay what they are however often a process sets them up."""

import logging
from io import StringIO

import pytest
import structlog
from structlog.testing import capture_logs

from entrypoints.logs import configure_logs


def test_a_logger_outlives_the_stderr_that_it_began_with(capsys: pytest.CaptureFixture[str]) -> None:
    logger = structlog.get_logger("outlives")
    with pytest.MonkeyPatch.context() as patched, StringIO() as passing:
        patched.setattr("sys.stderr", passing)
        logger.warning("first")
    logger.warning("second")
    assert "second" in capsys.readouterr().err


def test_a_logger_is_heard_after_logs_are_set_up_again() -> None:
    logger = structlog.get_logger("heard")
    logger.warning("used")
    configure_logs(logging.WARNING)
    with capture_logs() as heard:
        logger.warning("again")
    assert "again" in [line["event"] for line in heard]


def test_secrets_are_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    structlog.get_logger("secrets").warning("signed in", password="hunter2", x_auth_token="abc", user="me")
    written = capsys.readouterr().err
    assert "hunter2" not in written
    assert "abc" not in written
    assert '"user": "me"' in written
