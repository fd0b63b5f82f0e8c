"""The scheduler process: Celery beat with plain UTC ticks, which are only wake-ups."""

import sys

from entrypoints.queue import app, settings
from foundation.instruments import recorder


def main() -> None:
    """Run beat until it is told to stop; it keeps no state that matters."""
    recorder.keep_in(settings.metrics_folder, "scheduler")
    app.Beat(loglevel="WARNING", quiet=True, schedule="/dev/null", scheduler_cls="celery.beat:Scheduler").run()


if __name__ == "__main__":
    sys.exit(main())
