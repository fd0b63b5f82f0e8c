"""What is looked at before anything starts, in a process of its own: the settings, then the servers that they name."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import psycopg
from kombu.connection import Connection
from kombu.exceptions import KombuError
from psycopg.conninfo import conninfo_to_dict
from pydantic import SecretStr, ValidationError
from pydantic_settings import BaseSettings

from foundation.settings import Settings

ANSWER_TIMEOUT_S = 5
DATABASE_PORT = 5432
DATABASE_ENCODING = "UTF8"


def read_settings() -> Settings | str:
    """The settings, or one sentence that names each wrong one, its value and what is allowed."""
    try:
        return Settings()
    except ValidationError as error:
        return " ".join(describe_wrong(Settings, wrong) for wrong in error.errors())


def describe_wrong(settings: type[BaseSettings], wrong: Mapping[str, Any]) -> str:
    """One refused value in the operator's words; `wrong` is one of pydantic's errors. A secret's value is not shown."""
    name = str(wrong["loc"][0])
    setting = f"{settings.model_config.get('env_prefix', '')}{name}".upper()
    schema: Mapping[str, Any] = settings.model_json_schema()["properties"][name]
    is_secret = settings.model_fields[name].annotation is SecretStr
    value = "" if is_secret else f"={wrong['input']}"
    if wrong["type"] == "value_error":
        return f"{setting}{value} is not allowed: {wrong['ctx']['error']}."
    meaning = f" ({schema['description']})" if "description" in schema else ""
    return f"{setting}{value} is not allowed: it takes {describe_allowed(schema) or wrong['msg']}{meaning}."


def describe_allowed(schema: Mapping[str, Any]) -> str:
    """What a JSON schema lets through, in words; nothing where it says nothing."""
    kind = {"integer": "a whole number", "number": "a number"}.get(schema.get("type", ""), "")
    if "minimum" in schema and "maximum" in schema:
        return f"{kind} from {schema['minimum']:g} to {schema['maximum']:g}"
    if "minimum" in schema:
        return f"{kind} of at least {schema['minimum']:g}"
    return f"what matches {schema['pattern']}" if "pattern" in schema else kind


def database_place(url: str) -> str:
    """Where a database is, without the password; raises psycopg.ProgrammingError where the URL is none."""
    parts = conninfo_to_dict(url)
    host = parts.get("host") or parts.get("hostaddr") or "the local socket"
    return f"{parts.get('dbname') or 'the default database'} on {host}:{parts.get('port') or DATABASE_PORT}"


def ask_database(url: str) -> str:
    """Let the database answer a query; returns a sentence where it does not, else nothing."""
    try:
        place = database_place(url)
    except psycopg.ProgrammingError:
        return "NEPHO_DATABASE_URL is no PostgreSQL URL: write it as postgresql://user:password@host:5432/database."
    try:
        with psycopg.connect(url, connect_timeout=ANSWER_TIMEOUT_S) as connection:
            connection.execute("SELECT 1")
            encoding = connection.info.parameter_status("server_encoding")
    except psycopg.Error as error:
        reason = str(error).strip().partition("\n")[0].rpartition(" failed: ")[2]
        what = "refuses us" if "FATAL:" in reason else "does not answer"
        return f"The database that NEPHO_DATABASE_URL names, {place}, {what} ({reason})."
    if encoding != DATABASE_ENCODING:
        return (
            f"The database that NEPHO_DATABASE_URL names, {place}, is encoded in {encoding}, which cannot hold every name: "
            f"make it anew with TEMPLATE template0 ENCODING '{DATABASE_ENCODING}'."
        )
    return ""


def broker_place(url: str) -> str:
    """Where a broker is, the first where several are named, without the password."""
    parts = urlsplit(url.split(";")[0])
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def ask_broker(url: str) -> str:
    """Let the broker take a connection; returns a sentence where it does not, else nothing."""
    waits = {"socket_timeout": ANSWER_TIMEOUT_S, "socket_connect_timeout": ANSWER_TIMEOUT_S}
    broker: Any = Connection(url, connect_timeout=ANSWER_TIMEOUT_S, transport_options=waits)
    refusals: tuple[type[Exception], ...] = (*broker.connection_errors, *broker.channel_errors, KombuError, ValueError)
    try:
        with broker:
            broker.connect()
    except (*refusals, OSError) as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        return f"The broker that NEPHO_REDIS_URL names, {broker_place(url)}, does not answer ({reason})."
    return ""


def look(arguments: Sequence[str]) -> str:
    """What is wrong, in a sentence; nothing where all is well. With `servers`, they are asked as well."""
    settings = read_settings()
    if isinstance(settings, str):
        return settings
    if "servers" not in arguments:
        return ""
    database, broker = settings.database_url.get_secret_value(), settings.redis_url.get_secret_value()
    return " ".join(filter(None, (ask_database(database), ask_broker(broker))))


if __name__ == "__main__":
    sys.exit(look(sys.argv[1:]) or 0)
