"""Taking notifications: once each, whatever the order; what cannot be taken waits; what is told has a price."""

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import LiteralString
from uuid import UUID, uuid4

import pytest

from billing.model import Authorship
from billing.prices import CounterPrice, FlavorPrice
from billing.service import (
    account_of,
    add_price_version,
    assign_plan,
    create_price_plan,
    draft_invoice,
    explain_line,
    finalize_invoice,
    invoice_lines,
    late_usage,
    set_account,
    verify_invoice,
)
from collectors.dead_letters import (
    DeadLetterCut,
    DeadLetterNotFound,
    DeadLetterSettled,
    discard_dead_letter,
    get_dead_letter,
    list_dead_letters,
    measure_dead_letters,
    replay_dead_letter,
)
from collectors.definitions.files import Catalogue, load_catalogue
from collectors.listening import (
    KEPT_BYTES_MAX,
    MESSAGE_BYTES_MAX,
    DeadLettersFull,
    Message,
    Taken,
    forget_heard,
    forget_settled,
    take_messages,
)
from collectors.store.dead_letters import LETTER_BYTES
from foundation.database import Pool, Transaction, transaction
from foundation.interval import TimeInterval
from metering.model import resource_id_of
from metering.service import counter_usage, existence_segments, state_segments
from tests.notification_payloads import T0, Told, a_swift_request, a_volume, an_instance

NOW = datetime(2026, 11, 20, tzinfo=UTC)
MONTH = TimeInterval(T0, T0 + timedelta(days=29))
AFTERWARDS = datetime(2026, 12, 5, tzinfo=UTC)
OUTGOING = "storage.objects.outgoing.bytes"
BY = Authorship(actor="user:tester", reason="a test", request_id="req-1")


@lru_cache(maxsize=1)
def catalogue() -> Catalogue:
    return load_catalogue()


def as_message(told: Told | bytes) -> Message:
    return Message(told if isinstance(told, bytes) else told.body(), "nova", "notifications.info")


def take(tx: Transaction, told: Sequence[Told | bytes], *, now: datetime = NOW) -> Taken:
    return take_messages(tx, [as_message(one) for one in told], catalogue=catalogue(), now=now)


def a_request(account: str, at_s: float = 0, bytes_sent: float = 10) -> Told:
    return Told("objectstore.http.request", a_swift_request(account, OUTGOING, bytes_sent), at_s)


def outgoing(tx: Transaction, account: str) -> Decimal:
    return sum((u.quantity for u in counter_usage(tx, project_id=account, meter=OUTGOING, interval=MONTH)), Decimal(0))


def letter_of(tx: Transaction, told: Told) -> tuple[UUID, str, str]:
    row = tx.execute("SELECT id, state, reason FROM dead_letter WHERE message_id = %s", (told.message_id,)).fetchone()
    assert row is not None
    return row


def test_a_message_counts_once_in_one_batch_and_in_later_ones(tx: Transaction):
    account = uuid4().hex
    told = [a_request(account, second) for second in range(3)]
    assert take(tx, [*told, told[0]]) == Taken(taken=3, repeated=1)
    assert take(tx, told) == Taken(repeated=3)
    assert outgoing(tx, account) == 30


def test_a_message_that_was_forgotten_and_comes_again_still_counts_once(tx: Transaction):
    account, instance = uuid4().hex, str(uuid4())
    told = [a_request(account), Told("compute.instance.create.end", an_instance(instance, account, "active"))]
    take(tx, told)
    assert forget_heard(tx, now=NOW + timedelta(days=31)) >= 2
    assert take(tx, told) == Taken(taken=2)
    assert outgoing(tx, account) == 10
    (life,) = state_segments(tx, project_id=account, interval=MONTH)
    assert life.started_at == T0


def test_events_that_nobody_meters_leave_nothing_behind(tx: Transaction):
    told = Told("scheduler.select_destinations.end", {"anything": 1})
    assert take(tx, [told]) == Taken(ignored=1)
    heard = tx.execute("SELECT 1 FROM heard_notification WHERE message_id = %s", (told.message_id,)).fetchone()
    assert heard is None


