"""What the database knows of the service's state, for whoever watches it: read in one snapshot, each part bounded."""

from collections.abc import Mapping
from dataclasses import dataclass

from alarms.service.watch import alarm_backlog
from billing.service.watch import missing_invoice_numbers
from foundation import outbox
from foundation.database import Transaction
from foundation.exposition import Family
from metering.service.watch import roll_up_state

DATABASE_UP = "nephoscope_database_up"
INVARIANT_VIOLATIONS = "nephoscope_invariant_violations"

GAUGES: Mapping[str, str] = {
    "nephoscope_rollup_marks": "Dirty marks that wait to be rolled up, at most 10000 are counted.",
    "nephoscope_rollup_lag_seconds": "Age of the oldest dirty mark, 0 where none waits.",
    "nephoscope_alarms_due": "Alarms whose evaluation time has come, at most 10000 are counted.",
    "nephoscope_alarm_lateness_seconds": "By how much the first due evaluation is late.",
    "nephoscope_deliveries_pending": "Webhooks that wait to be sent or sent again, at most 10000 are counted.",
    "nephoscope_delivery_lateness_seconds": "By how much the first due attempt to send a webhook is late.",
    "nephoscope_outbox_events_pending": "Outbox events that nobody has handled yet, at most 10000 are counted.",
    "nephoscope_outbox_lag_seconds": "Age of the oldest outbox event that nobody has handled yet.",
}
"""What the database alone knows, and what each of it says."""

INVARIANTS_HELP = "How often something is found that must never be; anything but 0 is a fault."


@dataclass(frozen=True, slots=True)
class ServiceState:
    """The gauges by name, and how often each invariant is broken."""

    gauges: Mapping[str, float]
    violations: Mapping[str, int]

    def families(self) -> list[Family]:
        """Give the state the form in which it is exposed."""
        found = [Family(name, "gauge", text, [("", {}, self.gauges[name])]) for name, text in GAUGES.items()]
        samples = [("", {"invariant": name}, float(count)) for name, count in self.violations.items()]
        return [*found, Family(INVARIANT_VIOLATIONS, "gauge", INVARIANTS_HELP, samples)]


def read_service_state(tx: Transaction) -> ServiceState:
    """Read what waits and what is wrong."""
    rolled, backlog, events = roll_up_state(tx), alarm_backlog(tx), outbox.read_backlog(tx)
    gauges = {
        "nephoscope_rollup_marks": rolled.marks,
        "nephoscope_rollup_lag_seconds": rolled.lag_s,
        "nephoscope_alarms_due": backlog.alarms_due,
        "nephoscope_alarm_lateness_seconds": backlog.alarms_late_s,
        "nephoscope_deliveries_pending": backlog.deliveries_pending,
        "nephoscope_delivery_lateness_seconds": backlog.deliveries_late_s,
        "nephoscope_outbox_events_pending": events.events,
        "nephoscope_outbox_lag_seconds": events.lag_s,
    }
    assert gauges.keys() == GAUGES.keys()
    violations = {"invoice_number_missing": missing_invoice_numbers(tx), "outbox_event_stuck": events.failing}
    return ServiceState(gauges, violations)
