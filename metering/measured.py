"""What metering counts of itself: measures by what became of them. Counted as they are written, before the commit."""

from foundation.instruments import counter

MEASURES = counter(
    "nephoscope_measures_total", "Measures by what became of them; those of a commit that fails count too.", "outcome"
)
VERIFIED = counter(
    "nephoscope_rollup_verifications_total",
    "Rollups computed a second time from readings: holds or differs.",
    "outcome",
)


def count_measures(*, accepted: int = 0, repeated: int = 0, superseded: int = 0, rejected: int = 0) -> None:
    """Count what became of a batch."""
    counts = {"accepted": accepted, "repeated": repeated, "superseded": superseded, "rejected": rejected}
    for outcome, count in counts.items():
        if count:
            MEASURES.add(count, outcome)
