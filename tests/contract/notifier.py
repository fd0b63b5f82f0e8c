"""Publishes notifications by the real oslo.messaging, as OpenStack's services do: a program of its own, since importing it warns.

Run as `python notifier.py URL [durable] < notifications.json`, a list of {exchange, event_type, payload, context, publisher_id}.
"""

import json
import sys
from typing import Any


def main() -> None:
    """Send every notification of the list on its service's exchange."""
    import oslo_messaging as library
    from oslo_config import cfg
    from oslo_context.context import RequestContext

    oslo_messaging: Any = library
    url, *options = sys.argv[1:]
    notifiers: dict[str, Any] = {}
    for told in json.load(sys.stdin):
        exchange = told["exchange"]
        if exchange not in notifiers:
            settings: Any = cfg.ConfigOpts()
            settings([])
            oslo_messaging.set_transport_defaults(exchange)
            transport: Any = oslo_messaging.get_notification_transport(settings, url=url)
            settings.set_override("control_exchange", exchange)
            if "durable" in options:
                settings.set_override("amqp_durable_queues", True, group="oslo_messaging_rabbit")
            notifiers[exchange] = oslo_messaging.Notifier(transport, driver="messagingv2", topics=["notifications"])
        notifier = notifiers[exchange].prepare(publisher_id=told["publisher_id"])
        notifier.info(RequestContext(**told["context"]), told["event_type"], told["payload"])
    for notifier in notifiers.values():
        notifier.transport.cleanup()


if __name__ == "__main__":
    main()
