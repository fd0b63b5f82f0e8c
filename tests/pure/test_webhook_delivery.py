"""What a webhook carries, when it is tried again, and which addresses it may reach."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from alarms.delivery import (
    ATTEMPTS_MAX_DEFAULT,
    RETRY_DELAYS_S,
    Delivered,
    Delivery,
    GiveUp,
    Outcome,
    OutcomeKind,
    Retry,
    SigningSecret,
    decide_next,
    retry_delay,
    secret_text,
    signed_headers,
)
from alarms.egress import AddressRefused, EgressPolicy, is_public, plain_address
from api.native.deliveries import to_secret
from foundation.clock import utc_now
from foundation.settings import Settings

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SECRET, OTHER = b"s" * 32, b"t" * 32


def a_delivery(*, attempts: int = 1, attempts_max: int = ATTEMPTS_MAX_DEFAULT) -> Delivery:
    return Delivery(
        id=UUID(int=5), project_id="p", alarm_id=None, event_id=UUID(int=6), url="https://example.org/", body="{}",
        state="pending", attempts=attempts, attempts_max=attempts_max, next_attempt_at=NOW, lease_owner="w",
        lease_until=NOW, created_at=NOW, finished_at=None,
    )  # fmt: skip


@given(alarm_name=st.text(st.characters(codec="utf-8"), max_size=50))
def test_the_standard_library_of_webhooks_verifies_our_signature(alarm_name: str) -> None:
    body = json.dumps({"alarm_name": alarm_name}).encode()
    headers = dict(signed_headers(UUID(int=5), body, secrets=[SECRET], sent_at=utc_now()))
    assert Webhook(secret_text(SECRET)).verify(body, headers) == {"alarm_name": alarm_name}
    with pytest.raises(WebhookVerificationError):
        Webhook(secret_text(OTHER)).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret_text(SECRET)).verify(body + b" ", headers)


def test_after_a_rotation_either_secret_verifies_until_the_old_one_ends() -> None:
    rotated = SigningSecret("p", OTHER, SECRET, NOW + timedelta(hours=1))
    headers = dict(signed_headers(UUID(int=5), b"{}", secrets=rotated.active(NOW), sent_at=utc_now()))
    assert Webhook(secret_text(SECRET)).verify(b"{}", headers) == {}
    assert Webhook(secret_text(OTHER)).verify(b"{}", headers) == {}
    assert rotated.active(NOW + timedelta(hours=1)) == (OTHER,)


@given(attempt=st.integers(1, 100), number=st.integers(0, 2**128 - 1))
def test_delays_grow_stay_bounded_and_do_not_march_in_step(attempt: int, number: int) -> None:
    delay_s = retry_delay(UUID(int=number), attempt).total_seconds()
    base_s = RETRY_DELAYS_S[min(attempt, len(RETRY_DELAYS_S)) - 1]
    assert 0.8 * base_s <= delay_s <= 1.2 * base_s
    assert retry_delay(UUID(int=number), attempt).total_seconds() == delay_s


def outcome(kind: OutcomeKind, status_code: int | None = None) -> Outcome:
    return Outcome(kind, 10, status_code)


def test_what_follows_an_attempt() -> None:
    assert isinstance(decide_next(a_delivery(), outcome(OutcomeKind.DELIVERED, 204), now=NOW), Delivered)
    assert isinstance(decide_next(a_delivery(), outcome(OutcomeKind.REJECTED, 500), now=NOW), Retry)
    assert isinstance(decide_next(a_delivery(), outcome(OutcomeKind.UNREACHABLE), now=NOW), Retry)
    assert isinstance(decide_next(a_delivery(), outcome(OutcomeKind.REJECTED, 410), now=NOW), GiveUp)
    assert isinstance(decide_next(a_delivery(), outcome(OutcomeKind.REFUSED), now=NOW), GiveUp)
    last = replace(a_delivery(), attempts=ATTEMPTS_MAX_DEFAULT)
    assert isinstance(decide_next(last, outcome(OutcomeKind.UNREACHABLE), now=NOW), GiveUp)


def test_what_is_sent_again_by_hand_waits_as_what_is_new() -> None:
    again = a_delivery(attempts=ATTEMPTS_MAX_DEFAULT + 1, attempts_max=2 * ATTEMPTS_MAX_DEFAULT)
    decision = decide_next(again, outcome(OutcomeKind.UNREACHABLE), now=NOW)
    assert isinstance(decision, Retry)
    assert decision.at - NOW == retry_delay(again.id, 1)
    at_end = replace(again, attempts=2 * ATTEMPTS_MAX_DEFAULT - 1)
    decision = decide_next(at_end, outcome(OutcomeKind.UNREACHABLE), now=NOW)
    assert isinstance(decision, Retry)
    assert decision.at - NOW == retry_delay(again.id, ATTEMPTS_MAX_DEFAULT - 1)


NOT_PUBLIC = [
    "127.0.0.1", "127.1.2.3", "0.0.0.0", "10.0.0.1", "172.16.5.4", "192.168.1.1", "169.254.169.254", "100.64.0.1",
    "192.0.2.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "192.88.99.1",
    "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:7f00:1",
    "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::", "2001:0:7f00:1::", "fe80::1", "fe80::1%1",
    "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1", "2001:db8::1",
]  # fmt: skip


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_an_address_that_is_not_public_is_refused_over_either_scheme(address: str) -> None:
    for is_tls in (True, False):
        with pytest.raises(AddressRefused):
            EgressPolicy().check(address, port=443, is_tls=is_tls)


@pytest.mark.parametrize("address", ["1.1.1.1", "203.0.114.9", "2606:4700::1111", "::ffff:1.1.1.1"])
def test_a_public_address_is_reached_over_https_on_webhook_ports_only(address: str) -> None:
    policy = EgressPolicy()
    for port in (443, 8443, 9000):
        policy.check(address, port=port, is_tls=True)
    for port in (22, 25, 3306, 6379):
        with pytest.raises(AddressRefused):
            policy.check(address, port=port, is_tls=True)
    with pytest.raises(AddressRefused):
        policy.check(address, port=80, is_tls=False)


def test_the_operator_allows_private_networks_by_setting() -> None:
    policy = EgressPolicy.from_setting(" 127.0.0.0/8, fd00::/8 ,10.1.0.0/16")
    for address in ("127.0.0.1", "::ffff:127.0.0.1", "fd00::5", "10.1.2.3"):
        policy.check(address, port=8080, is_tls=False)
    for address in ("10.2.0.1", "::1", "169.254.169.254"):
        with pytest.raises(AddressRefused):
            policy.check(address, port=443, is_tls=True)


@given(st.ip_addresses(v=4))
def test_an_address_written_as_ipv6_is_judged_as_what_it_is(address: object) -> None:
    assert is_public(plain_address(f"::ffff:{address}")) == is_public(plain_address(str(address)))


def test_all_addresses_are_checked_texts() -> None:
    resolved: Sequence[str] = ["not an address", "1.2.3", "2130706433", "0x7f.1"]
    for text in resolved:
        with pytest.raises(AddressRefused):
            EgressPolicy().check(text, port=443, is_tls=True)


def test_a_network_that_the_settings_take_is_one_that_webhooks_may_reach() -> None:
    setting = "10.1.2.3/8, 192.168.0.0/16"
    Settings(webhook_allow_cidrs=setting)
    policy = EgressPolicy.from_setting(setting)
    assert str(policy.check("10.200.0.1", port=8080, is_tls=False)) == "10.200.0.1"


def test_the_old_secret_is_shown_while_it_signs_and_not_after() -> None:
    rotated = SigningSecret("p", OTHER, SECRET, NOW + timedelta(hours=1))
    during, after = to_secret(rotated, now=NOW), to_secret(rotated, now=NOW + timedelta(hours=1))
    assert (during.secret, during.previous_secret) == (secret_text(OTHER), secret_text(SECRET))
    assert (after.secret, after.previous_secret, after.previous_until) == (secret_text(OTHER), None, None)
