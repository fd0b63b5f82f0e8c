"""Takes notifications in: each once, resources and lives and samples in one transaction, what cannot be taken kept with its reason."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import psycopg

from collectors.definitions.files import Catalogue
from collectors.notifications import Fact, Malformed, Notification, Reading, facts_of, read_notification
from collectors.store import dead_letters, heard
from collectors.store.dead_letters import Burial, WaitingLetters
from foundation.database import Transaction
from foundation.errors import Invalid, Unavailable
from foundation.ids import new_id
from metering import service as metering
from metering.existence import ResourceEvent
from metering.model import LifecycleEvent, Sample

MESSAGES_MAX = 1_000
MESSAGE_BYTES_MAX = 1 << 20
KEPT_BYTES_MAX = 64 << 10
"""Of a message that is too long so much is kept, to show what it was."""
REASON_LENGTH_MAX = 1_000
HEARD_DAYS = 30
SETTLED_DAYS = 90
FORGOTTEN_AT_ONCE_MAX = 10_000
LETTERS_BYTES_MAX = 1 << 30
"""So much room the letters that wait may take, unless another bound is given; listeners at work together may each pass it by a batch."""


class DeadLettersFull(Unavailable):
    """What cannot be taken cannot be kept either: it stays with the broker until there is room."""

    def __init__(self, waiting: WaitingLetters, bytes_max: int) -> None:
        super().__init__(f"{waiting.count} dead letters wait and take {waiting.bytes} of {bytes_max} bytes")


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it came over AMQP."""

    body: bytes
    exchange: str
    routing_key: str


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of messages: taken, taken before, of no interest to anybody's definitions, or kept as dead letters."""

    taken: int = 0
    repeated: int = 0
    ignored: int = 0
    dead: int = 0


@dataclass(frozen=True, slots=True)
class Read:
    """A message that could be read, and what it says."""

    message: Message
    notification: Notification
    facts: tuple[Fact, ...]


def take_messages(
    tx: Transaction,
    messages: Sequence[Message],
    *,
    catalogue: Catalogue,
    now: datetime,
    letters_bytes_max: int = LETTERS_BYTES_MAX,
) -> Taken:
    """Take messages in, in the caller's transaction; after its commit none of them need be delivered again.

    A message of known id counts once, for ever: it is noted, and what it makes has its identity from the message's id.
    Raises DeadLettersFull where what cannot be taken cannot be kept either; then nothing is to be committed.
    """
    assert len(messages) <= MESSAGES_MAX, "the listener's batch is bounded"
    told: dict[str, Read] = {}
    faults: list[tuple[Message, Malformed]] = []
    repeated = ignored = 0
    for message in messages:
        try:
            read = read_message(message, catalogue)
        except Malformed as fault:
            faults.append((message, fault))
            continue
        if not read.facts:
            ignored += 1
        elif read.notification.message_id in told:
            repeated += 1
        else:
            told[read.notification.message_id] = read
    event_types = {message_id: read.notification.event_type for message_id, read in told.items()}
    new = heard.note_heard(tx, event_types, now=now) if told else set[str]()
    fresh = [read for message_id, read in told.items() if message_id in new]
    refused = record(tx, fresh, now=now)
    heard.unhear(tx, [fault.message_id for _, fault in refused if fault.message_id])
    bury(tx, [*faults, *refused], now=now, letters_bytes_max=letters_bytes_max)
    return Taken(len(fresh) - len(refused), repeated + len(told) - len(fresh), ignored, len(faults) + len(refused))


def read_message(message: Message, catalogue: Catalogue) -> Read:
    """Read a message by the definitions. Raises Malformed."""
    if len(message.body) > MESSAGE_BYTES_MAX:
        raise Malformed(f"the message has {len(message.body)} bytes; at most {MESSAGE_BYTES_MAX} are taken")
    notification = read_notification(message.body)
    return Read(message, notification, facts_of(notification, catalogue))


