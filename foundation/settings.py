"""Settings: every one an environment variable NEPHO_*, read once by an entrypoint and passed on."""

from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

SOCKET_PREFIX = "unix:"
SOCKET_PEER = "unix"
"""Whoever may open the socket that we listen on, in a list of networks."""


def is_loopback(host: str) -> bool:
    """Tell whether a host that we listen on is reached from this machine only; a name other than localhost may lead anywhere."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Settings(BaseSettings):
    """What an operator can set; the defaults serve one machine on loopback."""

    model_config = SettingsConfigDict(env_prefix="NEPHO_", extra="ignore")

    listen: str = Field(
        default="127.0.0.1:8780",
        pattern=r"^(unix:/.+|[^/]+:\d{1,5})$",
        description="address and port of all HTTP interfaces, or unix:/the/path of a socket",
    )
    var: Path = Field(default=Path("var"), description="where everything that the product makes lives")
    database_url: SecretStr = Field(
        default=SecretStr(""), description="PostgreSQL with TimescaleDB; empty: the embedded one"
    )
    redis_url: SecretStr = Field(
        default=SecretStr(""), description="the Redis that carries the queue; empty: the embedded one"
    )
    amqp_url: SecretStr = Field(
        default=SecretStr(""), description="the broker of an OpenStack whose notifications are metered; empty: none"
    )
    definitions: str = Field(
        default="", description="folder with definitions of your own of what is metered of which notification"
    )
    hypervisors: str = Field(
        default="qemu:///system",
        description="libvirt URI of the host that this agent owns; simulated:N for tests and trials",
    )
    installation: str = Field(
        default="", pattern=r"^[a-z0-9]{0,12}$", description="marks what is ours on a shared machine; empty: from var/"
    )
    poll_interval_s: float = Field(default=60, ge=1, le=3600, description="seconds between two readings of a host")
    stop_grace_s: float = Field(
        default=60,
        ge=0,
        le=3600,
        description="seconds that a guest has to shut itself down at a stop or soft reboot; 0 cuts its power at once",
    )
    virt_type: str = Field(default="auto", pattern=r"^(auto|kvm|qemu)$", description="kvm, qemu (emulation), or auto")
    region: str = Field(default="RegionOne", description="region in the service catalog")
    public_url: str = Field(default="", description="how clients reach us, where that is not http://<listen>")
    token_lifetime_s: int = Field(default=12 * 3600, ge=60, le=30 * 86400)
    api_threads: int = Field(default=8, ge=1, le=64)
    database_pool_size: int = Field(default=8, ge=1, le=100)
    webhook_allow_cidrs: str = Field(
        default="", description="private networks that webhooks may reach, separated by commas"
    )
    body_bytes_max: int = Field(
        default=8 * 1024 * 1024, ge=1024, description="largest request body apart from image uploads"
    )
    trusted_proxies: str = Field(
        default="",
        description="networks of the proxies whose Forwarded and X-Forwarded-* are believed, separated by commas; unix: on our socket",
    )
    metrics_cidrs: str = Field(
        default="127.0.0.0/8, ::1/128",
        description="networks that may read /metrics without an admin's token, separated by commas",
    )
    cors_origins: str = Field(
        default="",
        description="origins whose pages may call the metric API from a browser, separated by commas; * is any",
    )
    trusted_auth: Literal["", "basic", "headers"] = Field(
        default="",
        description="take callers' word for who they are: basic (a user's name) or headers (X-User-Id and so on); empty: no",
    )
    raw_keep_days: int = Field(
        default=400,
        ge=35,
        le=36_500,
        description="how long raw samples are kept at least, whether or not they are billed",
    )
    dispute_days: int = Field(
        default=90, ge=0, le=3_650, description="how long after it is final the samples behind an invoice stay in place"
    )
    unbilled_keep_days: int = Field(
        default=730,
        ge=35,
        le=36_500,
        description="how long samples stay in place for an invoice that is not final; from then on it is made from the archive",
    )
    compress_after_days: int = Field(
        default=0,
        ge=0,
        le=36_500,
        description="age in days at which raw samples are put into columns, with TimescaleDB's full edition only; 0: never",
    )
    page_limit_max: int = Field(default=1000, ge=1, le=100_000, description="largest page of any list")

    @field_validator("trusted_proxies", "metrics_cidrs", "webhook_allow_cidrs")
    @classmethod
    def check_networks(cls, listed: str, known: ValidationInfo) -> str:
        """Refuse to start with a network that cannot be read."""
        for one in filter(None, (part.strip() for part in listed.split(","))):
            if one != SOCKET_PEER or known.field_name == "webhook_allow_cidrs":
                ip_network(one, strict=False)
        return listed

    @field_validator("trusted_auth")
    @classmethod
    def check_trusted_auth(cls, mode: str, known: ValidationInfo) -> str:
        """Refuse to start where anybody who reaches us could say to be anybody."""
        listen, proxies = str(known.data.get("listen", "")), str(known.data.get("trusted_proxies", ""))
        host = listen.rpartition(":")[0].strip("[]")
        if mode and not proxies.strip() and not is_loopback(host) and not listen.startswith(SOCKET_PREFIX):
            raise ValueError(
                f"it takes the word of whoever calls, and NEPHO_LISTEN={listen} is not on loopback: listen on 127.0.0.1 or unix:/path,"
                " or name the peers to believe in NEPHO_TRUSTED_PROXIES"
            )
        return mode

    @property
    def base_url(self) -> str:
        """The URL under which clients reach us, without a trailing slash."""
        return self.public_url.rstrip("/") or f"http://{'localhost' if self.socket_path else self.listen}"

    @property
    def socket_path(self) -> Path | None:
        """The Unix socket that we listen on, where it is one."""
        return Path(self.listen.removeprefix(SOCKET_PREFIX)) if self.listen.startswith(SOCKET_PREFIX) else None

    @property
    def metrics_folder(self) -> Path:
        """Where every process of this machine counts what it does."""
        return self.var / "run" / "metrics"
