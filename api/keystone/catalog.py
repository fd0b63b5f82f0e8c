"""The service catalog: which dialects there are and where, under the paths that DevStack uses."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from foundation.settings import Settings

INTERFACES = ("public", "internal", "admin")


@dataclass(frozen=True, slots=True)
class CatalogService:
    """One service; image and network have no version in their path, since clients add it."""

    type: str
    name: str
    path: str

    @property
    def id(self) -> str:
        """An id that every process computes alike."""
        return uuid5(NAMESPACE_URL, f"nephoscope:service:{self.type}").hex


SERVICES = (
    CatalogService("identity", "keystone", "/identity"),
    CatalogService("compute", "nova", "/compute/v2.1"),
    CatalogService("image", "glance", "/image"),
    CatalogService("network", "neutron", "/network"),
    CatalogService("volumev3", "cinderv3", "/volume/v3"),
    CatalogService("block-storage", "cinder", "/volume/v3"),
    CatalogService("metric", "gnocchi", "/metric"),
    CatalogService("alarming", "aodh", "/alarming"),
)


def endpoint_id(service: CatalogService, interface: str) -> str:
    """Return an endpoint's id, the same in every process."""
    return uuid5(NAMESPACE_URL, f"nephoscope:endpoint:{service.type}:{interface}").hex


def to_wire_catalog(settings: Settings) -> Sequence[dict[str, Any]]:
    """Write the catalog as a token carries it."""
    return [
        {
            "id": service.id,
            "type": service.type,
            "name": service.name,
            "endpoints": [
                {
                    "id": endpoint_id(service, interface),
                    "interface": interface,
                    "region": settings.region,
                    "region_id": settings.region,
                    "url": settings.base_url + service.path,
                }
                for interface in INTERFACES
            ],
        }
        for service in SERVICES
    ]


def to_wire_services(settings: Settings) -> Sequence[dict[str, Any]]:
    """Write the services as GET /v3/services lists them."""
    url = f"{settings.base_url}/identity/v3/services"
    return [
        {
            "id": service.id,
            "type": service.type,
            "name": service.name,
            "description": "",
            "enabled": True,
            "links": {"self": f"{url}/{service.id}"},
        }
        for service in SERVICES
    ]


def to_wire_endpoints(settings: Settings) -> Sequence[dict[str, Any]]:
    """Write the endpoints as GET /v3/endpoints lists them."""
    url = f"{settings.base_url}/identity/v3/endpoints"
    return [
        {
            "id": endpoint_id(service, interface),
            "service_id": service.id,
            "interface": interface,
            "region": settings.region,
            "region_id": settings.region,
            "url": settings.base_url + service.path,
            "enabled": True,
            "links": {"self": f"{url}/{endpoint_id(service, interface)}"},
        }
        for service in SERVICES
        for interface in INTERFACES
    ]


def to_wire_regions(settings: Settings) -> Sequence[dict[str, Any]]:
    """Write the one region."""
    url = f"{settings.base_url}/identity/v3/regions/{settings.region}"
    return [{"id": settings.region, "description": "", "parent_region_id": None, "links": {"self": url}}]
