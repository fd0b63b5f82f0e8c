"""What Nova knows and this cloud does not offer: each is refused in a sentence, where a bare 404 would look like a lost server."""

from collections.abc import Callable
from typing import Any

from api.authentication import AdminCaller, RequestCaller
from api.body import new_router
from foundation.errors import Invalid

router = new_router("/v2.1")

REFUSALS = (
    (
        "POST",
        "/servers/{server}/remote-consoles",
        "A remote console is not offered by this cloud: read the console log.",
    ),
    ("POST", "/servers/{server}/os-interface", "Changing a server's interfaces is not offered by this cloud."),
    ("DELETE", "/servers/{server}/os-interface/{port}", "Changing a server's interfaces is not offered by this cloud."),
    ("POST", "/servers/{server}/os-volume_attachments", "Attaching volumes is not offered by this cloud: it has none."),
    ("GET", "/servers/{server}/diagnostics", "Diagnostics are not offered by this cloud: see the server's metrics."),
    (
        "POST",
        "/flavors/{flavor}/action",
        "Giving a project access to a private flavor is not offered by this cloud: a private one is the admin's own.",
    ),
    ("POST", "/os-server-groups", "Server groups are not offered by this cloud."),
    ("POST", "/os-aggregates", "Host aggregates are not offered by this cloud."),
)


def refuse(sentence: str) -> Callable[..., None]:
    """Return an endpoint that says so."""

    def answer(_: RequestCaller) -> None:
        raise Invalid(sentence)

    return answer


for method, path, told in REFUSALS:
    router.add_api_route(path, refuse(told), methods=[method])


@router.get("/os-migrations")
def list_migrations(_: AdminCaller) -> dict[str, Any]:
    """List migrations: none, since a server stays on its host."""
    return {"migrations": []}
