"""What a new installation starts with: accounts, sizes, an image, networks, prices, and the file that clients sign in with."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, cast

import yaml

from billing import service as billing
from compute import service as compute
from compute.hypervisor.host_network import read_routed_subnets
from foundation.clock import utc_now
from foundation.database import Transaction, open_pool, transaction
from foundation.settings import Settings
from identity import service as identity
from identity.model import DEFAULT_DOMAIN_ID, BootstrapAccount
from identity.service import Reference

SUBNETS_KEPT_FREE = 250
"""How many projects can get a network of their own before the operator gives more subnets."""
SUBNET_PREFIX_BITS = 24
CANDIDATE_RANGE = IPv4Network("10.64.0.0/10")
ACCOUNT_NAMES = ("admin", "demo")
CLOUD_NAME = "nephoscope-{}"
INTERFACE = "public"


def choose_subnets(busy: Sequence[IPv4Network], *, installation: str) -> Sequence[IPv4Network]:
    """Choose /24 networks that the host does not use; two installations on one machine begin at different places."""
    candidates = list(CANDIDATE_RANGE.subnets(new_prefix=SUBNET_PREFIX_BITS))
    first = int.from_bytes(hashlib.sha256(installation.encode()).digest()[:4]) % len(candidates)
    turned = candidates[first:] + candidates[:first]
    return [cidr for cidr in turned if not any(cidr.overlaps(other) for other in busy)][:SUBNETS_KEPT_FREE]


def read_manifest(var: Path) -> tuple[Mapping[str, Any], str] | None:
    """Read what `make setup` wrote about the guest image, and its folder in the image store; None where there is none."""
    manifest = (var / "images" / "guest" / "manifest.json").resolve()
    return (json.loads(manifest.read_text()), manifest.parent.name) if manifest.exists() else None


def bootstrap(tx: Transaction, settings: Settings) -> Sequence[BootstrapAccount]:
    """Make what is missing, in one transaction; return the accounts whose passwords are new."""
    now = utc_now()
    made = identity.bootstrap(tx, now)
    admin, demo = (project_id_of(tx, name) for name in ACCOUNT_NAMES)
    compute.bootstrap_flavors(tx, now=now)
    free = choose_subnets(read_routed_subnets(except_devices=()), installation=settings.installation)
    compute.bootstrap_networks(tx, project_ids=(admin, demo), free_cidrs=free, shared_owner_id=admin, now=now)
    image = read_manifest(settings.var)
    if image is not None:
        manifest, folder = image
        compute.register_image(tx, manifest, project_id=admin, now=now, folder=folder)
    billing.bootstrap_plans(tx, now)
    known = {account.user_name: account for account in (made.admin, made.demo) if account is not None}
    lost = [
        name for name in ACCOUNT_NAMES if name not in known and CLOUD_NAME.format(name) not in read_clouds(settings)
    ]
    return [*known.values(), *(identity.reset_password(tx, name) for name in lost)]


def project_id_of(tx: Transaction, name: str) -> str:
    """Return the id of a project that identity's bootstrap has made sure of."""
    project = identity.find_referenced_project(tx, Reference(name=name, domain_id=DEFAULT_DOMAIN_ID))
    assert project is not None, f"bootstrap makes the project {name}"
    return project.id


def clouds_file(settings: Settings) -> Path:
    """Where clients find how to sign in."""
    return settings.var / "clouds.yaml"


def read_clouds(settings: Settings) -> dict[str, Any]:
    """Read the clouds that are already written; none where there is no file."""
    path = clouds_file(settings)
    return cast(dict[str, Any], yaml.safe_load(path.read_text())["clouds"]) if path.exists() else {}


def write_clouds(settings: Settings, accounts: Sequence[BootstrapAccount]) -> None:
    """Write the accounts' clouds into clouds.yaml, readable by its owner alone, whole or not at all; always with today's URL."""
    path = clouds_file(settings)
    clouds = read_clouds(settings)
    for account in accounts:
        clouds[CLOUD_NAME.format(account.user_name)] = {
            "auth": {
                "username": account.user_name,
                "password": account.password,
                "project_name": account.project_name,
                "user_domain_id": DEFAULT_DOMAIN_ID,
                "project_domain_id": DEFAULT_DOMAIN_ID,
            },
            "identity_api_version": 3,
        }
    for cloud in clouds.values():
        cloud["auth"]["auth_url"] = f"{settings.base_url}/identity/v3"
        cloud.update(region_name=settings.region, interface=INTERFACE)
    partial = path.with_suffix(f".{os.getpid()}")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as target:
        yaml.safe_dump({"clouds": clouds}, target, sort_keys=False)
        target.flush()
        os.fsync(target.fileno())
    partial.replace(path)


def main() -> None:
    """Bootstrap the database that the settings name.

    The file is written before the commit: a crash between the two leaves no account whose password nobody knows.
    """
    settings = Settings()
    pool = open_pool(settings.database_url.get_secret_value(), size_max=1, application_name="nephoscope-bootstrap")
    try:
        with transaction(pool) as tx:
            accounts = bootstrap(tx, settings)
            write_clouds(settings, accounts)
    finally:
        pool.close()


if __name__ == "__main__":
    main()
