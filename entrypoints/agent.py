"""`nepho agent`: owns one host. Reads its settings, opens its driver, and runs a HostAgent until it is told to end."""

import sys

import structlog

from collectors.guest_note import GuestNote
from collectors.spool import Spool
from collectors.stop_note import StopNote
from compute.hypervisor.drivers import open_hypervisor
from entrypoints import agent_loop
from entrypoints.host_agent import AgentSettings, HostAgent
from entrypoints.logs import configure_logs
from foundation.clock import utc_now
from foundation.database import open_pool
from foundation.instruments import recorder
from foundation.settings import Settings

DATABASE_WAIT_S_MAX = 1.0

log = structlog.get_logger()


def installation_of(settings: Settings) -> str:
    """Return the installation's id: the setting, or what was kept under var/ at the first start."""
    return settings.installation or (settings.var / "installation").read_text().strip()


def main() -> int:
    """Run the agent of the host that NEPHO_HYPERVISORS names, until SIGINT or SIGTERM."""
    configure_logs()
    settings = Settings()
    uri = settings.hypervisors.strip()
    if "," in uri:
        log.error("agent.one_host_only", mend="start one agent a host, each with one URI in NEPHO_HYPERVISORS")
        return 2
    recorder.keep_in(settings.metrics_folder, "agent")
    root, url = settings.var.absolute(), settings.database_url.get_secret_value()
    installation = installation_of(settings)
    hypervisor = open_hypervisor(uri, installation=installation, root=root, virt_type=settings.virt_type, clock=utc_now)
    pool = open_pool(url, size_max=2, application_name="nephoscope-agent")
    pool.timeout = DATABASE_WAIT_S_MAX
    signals = agent_loop.Signals()
    agent = HostAgent(
        pool=pool,
        hypervisor=hypervisor,
        spool=Spool(root / "spool"),
        settings=AgentSettings(
            uri,
            root / "images",
            settings.poll_interval_s,
            StopNote(root / "run" / "agent-stopped.json"),
            settings.stop_grace_s,
            GuestNote(root / "spool" / "guests.json"),
        ),
        clock=utc_now,
        on_wake=signals.wake.set,
        is_ending=signals.stopping.is_set,
    )
    listener = agent_loop.Listener(url, is_for_us=agent.is_own_host, on_wake=agent.wake)
    try:
        return agent_loop.run(agent, clock=utc_now, signals=signals, listener=listener)
    finally:
        pool.close()


if __name__ == "__main__":
    sys.exit(main())
