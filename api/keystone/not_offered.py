"""What Keystone has and this cloud has not: refused in a sentence that names it, so that clients print more than a number."""

from fastapi import HTTPException

from api.authentication import RequestToken
from api.body import new_router

FIXED = {
    "roles": "The roles are fixed: admin, member and reader.",
    "domains": "There is one domain, default.",
    "groups": "There are no groups of users: give each user its roles.",
    "services": "The catalog is the server's own: it cannot be changed.",
    "endpoints": "The catalog is the server's own: it cannot be changed.",
    "regions": "The catalog is the server's own: it cannot be changed.",
    "tags": "Projects have no tags.",
}
NAME_LENGTH_MAX = 64

router = new_router()


def thing_named(path: str) -> str:
    """Return what a path is about: the collection, or the part of a user or project that it ends in."""
    parts = path.split("/")
    is_part = parts[0] in ("users", "projects", "domains", "system") and len(parts) > 2
    return parts[2 if is_part else 0][:NAME_LENGTH_MAX]


@router.api_route("/v3/{rest:path}", methods=["POST", "PUT", "PATCH", "DELETE"])
def refuse_change(rest: str, _: RequestToken) -> None:
    """Refuse to make or change what is fixed or not there."""
    named = thing_named(rest)
    raise HTTPException(403, FIXED.get(named, f"Making or changing {named} is not offered by this cloud."))


@router.get("/v3/{rest:path}")
def answer_nothing(rest: str, _: RequestToken) -> None:
    """Answer that there is no such place."""
    raise HTTPException(404, f"Could not find: {thing_named(rest)} are not offered by this cloud.")
