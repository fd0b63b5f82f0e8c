"""What Nova's clients send, as they spell it: launches, updates, flavors, quotas."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from foundation.errors import Invalid

TAG_FORBIDDEN_CHARACTERS = frozenset(",/")
"""A tag with one of them could not be named in a filter or in a path."""


def checked_tag(tag: str) -> str:
    """Return the tag. Raises Invalid where no other request could name it."""
    if TAG_FORBIDDEN_CHARACTERS & set(tag):
        raise Invalid("a tag holds neither a comma nor a slash", field="tag")
    return tag


def tag_of_body(tag: str) -> str:
    """Return a tag of a body; where it is wrong, pydantic names the place."""
    try:
        return checked_tag(tag)
    except Invalid as error:
        raise PydanticCustomError("tag", "{reason}", {"reason": error.message}) from error


Tag = Annotated[str, Field(min_length=1, max_length=60), AfterValidator(tag_of_body)]
Name = Annotated[str, Field(min_length=1, max_length=255)]
Text = Annotated[str, Field(max_length=255)]


class Strict(BaseModel):
    """A body that may hold only what Nova knows."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class NetworkChoice(Strict):
    """One entry of a launch's networks."""

    uuid: str | None = None
    port: str | None = None
    fixed_ip: str | None = None
    tag: str | None = None


class GroupName(Strict):
    """One entry of a launch's security groups: a name or an id."""

    name: Name


class BlockDevice(Strict):
    """One entry of block_device_mapping_v2; only the image's own local disk is offered."""

    boot_index: int | str | None = None
    uuid: str | None = None
    source_type: str | None = None
    destination_type: str | None = None
    delete_on_termination: bool | str | None = None
    device_name: str | None = None
    device_type: str | None = None
    disk_bus: str | None = None
    guest_format: str | None = None
    volume_size: int | str | None = None
    volume_type: str | None = None
    tag: str | None = None
    no_device: bool | str | None = None


class ServerLaunch(Strict):
    """The `server` of POST /servers."""

    name: Name
    flavor_ref: str = Field(alias="flavorRef", max_length=1024)
    image_ref: str = Field("", alias="imageRef", max_length=1024)
    networks: list[NetworkChoice] | Literal["auto", "none"] | None = None
    metadata: dict[str, Text] = Field(default_factory=dict[str, str])
    security_groups: list[GroupName] = Field(default_factory=list[GroupName])
    user_data: str | None = Field(None, max_length=131_072)
    key_name: Name | None = None
    availability_zone: str | None = None
    min_count: int | None = Field(None, ge=1)
    max_count: int | None = Field(None, ge=1)
    return_reservation_id: bool | None = None
    config_drive: bool | str | None = None
    description: str | None = Field(None, max_length=255)
    tags: list[Tag] = Field(default_factory=list[str], max_length=50)
    hostname: str | None = Field(None, min_length=1, max_length=63)
    block_device_mapping_v2: list[BlockDevice] = Field(default_factory=list[BlockDevice])
    disk_config: Literal["AUTO", "MANUAL"] | None = Field(None, alias="OS-DCF:diskConfig")
    admin_pass: str | None = Field(None, alias="adminPass")
    access_ipv4: str | None = Field(None, alias="accessIPv4")
    access_ipv6: str | None = Field(None, alias="accessIPv6")
    personality: list[Any] = Field(default_factory=list[Any], max_length=0)
    trusted_image_certificates: list[str] | None = None
    block_device_mapping: list[Any] = Field(default_factory=list[Any], max_length=0)


class ServerCreateBody(Strict):
    """The body of POST /servers; hints are taken and follow no rule of ours, but for a group, which nobody would keep apart or together."""

    server: ServerLaunch
    hints: dict[str, Any] | None = Field(None, alias="os:scheduler_hints")
    old_hints: dict[str, Any] | None = Field(None, alias="OS-SCH-HNT:scheduler_hints")


class ServerUpdate(Strict):
    """The `server` of PUT /servers/{id}."""

    name: Name | None = None
    description: str | None = Field(None, max_length=255)
    disk_config: Literal["AUTO", "MANUAL"] | None = Field(None, alias="OS-DCF:diskConfig")
    access_ipv4: str | None = Field(None, alias="accessIPv4")
    access_ipv6: str | None = Field(None, alias="accessIPv6")


class ServerUpdateBody(Strict):
    """The body of PUT /servers/{id}."""

    server: ServerUpdate


class MetadataBody(Strict):
    """The body of POST and PUT on a server's metadata."""

    metadata: dict[Name, Text]


class MetadataItemBody(Strict):
    """The body of PUT on one item of a server's metadata."""

    meta: dict[Name, Text] = Field(min_length=1, max_length=1)


class TagsBody(Strict):
    """The body of PUT on a server's tags."""

    tags: list[Tag] = Field(max_length=50)


class FlavorCreate(Strict):
    """The `flavor` of POST /flavors."""

    name: Name
    ram: int = Field(ge=1, le=16_777_216)
    vcpus: int = Field(ge=1, le=512)
    disk: int = Field(ge=0, le=65_536)
    id: str | None = Field(None, max_length=255)
    swap: Literal[0, "", "0"] | None = None
    ephemeral: Literal[0, "0"] | None = Field(None, alias="OS-FLV-EXT-DATA:ephemeral")
    rxtx_factor: float | None = None
    is_public: bool = Field(True, alias="os-flavor-access:is_public")
    description: str | None = Field(None, max_length=65_535)


class FlavorCreateBody(Strict):
    """The body of POST /flavors."""

    flavor: FlavorCreate


class FlavorDescription(Strict):
    """The `flavor` of PUT /flavors/{id}."""

    description: str | None = Field(max_length=65_535)


class FlavorUpdateBody(Strict):
    """The body of PUT /flavors/{id}."""

    flavor: FlavorDescription


class ExtraSpecsBody(Strict):
    """The body of POST /flavors/{id}/os-extra_specs."""

    extra_specs: dict[Name, Annotated[str | int | float, Field()]] = Field(max_length=128)


class KeypairCreate(Strict):
    """The `keypair` of POST /os-keypairs."""

    name: Name
    public_key: str | None = Field(None, max_length=16_384)
    type: Literal["ssh", "x509"] = "ssh"
    user_id: str | None = None


class KeypairCreateBody(Strict):
    """The body of POST /os-keypairs."""

    keypair: KeypairCreate


Limit = Annotated[int, Field(ge=-1, le=2_147_483_647)]


class QuotaSet(Strict):
    """The `quota_set` of PUT /os-quota-sets/{project}; limits of what is not offered are taken and change nothing."""

    instances: Limit | None = None
    cores: Limit | None = None
    ram: Limit | None = None
    key_pairs: Limit | None = None
    metadata_items: Limit | None = None
    force: bool = False
    server_groups: Limit | None = None
    server_group_members: Limit | None = None
    fixed_ips: Limit | None = None
    floating_ips: Limit | None = None
    security_groups: Limit | None = None
    security_group_rules: Limit | None = None
    networks: Limit | None = None
    injected_files: Limit | None = None
    injected_file_content_bytes: Limit | None = None
    injected_file_path_bytes: Limit | None = None
    tenant_id: str | None = None


class QuotaSetBody(Strict):
    """The body of PUT /os-quota-sets/{project}."""

    quota_set: QuotaSet