def record(tx: Transaction, reads: Sequence[Read], *, now: datetime) -> list[tuple[Message, Malformed]]:
    """Record what messages say, each wholly or not at all; return those of which something cannot be kept, with why."""
    projects = known_projects(tx, reads)
    fit, refused = told_samples(tx, reads, projects=projects, now=now)
    samples: list[Sample] = []
    for read, made in fit:
        try:
            with tx.transaction():
                record_lives(tx, read, projects=projects, now=now)
        except (Invalid, psycopg.DataError, psycopg.IntegrityError) as error:
            refused.append((read.message, malformed(read, reason_of(error))))
        else:
            samples.extend(made)
    if samples:
        for rejected in metering.ingest_samples(tx, samples, received_at=now).rejected:
            raise Invalid(f"{samples[rejected.position].meter}: {rejected.reason}")
    return refused


def told_samples(
    tx: Transaction, reads: Sequence[Read], *, projects: dict[UUID, str], now: datetime
) -> tuple[list[tuple[Read, list[Sample]]], list[tuple[Message, Malformed]]]:
    """Return messages with the samples that they tell, and apart those of which a sample cannot be kept."""
    made: list[tuple[Read, list[Sample]]] = []
    reasons: dict[str, str] = {}
    for read in in_order_of_resources(reads):
        try:
            made.append((read, samples_of(read, projects)))
        except Invalid as error:
            made.append((read, []))
            reasons[read.notification.message_id] = error.message
    owned = [(read, sample) for read, samples in made for sample in samples]
    for unfit in metering.unfit_samples(tx, [sample for _, sample in owned], received_at=now) if owned else ():
        read, sample = owned[unfit.position]
        reasons.setdefault(read.notification.message_id, f"{sample.meter}: {unfit.reason}")
    fit = [(read, samples) for read, samples in made if read.notification.message_id not in reasons]
    refused = [read for read, _ in made if read.notification.message_id in reasons]
    return fit, [(read.message, malformed(read, reasons[read.notification.message_id])) for read in refused]


def in_order_of_resources(reads: Sequence[Read]) -> list[Read]:
    """Order messages by what they are about, so that two listeners lock resources in the same order."""
    return sorted(reads, key=lambda read: (read.facts[0].resource_id, read.notification.timestamp))


def known_projects(tx: Transaction, reads: Sequence[Read]) -> dict[UUID, str]:
    """Return whose the resources are of which messages do not say it: from before, or by another message of the batch."""
    facts = [fact for read in reads for fact in read.facts]
    unsaid = {fact.resource_id for fact in facts if fact.project_id is None and fact.needs_project}
    by_others = {fact.resource_id: fact.project_id for fact in facts if fact.resource_id in unsaid and fact.project_id}
    return by_others | metering.find_resource_projects(tx, sorted(unsaid))


def samples_of(read: Read, projects: dict[UUID, str]) -> list[Sample]:
    """Return the samples that a message tells. Raises Invalid."""
    return [
        sample_of(fact, reading, project_id=project_id)
        for fact in read.facts
        for project_id in [project_of(fact, projects)]
        for reading in fact.readings
    ]


def record_lives(tx: Transaction, read: Read, *, projects: dict[UUID, str], now: datetime) -> None:
    """Record the lives that a message tells of. Raises Invalid."""
    for fact in read.facts:
        project_id = project_of(fact, projects)
        if fact.instance is not None:
            metering.record_lifecycle_event(tx, lifecycle_event(fact, project_id), received_at=now)
        if fact.existence is not None:
            metering.record_resource_event(tx, resource_event(fact, project_id), received_at=now)


def project_of(fact: Fact, projects: dict[UUID, str]) -> str:
    """Return the project that pays for a resource."""
    project_id = fact.project_id or projects.get(fact.resource_id) or fact.project_fallback
    if project_id is None and fact.needs_project:
        raise Invalid("the message does not say whose the resource is, and it was not heard of before", field="project")
    return project_id or ""


def lifecycle_event(fact: Fact, project_id: str) -> LifecycleEvent:
    """Return what metering keeps of an instance's state."""
    shown = fact.instance
    assert shown is not None
    return LifecycleEvent(
        event_id=fact.id,
        instance_id=fact.resource_id,
        project_id=project_id,
        user_id=fact.user_id,
        kind=fact.kind,
        state=shown.state,
        observed_at=fact.observed_at,
        name=fact.name,
        flavor_id=shown.flavor_id,
        flavor_name=shown.flavor_name,
        vcpus=shown.vcpus,
        ram_mib=shown.ram_mib,
        disk_gib=shown.disk_gib,
        image_id=shown.image_id,
        host=shown.host,
        metadata=shown.metadata,
        attributes=fact.attributes,
    )


