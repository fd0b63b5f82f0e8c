"""The failures of compute, by noun."""

from foundation.errors import Conflict, Invalid, NotFound, QuotaExceeded


class InstanceNotFound(NotFound):
    """No such instance in this project."""


class FlavorNotFound(NotFound):
    """No such flavor."""


class ImageNotFound(NotFound):
    """No such image that this project may use."""


class NetworkNotFound(NotFound):
    """No such network that this project may use."""


class SubnetNotFound(NotFound):
    """No such subnet that this project may see."""


class PortNotFound(NotFound):
    """No such port in this project."""


class SecurityGroupNotFound(NotFound):
    """No such security group in this project."""


class KeypairNotFound(NotFound):
    """No such key pair of this user."""


class HostNotFound(NotFound):
    """No such host."""


class FlavorConflict(Conflict):
    """A flavor of this id or name exists already."""


class KeypairConflict(Conflict):
    """The user has a key pair of this name already."""


class InstanceStateConflict(Conflict):
    """The instance is not in a state in which this can be done."""


class NoValidHost(Conflict):
    """No host has room for what was asked; the sentence says what each lacks."""


class NetworkExhausted(Conflict):
    """The network has no free address, or there is no free subnet for another network."""


class StaleAgent(Conflict):
    """Another agent has registered for this host since, or has reported a later observation: this one's word no longer counts."""


class LaunchInvalid(Invalid):
    """The launch request is wrong."""


class ComputeQuotaExceeded(QuotaExceeded):
    """More instances, cores or memory than the project may have."""
