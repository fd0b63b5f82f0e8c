"""How often a law is tried that costs more, or less, than most: so many examples usually, and in proportion under another profile."""

from hypothesis import HealthCheck, settings

EXAMPLES_USUAL = 100
SHARED_FIXTURES = HealthCheck.function_scoped_fixture
"""Each example makes a project of its own, so nothing that a fixture holds passes from one to the next."""


def law(*, examples: int) -> settings:
    """Try a law with so many examples, twenty times as many with `--hypothesis-profile=deep`."""
    usual = settings()
    return settings(
        max_examples=max(1, examples * usual.max_examples // EXAMPLES_USUAL),
        suppress_health_check=[*usual.suppress_health_check, SHARED_FIXTURES],
    )
