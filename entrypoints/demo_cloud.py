"""The demo's view of the cloud: the native API as any program would call it, with the demo project's credentials."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import httpx2

Json: TypeAlias = Any

REQUEST_TIMEOUT_S = 20.0
PAGE_ITEMS_MAX = 100
GRANULARITY_S = 10
HIGH_PERCENT = 15
LOW_PERCENT = 5
"""Low enough that a guest which is emulated on a busy machine, and so gets a part of a core only, still tells the story."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who the demo is."""

    username: str
    password: str
    project: str


class DemoCloud:
    """A small client: it signs in by Keystone and then speaks the native API."""

    def __init__(self, url: str, credentials: Credentials) -> None:
        self.credentials = credentials
        self.http = httpx2.Client(base_url=url, timeout=REQUEST_TIMEOUT_S, trust_env=False)

    def sign_in(self) -> None:
        """Get a token for the demo project and keep it for all further requests."""
        domain = {"id": "default"}
        body = {
            "auth": {
                "identity": {
                    "methods": ["password"],
                    "password": {
                        "user": {
                            "name": self.credentials.username,
                            "domain": domain,
                            "password": self.credentials.password,
                        }
                    },
                },
                "scope": {"project": {"name": self.credentials.project, "domain": domain}},
            }
        }
        answer = self.http.post("/identity/v3/auth/tokens", json=body)
        answer.raise_for_status()
        self.http.headers["X-Auth-Token"] = answer.headers["X-Subject-Token"]

    def get(self, path: str, **query: str) -> Json:
        """Read one thing."""
        answer = self.http.get(path, params=query)
        answer.raise_for_status()
        return answer.json()

    def items(self, path: str, **query: str) -> Sequence[Mapping[str, Json]]:
        """Read the first page of a list."""
        return self.get(path, **query)["items"]

    def post(self, path: str, body: Mapping[str, Json]) -> Json:
        """Make one thing."""
        answer = self.http.post(path, json=body)
        answer.raise_for_status()
        return answer.json()

    def find_named(self, path: str, name: str) -> Mapping[str, Json] | None:
        """Find a thing by its name in a list."""
        return next((item for item in self.items(path) if item["name"] == name), None)
