"""The scheduler process: Celery beat with plain UTC ticks, which are only wake-ups."""

import sys
from datetime import datetime
from typing import Any, cast

from celery.beat import Scheduler

from entrypoints.queue import app, settings
from foundation.instruments import recorder


class Ticks(Scheduler):
    """Beat's schedule in memory, made anew when the clock was set back: it would wait until the clock has caught up."""

    _ticked_at: datetime | None = None

    def tick(self, *given: Any, **named: Any) -> Any:
        """Send what is due; return how many seconds to sleep."""
        beat: Any = super()
        now: datetime = cast(Any, self).app.now()
        if self._ticked_at is not None and now < self._ticked_at:
            beat.populate_heap()
        self._ticked_at = now
        return beat.tick(*given, **named)


def main() -> None:
    """Run beat until it is told to stop; it keeps no state that matters."""
    recorder.keep_in(settings.metrics_folder, "scheduler")
    app.Beat(loglevel="WARNING", quiet=True, schedule="/dev/null", scheduler_cls=Ticks).run()


if __name__ == "__main__":
    sys.exit(main())
