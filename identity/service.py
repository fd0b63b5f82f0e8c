"""The use cases of signing in: tokens are issued, looked at, and revoked at once, since every use asks the database."""

from datetime import datetime

from foundation.database import Transaction
from identity.model import Caller, ScopeRequired, Token, Unauthenticated
from identity.store import tokens as store
from identity.tokens import hash_token, is_plausible_token


def inspect_token(tx: Transaction, secret: str, now: datetime) -> Token:
    """Return what a token says, whatever its scope; raise Unauthenticated where it does not hold."""
    token = store.find_token(tx, hash_token(secret), now=now) if is_plausible_token(secret) else None
    if token is None:
        raise Unauthenticated
    return token


def validate_token(tx: Transaction, secret: str, now: datetime) -> Caller:
    """Return the caller that a project-scoped token stands for; raise Unauthenticated, or ScopeRequired where it names no project."""
    return to_caller(inspect_token(tx, secret, now))


def to_caller(token: Token) -> Caller:
    """Turn a project-scoped token into the caller that the other packages know."""
    if token.project_id is None or token.project_name is None:
        raise ScopeRequired
    return Caller(
        user_id=token.user_id,
        user_name=token.user_name,
        project_id=token.project_id,
        project_name=token.project_name,
        roles=token.roles,
        is_system=False,
        token_hash=token.hash,
        expires_at=token.expires_at,
    )
