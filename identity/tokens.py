"""Token secrets: opaque, random, with a prefix that secret scanners can find; only their SHA-256 is ever stored."""

import hashlib
import hmac
import secrets

TOKEN_PREFIX = "nph_"  # noqa: S105  the public mark of a token, not one
TOKEN_RANDOM_BYTES = 32
TOKEN_LENGTH_MAX = 255


def new_token_secret() -> str:
    """Return a new secret of 256 random bits."""
    return TOKEN_PREFIX + secrets.token_urlsafe(TOKEN_RANDOM_BYTES)


def new_audit_id() -> str:
    """Return a short public id under which a token appears in records."""
    return secrets.token_urlsafe(16)


def hash_token(secret: str) -> bytes:
    """Return what is stored and looked up instead of the secret; 256 random bits need no slow hash."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def is_plausible_token(secret: str) -> bool:
    """Tell whether a string can be one of ours at all, so that noise never reaches the database."""
    return secret.startswith(TOKEN_PREFIX) and len(secret) <= TOKEN_LENGTH_MAX and secret.isascii()


def csrf_token(session_secret: str) -> str:
    """Derive the CSRF token of a browser session; only who has the session's secret, or was told by us, can know it."""
    return hmac.new(session_secret.encode("utf-8", "surrogatepass"), b"nephoscope csrf", hashlib.sha256).hexdigest()


def is_csrf_token(candidate: str, session_secret: str) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(candidate.encode("utf-8", "surrogatepass"), csrf_token(session_secret).encode())
