"""A listener that is killed after its commit and before its acknowledgement: a program of its own, for the kill to end."""

import os
import signal
import sys

from entrypoints import listener, notification_queue


class QueueThatKills(notification_queue.NotificationQueue):
    """Gets the last word before the broker does."""

    def acknowledge(self, count: int) -> None:
        """End this process as a power cut would, once there is something to acknowledge."""
        assert count > 0
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    listener.NotificationQueue = QueueThatKills
    sys.exit(listener.main())