def resource_event(fact: Fact, project_id: str) -> ResourceEvent:
    """Return what metering keeps of another resource's life."""
    shown = fact.existence
    assert shown is not None
    return ResourceEvent(
        event_id=fact.id,
        resource_id=fact.resource_id,
        resource_type=fact.resource_type,
        original_resource_id=fact.original_id,
        project_id=project_id,
        user_id=fact.user_id,
        kind=fact.kind,
        meter=shown.meter,
        unit=shown.unit,
        is_end=shown.is_end,
        size=shown.size,
        grade=shown.grade,
        name=fact.name,
        observed_at=fact.observed_at,
        attributes=fact.attributes,
    )


def sample_of(fact: Fact, reading: Reading, *, project_id: str) -> Sample:
    """Return a sample; the attributes of a resource that has a life are told with that."""
    has_life = fact.instance is not None or fact.existence is not None
    return Sample(
        resource_id=fact.resource_id,
        resource_type=fact.resource_type,
        original_resource_id=fact.original_id,
        project_id=project_id,
        user_id=fact.user_id,
        meter=reading.meter,
        meter_type=reading.meter_type,
        unit=reading.unit,
        observed_at=fact.observed_at,
        value=reading.value,
        boot_epoch=reading.epoch,
        attributes=reading.attributes if has_life else {**fact.attributes, **reading.attributes},
    )


def malformed(read: Read, reason: str) -> Malformed:
    """Say why a message that could be read cannot be kept."""
    told = read.notification
    return Malformed(reason, message_id=told.message_id, event_type=told.event_type)


def reason_of(error: Exception) -> str:
    """Return one sentence of a failure."""
    return error.message if isinstance(error, Invalid) else " ".join(str(error).split())


def bury(
    tx: Transaction,
    faults: Sequence[tuple[Message, Malformed]],
    *,
    now: datetime,
    letters_bytes_max: int = LETTERS_BYTES_MAX,
) -> None:
    """Keep messages that cannot be taken, with why. Raises DeadLettersFull where there is no room for all of them."""
    burials = [burial_of(message, fault) for message, fault in faults]
    if not burials:
        return
    waiting = dead_letters.measure_waiting(tx)
    if waiting.bytes + sum(burial.room_bytes for burial in burials) > letters_bytes_max:
        raise DeadLettersFull(waiting, letters_bytes_max)
    for burial in burials:
        dead_letters.bury(tx, burial, now=now)


def burial_of(message: Message, fault: Malformed) -> Burial:
    """Return what is kept of a message that cannot be taken."""
    is_too_long = len(message.body) > MESSAGE_BYTES_MAX
    return Burial(
        id=new_id(),
        body=message.body,
        kept_bytes=KEPT_BYTES_MAX if is_too_long else len(message.body),
        exchange=message.exchange.replace("\0", ""),
        routing_key=message.routing_key.replace("\0", ""),
        message_id=plain(fault.message_id),
        event_type=plain(fault.event_type),
        reason=reason_kept(fault.reason),
    )


def reason_kept(reason: str) -> str:
    """Return a reason as it is kept."""
    return (plain(reason) or "it could not be taken")[:REASON_LENGTH_MAX]


def plain(text: str | None) -> str | None:
    """Return a text as the database takes it."""
    return None if text is None else text.replace("\0", "").encode("utf-8", "replace").decode()


def forget_heard(tx: Transaction, *, now: datetime) -> int:
    """Forget messages heard long ago, some at a time; one that came again even so makes what it made, and so counts once."""
    return heard.forget(tx, before=now - timedelta(days=HEARD_DAYS), limit=FORGOTTEN_AT_ONCE_MAX)


def forget_settled(tx: Transaction, *, now: datetime) -> int:
    """Let go of letters that were replayed or discarded long ago, some at a time; those that wait stay."""
    return dead_letters.forget_settled(tx, before=now - timedelta(days=SETTLED_DAYS), limit=FORGOTTEN_AT_ONCE_MAX)
