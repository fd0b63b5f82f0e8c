"""The API process: granian serves the application on one port; it keeps no truth of its own, so that any number may run."""

import asyncio
import contextlib
import gc
import signal
import sys

from granian.constants import Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.embed import Server
from starlette.applications import Starlette

from api.app import create_app
from api.context import ApiContext
from entrypoints.logs import configure_logs
from foundation.clock import utc_now
from foundation.database import open_pool
from foundation.exposition import read_all
from foundation.instruments import recorder
from foundation.settings import Settings
from provision import machine
from provision.failures import ProvisionError

BACKLOG_MAX = 256
REQUESTS_AT_ONCE_MAX = 512
"""Beyond these granian stops accepting, so that the kernel's backlog holds the rest."""
HEADER_READ_TIMEOUT_MS = 10_000
REQUEST_BUFFER_BYTES_MAX = 64 * 1024
SOCKET_PERMISSIONS = 0o660
"""Our user and its group: a proxy is let in by being made a member."""
COLLECT_AFTER_OBJECTS = 20_000
"""A batch of measures makes thousands of objects at once; the collector's usual 700 would have it look at them over and over."""


def make_server(application: Starlette, settings: Settings) -> Server:
    """Build the server in this very process: a second one only to watch it would cost memory and give nothing here."""
    path = settings.socket_path
    host, port = ("127.0.0.1", 0) if path is not None else machine.parse_listen(settings.listen)
    server = Server(
        application,
        address=host,
        port=port,
        uds=path,
        interface=Interfaces.ASGI,
        websockets=False,
        backlog=BACKLOG_MAX,
        backpressure=REQUESTS_AT_ONCE_MAX,
        http1_settings=HTTP1Settings(
            header_read_timeout=HEADER_READ_TIMEOUT_MS, max_buffer_size=REQUEST_BUFFER_BYTES_MAX
        ),
        log_level=LogLevels.warning,
    )
    server.uds_permissions = SOCKET_PERMISSIONS
    return server


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT: open streams are ended, other requests under way are finished."""
    url = settings.database_url.get_secret_value()
    pool = open_pool(url, size_max=settings.database_pool_size, application_name="nephoscope-api")
    application = create_app(ApiContext(settings=settings, pool=pool, clock=utc_now))
    server = make_server(application, settings)
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER_OBJECTS)

    def stop() -> None:
        application.state.close_streams()
        server.stop()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    try:
        await server.serve()
    finally:
        pool.close()


def main() -> None:
    """Serve with the environment's settings."""
    configure_logs()
    settings = Settings()
    try:
        if settings.socket_path is not None:
            machine.free_socket(settings.socket_path.absolute())
    except ProvisionError as error:
        sys.exit(f"nephoscope: {error}")
    recorder.keep_in(settings.metrics_folder, "api")
    with contextlib.suppress(OSError):  # puts by what ended processes had counted, also where nobody ever asks for it
        read_all(settings.metrics_folder)
    asyncio.run(serve(settings))


if __name__ == "__main__":
    main()
