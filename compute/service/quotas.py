"""What a project may have of instances, cores and memory, and what it has."""

from dataclasses import dataclass
from typing import NoReturn

from compute.errors import LaunchInvalid
from compute.quota import QUOTA_DEFAULT, UNLIMITED, Quota, QuotaUsage
from compute.store import quotas
from foundation.database import Transaction
from foundation.errors import Forbidden
from identity import policy
from identity.model import Caller


@dataclass(frozen=True, slots=True)
class QuotaChange:
    """New limits; None leaves a limit as it is, and -1 takes it away."""

    instances: int | None = None
    cores: int | None = None
    ram_mib: int | None = None
    key_pairs: int | None = None
    metadata_items: int | None = None
    is_forced: bool = False


def require_sight(caller: Caller, project_id: str) -> None:
    """Raise Forbidden unless the caller may see the project's quota."""
    if not policy.may_read(caller, project_id):
        raise Forbidden("a project's quota is seen by the project and by an admin")


def get_quota(tx: Transaction, project_id: str) -> Quota:
    """Return the project's limits."""
    return quotas.get_quota(tx, project_id, defaults=QUOTA_DEFAULT)


def get_usage(tx: Transaction, project_id: str) -> QuotaUsage:
    """Count what the project has now."""
    return quotas.get_usage(tx, project_id)


def change_quota(tx: Transaction, project_id: str, *, caller: Caller, change: QuotaChange) -> Quota:
    """Change a project's limits; below what is used only by force, as in Nova."""
    policy.require_admin(caller)
    quotas.lock_quota(tx, project_id)
    usage = quotas.get_usage(tx, project_id)
    if not change.is_forced:
        for name, limit, used in (
            ("instances", change.instances, usage.instances),
            ("cores", change.cores, usage.cores),
            ("ram", change.ram_mib, usage.ram_mib),
        ):
            if limit is not None and limit != UNLIMITED and limit < used:
                refuse_below_usage(name, limit, used=used)
    quotas.update_quota(
        tx,
        project_id,
        instances=change.instances,
        cores=change.cores,
        ram_mib=change.ram_mib,
        key_pairs=change.key_pairs,
        metadata_items=change.metadata_items,
    )
    return get_quota(tx, project_id)


def refuse_below_usage(name: str, limit: int, *, used: int) -> NoReturn:
    """Raise LaunchInvalid in Nova's words."""
    raise LaunchInvalid(
        f"Quota limit {limit} for {name} must be greater than or equal to already used and reserved {used}.", field=name
    )


def reset_quota(tx: Transaction, project_id: str, *, caller: Caller) -> None:
    """Give a project the default limits again."""
    policy.require_admin(caller)
    quotas.delete_quota(tx, project_id)
