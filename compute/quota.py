"""What a project may have, what it has, and how many of the instances asked for it may still have. Pure."""

from dataclasses import dataclass

from compute.model import Flavor


@dataclass(frozen=True, slots=True)
class Quota:
    """What a project may have; -1 is without limit."""

    instances: int
    cores: int
    ram_mib: int
    key_pairs: int
    metadata_items: int


@dataclass(frozen=True, slots=True)
class QuotaUsage:
    """What a project has of what is limited."""

    instances: int
    cores: int
    ram_mib: int


QUOTA_DEFAULT = Quota(instances=100, cores=200, ram_mib=204_800, key_pairs=100, metadata_items=128)
UNLIMITED = -1


@dataclass(frozen=True, slots=True)
class Allowed:
    """So many may be made: between the least and the most that were asked for."""

    count: int


@dataclass(frozen=True, slots=True)
class Refused:
    """Not even the least may be made; `message` is Nova's own sentence."""

    message: str


@dataclass(frozen=True, slots=True)
class Limit:
    """One limited thing: what an instance takes of it, what is used, and what is allowed."""

    name: str
    each: int
    used: int
    allowed: int

    def headroom(self) -> int | None:
        """Return how many instances fit under this limit alone; None is without limit."""
        if self.allowed == UNLIMITED:
            return None
        return max(0, self.allowed - self.used) // self.each


def decide_count(
    flavor: Flavor, quota: Quota, usage: QuotaUsage, *, count_min: int, count_max: int
) -> Allowed | Refused:
    """Return how many instances of the flavor may be made: as many as asked for, or fewer down to the minimum, as Nova does."""
    limits = [
        Limit("cores", flavor.vcpus, usage.cores, quota.cores),
        Limit("instances", 1, usage.instances, quota.instances),
        Limit("ram", flavor.ram_mib, usage.ram_mib, quota.ram_mib),
    ]
    headrooms = [headroom for limit in limits if (headroom := limit.headroom()) is not None]
    count = min([count_max, *headrooms])
    if count >= count_min:
        return Allowed(count)
    over = [limit for limit in limits if (headroom := limit.headroom()) is not None and headroom < count_min]
    names = ", ".join(limit.name for limit in over)
    requested = ", ".join(str(limit.each * count_min) for limit in over)
    used = ", ".join(str(limit.used) for limit in over)
    allowed = ", ".join(str(limit.allowed) for limit in over)
    return Refused(f"Quota exceeded for {names}: Requested {requested}, but already used {used} of {allowed} {names}")
