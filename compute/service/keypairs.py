"""Key pairs: public keys that a user's instances are told of."""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from compute.errors import ComputeQuotaExceeded, KeypairConflict, KeypairNotFound, LaunchInvalid
from compute.model import Keypair
from compute.service.quotas import get_quota
from compute.store import keypairs
from foundation.database import Transaction
from identity.model import Caller

PUBLIC_KEY_PARTS = 2


def create_keypair(
    tx: Transaction, *, caller: Caller, name: str, public_key: str | None, now: datetime
) -> tuple[Keypair, str | None]:
    """Keep a public key, or make a pair; the private half is returned once and never kept. Raises KeypairConflict."""
    quota = get_quota(tx, caller.project_id)
    if 0 <= quota.key_pairs <= len(keypairs.list_keypairs(tx, caller.user_id)):
        raise ComputeQuotaExceeded("Quota exceeded, too many key pairs.")
    private_key = None
    if public_key is None:
        made = Ed25519PrivateKey.generate()
        private_key = made.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
        public_key = made.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    keypair = Keypair(caller.user_id, name, public_key.strip(), fingerprint_of_key(public_key), now)
    if not keypairs.insert_keypair(tx, keypair):
        raise KeypairConflict(f"Key pair '{name}' already exists.")
    return keypair, private_key


def fingerprint_of_key(public_key: str) -> str:
    """Return the MD5 fingerprint that Nova shows of an OpenSSH public key; it names the key and protects nothing."""
    parts = public_key.split()
    refusal = LaunchInvalid("Keypair data is invalid: failed to generate fingerprint", field="public_key")
    if len(parts) < PUBLIC_KEY_PARTS or "\n" in public_key.strip():
        raise refusal
    try:
        blob = base64.b64decode(parts[1], validate=True)
    except (binascii.Error, ValueError) as error:
        raise refusal from error
    named = blob[4 : 4 + int.from_bytes(blob[:4], "big")] if len(blob) > 4 else b""
    if named.decode(errors="replace") != parts[0]:
        raise refusal
    digest = hashlib.md5(blob, usedforsecurity=False).hexdigest()
    return ":".join(digest[i : i + 2] for i in range(0, len(digest), 2))


def list_keypairs(tx: Transaction, *, caller: Caller) -> Sequence[Keypair]:
    """List the caller's own key pairs."""
    return keypairs.list_keypairs(tx, caller.user_id)


def get_keypair(tx: Transaction, name: str, *, caller: Caller) -> Keypair:
    """Return one of the caller's key pairs. Raises KeypairNotFound."""
    found = keypairs.list_keypairs(tx, caller.user_id, name=name)
    if not found:
        raise KeypairNotFound(f"Keypair {name} not found for user {caller.user_id}")
    return found[0]


def delete_keypair(tx: Transaction, name: str, *, caller: Caller) -> None:
    """Delete one of the caller's key pairs; instances keep the key. Raises KeypairNotFound."""
    if not keypairs.delete_keypair(tx, caller.user_id, name=name):
        raise KeypairNotFound(f"Keypair {name} not found for user {caller.user_id}")
