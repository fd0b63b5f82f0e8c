"""Writes the description of the native API, from which the dashboard's types are made."""

from pathlib import Path

import orjson
from psycopg_pool import ConnectionPool

from api.context import ApiContext
from api.native.routes import create_dialect
from entrypoints.installed_database import give_up
from foundation.clock import utc_now
from foundation.settings import Settings


def describe_native_api() -> bytes:
    """The OpenAPI document as JSON; no database is asked."""
    context = ApiContext(settings=Settings(), pool=ConnectionPool(open=False), clock=utc_now)
    return orjson.dumps(create_dialect(context).openapi(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def main(output: Path) -> None:
    """Write the document to a file; where that cannot be written, say so."""
    document = describe_native_api()
    try:
        output.write_bytes(document)
    except OSError as error:
        give_up(f"{output} cannot be written: {error.strerror}")
