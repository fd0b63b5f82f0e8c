"""The native API against its own OpenAPI description: what the description allows and what it forbids gets an answer that it documents."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, settings
from psycopg_pool import ConnectionPool
from schemathesis.checks import not_a_server_error  # pyright: ignore[reportUnknownVariableType]
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,  # pyright: ignore[reportUnknownVariableType]
    response_schema_conformance,  # pyright: ignore[reportUnknownVariableType]
)

from api.context import ApiContext
from api.native.routes import create_dialect
from foundation.clock import utc_now
from foundation.ids import new_hex_id
from foundation.settings import Settings
from tests.conftest import migrated_database, open_patient_pool
from tests.contract.conftest import running_api, sign_in_accounts, spare_port

EXAMPLES_EACH = 8
CHECKS: list[Any] = [not_a_server_error, content_type_conformance, response_schema_conformance]
LEFT_OUT = {"/v1/stream", "/v1/session"}
"""A stream does not end, and signing out ends the token."""


@pytest.fixture(scope="module")
def native(cluster_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """An API with a database of its own, since nonsense that is accepted stays; its address and an admin's token."""
    with migrated_database(cluster_url, f"own_{new_hex_id()}") as database_url:
        pool = open_patient_pool(database_url, size_max=1)
        password, _ = sign_in_accounts(pool)
        pool.close()
        port = spare_port()
        with running_api(database_url, tmp_path_factory.mktemp("native"), port=port):
            url = f"http://127.0.0.1:{port}"
            user = {"name": "admin", "domain": {"id": "default"}, "password": password}
            scope = {"project": {"name": "admin", "domain": {"id": "default"}}}
            body = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}}
            issued = requests.post(f"{url}/identity/v3/auth/tokens", json=body, timeout=120)
            yield url, issued.headers["x-subject-token"]


def described() -> dict[str, Any]:
    """Return the description, from the application itself."""
    description = create_dialect(
        ApiContext(settings=Settings(var=Path("var")), pool=ConnectionPool(open=False), clock=utc_now)
    ).openapi()
    description["paths"] = {f"/v1{path}": operations for path, operations in description["paths"].items()}
    description.pop("servers", None)
    return description


SCHEMA: Any = schemathesis.openapi.from_dict(described())
SCHEMA.config.generation.update(modes=[GenerationMode.POSITIVE, GenerationMode.NEGATIVE])


def law_of(path: str, method: str) -> Any:
    """Return the test of one operation."""

    @SCHEMA.include(path=path, method=method).parametrize()
    @settings(
        max_examples=EXAMPLES_EACH,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )
    def every_answer_is_one_that_the_description_has(case: Any, native: tuple[str, str]) -> None:
        url, token = native
        case.headers["X-Auth-Token"] = token
        response = case.call(base_url=url, timeout=120)
        case.validate_response(response, checks=CHECKS)

    return every_answer_is_one_that_the_description_has


OPERATIONS = [each.ok() for each in SCHEMA.exclude(path=sorted(LEFT_OUT)).get_all_operations()]
globals().update(
    {
        f"test_every_answer_is_one_that_the_description_has[{each.label}]": law_of(each.path, each.method)
        for each in OPERATIONS
    }
)
"""A function an operation: parametrized all at once they would have one node id, and several workers run each id once."""
