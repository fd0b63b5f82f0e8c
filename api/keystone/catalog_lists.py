"""What the catalog is made of, as Keystone lists it: services, endpoints and the one region."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse

from api.authentication import RequestToken
from api.body import new_router
from api.context import context_of
from api.keystone.catalog import to_wire_endpoints, to_wire_regions, to_wire_services
from api.keystone.directory import collection
from foundation.errors import NotFound
from foundation.settings import Settings

router = new_router()


@dataclass(frozen=True, slots=True)
class CatalogList:
    """One kind of entry: its name, how it is written, and by which of its fields a query may narrow the list."""

    name: str
    to_wire: Callable[[Settings], Sequence[dict[str, Any]]]
    filters: Sequence[str] = ()

    @property
    def names(self) -> str:
        """The key of its lists, and its place."""
        return f"{self.name}s"


LISTS = (
    CatalogList("service", to_wire_services, ("type", "name")),
    CatalogList("endpoint", to_wire_endpoints, ("service_id", "interface", "region_id")),
    CatalogList("region", to_wire_regions),
)


def serve(kind: CatalogList) -> None:
    """List a kind of entry and show one of it."""

    @router.get(f"/v3/{kind.names}")
    def list_entries(request: Request, _: RequestToken) -> JSONResponse:
        asked = {name: request.query_params[name] for name in kind.filters if name in request.query_params}
        entries = kind.to_wire(context_of(request).settings)
        return collection(request, kind.names, [entry for entry in entries if asked.items() <= entry.items()])

    @router.get(f"/v3/{kind.names}/{{id_}}")
    def show_entry(request: Request, _: RequestToken, id_: str) -> JSONResponse:
        for entry in kind.to_wire(context_of(request).settings):
            if entry["id"] == id_:
                return JSONResponse({kind.name: entry})
        raise NotFound(f"Could not find {kind.name}: {id_[:64]}.")


for each in LISTS:
    serve(each)
