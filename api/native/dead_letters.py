"""Notifications that could not be taken, in the native API: for the operator, to look at, to try again, to throw away."""

from datetime import datetime
from pathlib import Path
from typing import Annotated
from uuid import UUID

from fastapi import Query, Request
from pydantic import BaseModel

from api.authentication import AdminCaller
from api.body import new_router
from api.context import ApiContext, context_of
from api.native.cursors import id_after, split_page
from api.pagination import RequestCursorPage
from api.transaction import RequestTransaction, SnapshotTransaction
from collectors.dead_letters import (
    DeadLetter,
    DeadLetterState,
    discard_dead_letter,
    get_dead_letter,
    list_dead_letters,
    replay_dead_letter,
)
from collectors.definitions.files import Catalogue, load_catalogue

router = new_router("/dead-letters")


class DeadLetterBody(BaseModel):
    """A message that could not be taken; `reason` is the last one, and `is_whole` says whether it can be replayed."""

    id: UUID
    state: DeadLetterState
    reason: str
    exchange: str
    routing_key: str
    message_id: str | None
    event_type: str | None
    body_bytes: int
    is_whole: bool
    times_seen: int
    first_seen_at: datetime
    last_seen_at: datetime
    settled_at: datetime | None


class DeadLetterWithMessage(DeadLetterBody):
    """The same with the message itself, as far as it was kept; bytes that are no text are written as \\xNN."""

    body: str


class DeadLetterPage(BaseModel):
    """A page of dead letters."""

    items: list[DeadLetterBody]
    next: str | None


def to_body(letter: DeadLetter) -> DeadLetterBody:
    """Write a letter without its message."""
    return DeadLetterBody(
        id=letter.id,
        state=letter.state,
        reason=letter.reason,
        exchange=letter.exchange,
        routing_key=letter.routing_key,
        message_id=letter.message_id,
        event_type=letter.event_type,
        body_bytes=letter.body_bytes,
        is_whole=letter.is_whole,
        times_seen=letter.times_seen,
        first_seen_at=letter.first_seen_at,
        last_seen_at=letter.last_seen_at,
        settled_at=letter.settled_at,
    )


def catalogue_of(context: ApiContext) -> Catalogue:
    """Read the definitions as they are now: they may just have been mended."""
    folder = context.settings.definitions
    return load_catalogue(Path(folder) if folder else None)


@router.get("", operation_id="list_dead_letters")
def list_letters(
    tx: SnapshotTransaction,
    caller: AdminCaller,
    page: RequestCursorPage,
    state: Annotated[DeadLetterState | None, Query()] = None,
) -> DeadLetterPage:
    """List notifications that could not be taken, the newest first."""
    rows = list_dead_letters(tx, state=state, after=id_after(page), limit=page.limit + 1)
    shown, following = split_page(rows, page)
    return DeadLetterPage(items=[to_body(letter) for letter in shown], next=following)


@router.get("/{letter_id}", operation_id="get_dead_letter")
def get_letter(tx: SnapshotTransaction, caller: AdminCaller, letter_id: UUID) -> DeadLetterWithMessage:
    """Show one with its message."""
    letter = get_dead_letter(tx, letter_id)
    body = letter.body.decode("utf-8", "backslashreplace")
    return DeadLetterWithMessage(**to_body(letter).model_dump(), body=body)


@router.post("/{letter_id}/replay", operation_id="replay_dead_letter")
def replay_letter(tx: RequestTransaction, caller: AdminCaller, letter_id: UUID, request: Request) -> DeadLetterBody:
    """Try to take it again; where that fails it stays `waiting`, with what is wrong now as its reason."""
    context = context_of(request)
    return to_body(replay_dead_letter(tx, letter_id, catalogue=catalogue_of(context), now=context.clock()))


@router.post("/{letter_id}/discard", operation_id="discard_dead_letter")
def discard_letter(tx: RequestTransaction, caller: AdminCaller, letter_id: UUID, request: Request) -> DeadLetterBody:
    """Throw it away; it stays in the list as `discarded`."""
    return to_body(discard_dead_letter(tx, letter_id, now=context_of(request).clock()))