def test_the_order_of_arrival_changes_no_life_and_no_end(tx: Transaction):
    project, seen = str(uuid4()), set[object]()
    for seed in range(6):
        volume, instance = str(uuid4()), str(uuid4())
        told = [
            Told("volume.create.end", a_volume(volume, project), 0),
            Told("volume.resize.end", a_volume(volume, project, size=20), 100),
            Told("volume.delete.end", a_volume(volume, project, size=20), 200),
            Told("compute.instance.create.end", an_instance(instance, project, "active"), 0),
            Told("compute.instance.power_off.end", an_instance(instance, project, "stopped"), 100),
            Told("compute.instance.delete.end", an_instance(instance, project, "deleted"), 200),
        ]
        random.Random(seed).shuffle(told)
        for one in told:
            assert take(tx, [one]).taken == 1
        stays = existence_segments(
            tx, project_id=project, meter="volume.size", interval=MONTH, resource_id=UUID(volume)
        )
        lives = [s for s in state_segments(tx, project_id=project, interval=MONTH) if s.resource_id == UUID(instance)]
        row = tx.execute("SELECT started_at, ended_at FROM resource WHERE id = %s", (volume,)).fetchone()
        seen.add(
            (
                row,
                tuple((s.size, s.started_at, s.ended_at) for s in stays),
                tuple((s.state, s.started_at, s.ended_at) for s in lives),
            )
        )
    assert len(seen) == 1


def test_a_message_from_the_future_is_a_dead_letter_until_its_time_has_come(tx: Transaction):
    account = uuid4().hex
    told = a_request(account, at_s=30 * 86_400)
    assert take(tx, [told, a_request(account)]) == Taken(taken=1, dead=1)
    letter_id, state, reason = letter_of(tx, told)
    assert state == "waiting"
    assert "more than 5 minutes in the future; set the clock of the source" in reason
    still = replay_dead_letter(tx, letter_id, catalogue=catalogue(), now=NOW)
    assert still.state == "waiting"
    later = T0 + timedelta(days=40)
    assert replay_dead_letter(tx, letter_id, catalogue=catalogue(), now=later).state == "replayed"
    whole = TimeInterval(T0, later)
    used = counter_usage(tx, project_id=account, meter=OUTGOING, interval=whole)
    assert [usage.quantity for usage in used] == [20]


def test_a_replayed_message_that_comes_again_counts_once_and_a_settled_letter_stays_so(tx: Transaction):
    account = uuid4().hex
    told = a_request(account, at_s=30 * 86_400)
    take(tx, [told])
    letter_id = letter_of(tx, told)[0]
    later = T0 + timedelta(days=40)
    replay_dead_letter(tx, letter_id, catalogue=catalogue(), now=later)
    assert take(tx, [told], now=later) == Taken(repeated=1)
    with pytest.raises(DeadLetterSettled):
        discard_dead_letter(tx, letter_id, now=later)
    with pytest.raises(DeadLetterNotFound):
        discard_dead_letter(tx, uuid4(), now=later)


def test_a_deletion_of_what_was_never_heard_of_says_whose_it_lacks(tx: Transaction):
    told = Told("router.delete.end", {"router_id": str(uuid4())})
    assert take(tx, [told]).dead == 1
    assert "does not say whose the resource is" in letter_of(tx, told)[2]


SHELVES = """
service: shelves
exchange: shelves
entries:
  - name: a-shelf
    events: [volume.create.end]
    resource: {type: shelf, id: payload.shelf_id, project: payload.tenant_id}
    meters: [{name: shelf.load, type: gauge, unit: kg, value: payload.size}]
"""


