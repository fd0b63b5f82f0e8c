"""How hard the laws are tried: usually, or deeper with `--hypothesis-profile=deep`; a busy machine is no counterexample."""

from hypothesis import HealthCheck, settings

settings.register_profile("usual", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("deep", parent=settings.get_profile("usual"), max_examples=2_000)
settings.load_profile("usual")
