"""The queue between scheduler and workers: how Celery is set up, and the ticks that say "look what is due"."""

from datetime import UTC, datetime
from typing import Any

from celery import Celery
from celery.schedules import schedule

from foundation.settings import Settings

VISIBILITY_TIMEOUT_S = 120
TASK_TIME_LIMIT_S = 100
TICK_INTERVAL_S = 0.5
"""What waits, waits half of this on average: at a second, rollups were more than a second behind in one case of a hundred."""
TICK_EXPIRES_S = 5
"""A tick that waited longer is thrown away: the next one finds the same work."""
ROLL_UP_EXPIRES_S = 2
"""Under load shards are named again sooner than they are rolled up: what piled up would keep all else that is due, alarms too, waiting.
Not less, since one host writes when a message expires and another reads it by its own clock."""
HOUSEKEEPING_INTERVAL_S = 300.0
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


class Tick(schedule):
    """A plain interval, which is due at once where the last run lies in the future: the clock was set back since."""

    def is_due(self, last_run_at: datetime) -> Any:
        """Tell whether to run now, and after how many seconds to ask again."""
        beat: Any = super()
        return beat.is_due(last_run_at if last_run_at <= self.now() else BEGINNING)


def make_app(settings: Settings) -> Any:
    """Configure Celery so that a crash redelivers within seconds and nothing runs beyond its lease."""
    broker = settings.redis_url.get_secret_value()
    made: Any = Celery("nephoscope", broker=broker)
    made.conf.update(
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_ignore_result=True,
        task_time_limit=TASK_TIME_LIMIT_S,
        task_soft_time_limit=TASK_TIME_LIMIT_S - 10,
        task_default_queue=f"nephoscope-{settings.installation or 'default'}",
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_soft_shutdown_timeout=10,
        worker_send_task_events=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={
            "visibility_timeout": VISIBILITY_TIMEOUT_S,
            "unacked_restore_interval": 1,
            "unacked_restore_throttle": 1,
            "socket_timeout": 10,
            "socket_connect_timeout": 5,
            "health_check_interval": 10,
        },
        timezone="UTC",
        beat_schedule={
            "tick": {"task": "tick", "schedule": Tick(TICK_INTERVAL_S), "options": {"expires": TICK_EXPIRES_S}},
            "housekeeping": {
                "task": "housekeeping",
                "schedule": Tick(HOUSEKEEPING_INTERVAL_S),
                "options": {"expires": HOUSEKEEPING_INTERVAL_S},
            },
        },
    )
    return made


settings = Settings()
app = make_app(settings)