def test_of_a_message_of_which_a_sample_cannot_be_kept_nothing_is_kept(tx: Transaction, tmp_path: Path):
    (tmp_path / "shelves.yaml").write_text(SHELVES)
    wider = load_catalogue(tmp_path)
    project, volume = uuid4().hex, str(uuid4())
    told = Told("volume.create.end", a_volume(volume, project, shelf_id=str(uuid4())))
    fine = Told("volume.attach.end", a_volume(str(uuid4()), project))
    assert take_messages(tx, [as_message(told), as_message(fine)], catalogue=wider, now=NOW) == Taken(taken=1, dead=1)
    letter_id, state, reason = letter_of(tx, told)
    assert (state, reason) == ("waiting", "shelf.load: the resource type shelf does not exist")
    stays = existence_segments(tx, project_id=project, meter="volume.size", interval=MONTH)
    assert volume not in {stay.original_resource_id for stay in stays}
    assert tx.execute("SELECT FROM resource WHERE id = %s", (volume,)).fetchone() is None
    assert replay_dead_letter(tx, letter_id, catalogue=wider, now=NOW).state == "waiting"
    assert tx.execute("SELECT FROM resource WHERE id = %s", (volume,)).fetchone() is None
    tx.execute("INSERT INTO resource_type (name) VALUES ('shelf')")
    assert replay_dead_letter(tx, letter_id, catalogue=wider, now=NOW).state == "replayed"
    stays = existence_segments(tx, project_id=project, meter="volume.size", interval=MONTH)
    assert volume in {stay.original_resource_id for stay in stays}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "the message is not JSON"),
        (b"\xff\xfe\x00", "the message is not JSON"),
        (b"[1, 2]", "the message is not a JSON object"),
        (b"[" * 100_000, "the message is not JSON"),
        (b'{"oslo.version": "1.0", "oslo.message": "{}"}', "the envelope's version is '1.0'; 2.0 is read"),
        (b'{"oslo.version": "2.0"}', "the envelope has no oslo.message"),
        (b'{"oslo.version": "2.0", "oslo.message": "{"}', "the envelope's oslo.message is not JSON"),
        (b'{"event_type": "a", "timestamp": "2026-11-01", "payload": {}}', "message_id must be a text"),
        (b'{"message_id": "x\\u0000", "event_type": "a", "timestamp": "2026-11-01", "payload": {}}', "NUL character"),
        (b'{"message_id": "x", "event_type": "a", "timestamp": "2026-11-01"}', "there is no payload"),
        (b'{"message_id": "x", "event_type": "a", "timestamp": "soon", "payload": {}}', "'soon', which is not an instant"),
        (b'{"message_id": "x", "event_type": "a", "timestamp": NaN, "payload": {}}', "the message is not JSON"),
    ],
)  # fmt: skip
def test_what_is_no_notification_is_kept_as_it_came_with_the_reason(tx: Transaction, body: bytes, reason: str):
    marked = body + b" " * random.Random(body).randrange(1, 50)
    assert take(tx, [marked]) == Taken(dead=1)
    row = tx.execute("SELECT reason, body FROM dead_letter WHERE digest = sha256(%s)", (marked,)).fetchone()
    assert row is not None
    assert reason in row[0]
    assert bytes(row[1]) == marked


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"volume_id": None}, "definition cinder-volume: resource.id: there is nothing at {payload.volume_id}"),
        ({"size": "ten"}, "payload.size is 'ten', which is not a number"),
        ({"size": -1}, "existence.size: -1 where a size should be"),
        ({"size": True}, "payload.size is not a number"),
        ({"size": 10**30}, "where a size should be"),
        ({"display_name": "a\0b"}, "a text has a NUL character in it"),
        ({"tenant_id": None}, "does not say whose the resource is"),
    ],
)
def test_a_field_that_cannot_be_right_is_named(tx: Transaction, changes: dict[str, object], reason: str):
    told = Told("volume.create.end", a_volume(str(uuid4()), "p") | changes)
    fine = Told("volume.create.end", a_volume(str(uuid4()), "p"))
    assert take(tx, [told, fine]) == Taken(taken=1, dead=1)
    assert reason in letter_of(tx, told)[2]


def test_a_message_beyond_the_bound_is_kept_in_part_and_cannot_be_replayed(tx: Transaction):
    body = b'{"message_id": "' + uuid4().hex.encode() + b'"' + b" " * MESSAGE_BYTES_MAX
    assert take(tx, [body]) == Taken(dead=1)
    row = tx.execute(
        "SELECT id, length(body), body_bytes FROM dead_letter WHERE digest = sha256(%s)", (body,)
    ).fetchone()
    assert row is not None
    assert row[1:] == (KEPT_BYTES_MAX, len(body))
    with pytest.raises(DeadLetterCut):
        replay_dead_letter(tx, row[0], catalogue=catalogue(), now=NOW)


def test_what_is_settled_is_let_go_of_in_time_and_what_waits_stays(tx: Transaction):
    tx.execute("DELETE FROM dead_letter")
    settled, waiting = Told("router.delete.end", {"router_id": "a"}), Told("router.delete.end", {"router_id": "b"})
    take(tx, [settled, waiting])
    discard_dead_letter(tx, letter_of(tx, settled)[0], now=NOW)
    assert forget_settled(tx, now=NOW + timedelta(days=89)) == 0
    assert forget_settled(tx, now=NOW + timedelta(days=91)) == 1
    assert letter_of(tx, waiting)[1] == "waiting"


def test_letters_are_listed_the_newest_first_from_a_known_one_on(tx: Transaction):
    tx.execute("DELETE FROM dead_letter")
    bodies = [uuid4().hex.encode() for _ in range(3)]
    for body in bodies:
        take(tx, [body])
    first, second, *_ = list_dead_letters(tx, state="waiting", after=None, limit=2)
    assert [get_dead_letter(tx, one.id).body for one in (first, second)] == [bodies[2], bodies[1]]
    assert (first.kept_bytes, first.body_bytes, first.is_whole) == (32, 32, True)
    (third,) = list_dead_letters(tx, state="waiting", after=second.id, limit=1)
    assert get_dead_letter(tx, third.id).body == bodies[0]


