"""Where the database is that a command works on: the one that the settings name, or the embedded one of this installation."""

from foundation.settings import Settings
from provision.installation import this_installation


def find_database_url(settings: Settings) -> str | None:
    """Return the database that the settings name, or the embedded one if it runs."""
    given = settings.database_url.get_secret_value()
    if given:
        return given
    installation = this_installation()
    socket_dir = installation.runtime_dir / "postgresql"
    if not socket_dir.exists():
        return None
    from provision.timescaledb import Cluster

    return Cluster(
        installation.var, installation.var / "postgresql", socket_dir, installation.logs / "postgresql.log"
    ).url()
