"""Key pairs."""

from typing import Annotated, Any

from fastapi import Depends, HTTPException
from fastapi.responses import JSONResponse, Response

from api.authentication import RequestCaller
from api.body import body_of, new_router
from api.nova.requests import KeypairCreateBody
from api.nova.servers import RequestView
from api.nova.servers_wire import to_wire_micros
from api.nova.versions import Microversion
from api.transaction import RequestTransaction
from compute import service
from compute.model import Keypair
from foundation.errors import Invalid

router = new_router("/v2.1")


def to_wire_keypair(keypair: Keypair, microversion: Microversion) -> dict[str, Any]:
    """Write a key pair as the list and the creation show it."""
    wire = {"name": keypair.name, "public_key": keypair.public_key, "fingerprint": keypair.fingerprint}
    return wire | ({"type": "ssh"} if microversion >= (2, 2) else {})


@router.get("/os-keypairs")
def list_keypairs(tx: RequestTransaction, caller: RequestCaller, view: RequestView) -> dict[str, Any]:
    """List the caller's key pairs."""
    found = service.list_keypairs(tx, caller=caller)
    return {"keypairs": [{"keypair": to_wire_keypair(keypair, view.microversion)} for keypair in found]}


@router.post("/os-keypairs")
def create_keypair(
    tx: RequestTransaction,
    caller: RequestCaller,
    view: RequestView,
    body: Annotated[KeypairCreateBody, Depends(body_of(KeypairCreateBody))],
) -> JSONResponse:
    """Keep a public key, or make a pair and show its private half this once."""
    asked = body.keypair
    if asked.type != "ssh":
        raise Invalid("only key pairs of the type ssh are offered", field="type")
    if asked.public_key is None and view.microversion >= (2, 92):
        raise Invalid("'public_key' is a required property", field="public_key")
    if asked.user_id not in (None, caller.user_id):
        raise HTTPException(403, "a key pair is made by its own user")
    keypair, private_key = service.create_keypair(
        tx, caller=caller, name=asked.name, public_key=asked.public_key, now=view.now
    )
    wire = to_wire_keypair(keypair, view.microversion) | {"user_id": keypair.user_id}
    if private_key is not None:
        wire["private_key"] = private_key
    return JSONResponse({"keypair": wire}, 201 if view.microversion >= (2, 2) else 200)


@router.get("/os-keypairs/{name}")
def show_keypair(name: str, tx: RequestTransaction, caller: RequestCaller, view: RequestView) -> dict[str, Any]:
    """Show one key pair."""
    keypair = service.get_keypair(tx, name, caller=caller)
    extra = {
        "user_id": keypair.user_id,
        "id": 0,
        "created_at": to_wire_micros(keypair.created_at),
        "deleted": False,
        "deleted_at": None,
        "updated_at": None,
    }
    return {"keypair": to_wire_keypair(keypair, view.microversion) | extra}


@router.delete("/os-keypairs/{name}")
def delete_keypair(name: str, tx: RequestTransaction, caller: RequestCaller, view: RequestView) -> Response:
    """Delete a key pair."""
    service.delete_keypair(tx, name, caller=caller)
    return Response(status_code=204 if view.microversion >= (2, 2) else 202)