def test_a_volume_s_time_and_swift_s_bytes_stand_on_the_invoice_and_can_be_explained(pool: Pool):
    project = uuid4().hex
    volume = str(uuid4())
    told = [
        Told("volume.create.end", a_volume(volume, project), 3600),
        Told("volume.resize.end", a_volume(volume, project, size=30), 7200),
        Told("volume.delete.end", a_volume(volume, project, size=30), 10_800),
        Told("compute.instance.create.end", an_instance(str(uuid4()), project, "active"), 0),
        a_request(project, 5, 1 << 30),
    ]
    prices = (
        FlavorPrice("m1.small", Decimal(4)),
        CounterPrice("volume.size.time", "GiB*s", "GiB-hour", Decimal(3600), Decimal(2)),
        CounterPrice(OUTGOING, "B", "GiB", Decimal(1 << 30), Decimal(7)),
    )
    with transaction(pool) as tx:
        assert take(tx, told).dead == 0
        plan = create_price_plan(tx, name=f"plan {project}", currency="JPY", now=T0, by=BY)
        add_price_version(tx, plan.id, prices, effective_from=T0 - timedelta(days=1), now=T0 - timedelta(days=2), by=BY)
        set_account(tx, replace(account_of(tx, project), series=f"N-{project[-20:].upper()}"), now=T0, by=BY)
        assign_plan(tx, project, plan.id, effective_from=T0 - timedelta(days=1), now=T0 - timedelta(days=2), by=BY)
    with transaction(pool) as tx:
        draft = draft_invoice(tx, project_id=project, interval=MONTH, now=AFTERWARDS, by=BY)
    with transaction(pool) as tx:
        invoice = finalize_invoice(tx, draft.id, AFTERWARDS, by=BY)
        lines = {line.meter: line for line in invoice_lines(tx, invoice.id)}
        assert lines["volume.size.time"].base_quantity == 10 * 3600 + 30 * 3600
        assert lines["volume.size.time"].amount == 80
        assert lines["volume.size.time"].resource_name == "data"
        assert lines[OUTGOING].amount == 7
        shown = explain_line(tx, invoice.id, lines["volume.size.time"].number)
        assert shown.holds
        assert shown.counter is not None
        assert [hour.increase for hour in shown.counter.hours] == [10 * 3600, 30 * 3600]
        assert explain_line(tx, invoice.id, lines[OUTGOING].number).holds
        assert verify_invoice(tx, invoice.id).holds
    with transaction(pool) as tx:
        assert take(tx, [Told("volume.attach.end", a_volume(volume, project, size=40), 9000)]).taken == 1
    with transaction(pool) as tx:
        late = late_usage(tx, invoice.id)
        assert [(line.line.meter, line.quantity) for line in late.lines] == [("volume.size.time", 10 * 1800)]
        assert verify_invoice(tx, invoice.id).holds


COUNT_REVISIONS: LiteralString = "SELECT count(*) FROM resource_revision WHERE id = %s"


def test_a_resource_keeps_a_revision_for_each_change_and_none_for_a_repeat(tx: Transaction):
    volume, project = str(uuid4()), "p"
    take(tx, [Told("volume.create.end", a_volume(volume, project), 0)])
    take(tx, [Told("volume.exists", a_volume(volume, project), 10)])
    attached = {"volume_attachment": [{"server_id": str(uuid4())}]}
    take(tx, [Told("volume.attach.end", a_volume(volume, project, **attached), 20)])
    take(tx, [Told("volume.delete.end", a_volume(volume, project, **attached), 30)])
    row = tx.execute(COUNT_REVISIONS, (resource_id_of(volume),)).fetchone()
    assert row == (2,)


def test_what_cannot_be_kept_either_is_refused_whole_and_stays_with_the_broker(tx: Transaction):
    body = uuid4().bytes * 64
    room = measure_dead_letters(tx).bytes + len(body) + LETTER_BYTES
    good, bad = a_request(uuid4().hex), body + b"!"
    for letters_bytes_max in (room, room + 1):
        with pytest.raises(DeadLettersFull, match="dead letters wait and take"), tx.transaction():
            take_messages(
                tx,
                [as_message(one) for one in (good, bad, body)],
                catalogue=catalogue(),
                now=NOW,
                letters_bytes_max=letters_bytes_max,
            )
    assert measure_dead_letters(tx).bytes == room - len(body) - LETTER_BYTES
    kept = take_messages(
        tx, [as_message(good), as_message(body)], catalogue=catalogue(), now=NOW, letters_bytes_max=room
    )
    assert kept == Taken(taken=1, dead=1)
    assert measure_dead_letters(tx).bytes == room
