"""Hosts, flavors, images, networks and instances."""

from typing import LiteralString

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TABLES: tuple[LiteralString, ...] = (
    """
    CREATE TABLE host (
        id uuid PRIMARY KEY,
        name text NOT NULL UNIQUE CHECK (name <> ''),
        hypervisor_uri text NOT NULL,
        virt_type text NOT NULL,
        hypervisor_version text NOT NULL,
        architecture text NOT NULL,
        cpu_model text NOT NULL,
        availability_zone text NOT NULL DEFAULT 'nova',
        vcpus integer NOT NULL CHECK (vcpus > 0),
        ram_mib integer NOT NULL CHECK (ram_mib > 0),
        disk_gib integer NOT NULL CHECK (disk_gib >= 0),
        cpu_allocation_ratio double precision NOT NULL CHECK (cpu_allocation_ratio > 0),
        ram_allocation_ratio double precision NOT NULL CHECK (ram_allocation_ratio > 0),
        session bigint NOT NULL CHECK (session > 0),
        stopping_session bigint CHECK (stopping_session <= session),
        registered_at timestamptz NOT NULL,
        seen_at timestamptz NOT NULL,
        observed_at timestamptz
    )
    """,
    """
    CREATE TABLE flavor (
        id text PRIMARY KEY CHECK (id <> '' AND length(id) <= 255),
        name text NOT NULL UNIQUE CHECK (name <> '' AND length(name) <= 255),
        vcpus integer NOT NULL CHECK (vcpus > 0),
        ram_mib integer NOT NULL CHECK (ram_mib > 0),
        disk_gib integer NOT NULL CHECK (disk_gib >= 0),
        is_public boolean NOT NULL,
        description text,
        extra_specs jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(extra_specs) = 'object'),
        created_at timestamptz NOT NULL
    )
    """,
    """
    CREATE TABLE image (
        id uuid PRIMARY KEY,
        project_id text NOT NULL,
        name text NOT NULL,
        visibility text NOT NULL CHECK (visibility IN ('public', 'private')),
        is_hidden boolean NOT NULL,
        disk_format text NOT NULL CHECK (disk_format IN ('qcow2', 'raw', 'ami', 'aki', 'ari')),
        container_format text NOT NULL CHECK (container_format IN ('bare', 'ami', 'aki', 'ari')),
        file_path text NOT NULL CHECK (file_path <> '' AND file_path NOT LIKE '/%' AND file_path NOT LIKE '%..%'),
        file_format text NOT NULL CHECK (file_format IN ('qcow2', 'raw')),
        size_bytes bigint NOT NULL CHECK (size_bytes >= 0),
        virtual_size_bytes bigint CHECK (virtual_size_bytes >= 0),
        sha256 text NOT NULL CHECK (sha256 ~ '^[0-9a-f]{64}$'),
        min_disk_gib integer NOT NULL CHECK (min_disk_gib >= 0),
        min_ram_mib integer NOT NULL CHECK (min_ram_mib >= 0),
        kernel_id uuid REFERENCES image,
        ramdisk_id uuid REFERENCES image,
        kernel_command_line text NOT NULL DEFAULT '',
        properties jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(properties) = 'object'),
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL,
        UNIQUE (sha256, name, kernel_command_line)
    )
    """,
    """
    CREATE TABLE network (
        id uuid PRIMARY KEY,
        project_id text NOT NULL,
        name text NOT NULL CHECK (name <> ''),
        is_shared boolean NOT NULL,
        mtu integer NOT NULL CHECK (mtu BETWEEN 576 AND 65535),
        created_at timestamptz NOT NULL
    )
    """,
    "CREATE UNIQUE INDEX network_own ON network (project_id) WHERE NOT is_shared",
    "CREATE UNIQUE INDEX network_shared ON network (name) WHERE is_shared",
    """
    CREATE TABLE subnet (
        id uuid PRIMARY KEY,
        network_id uuid NOT NULL UNIQUE REFERENCES network ON DELETE CASCADE,
        name text NOT NULL,
        cidr cidr NOT NULL UNIQUE CHECK (family(cidr) = 4 AND masklen(cidr) BETWEEN 8 AND 29),
        gateway_ip inet NOT NULL CHECK (gateway_ip << cidr),
        pool_start inet NOT NULL CHECK (pool_start << cidr),
        pool_end inet NOT NULL CHECK (pool_end << cidr),
        created_at timestamptz NOT NULL,
        EXCLUDE USING gist (cidr inet_ops WITH &&),
        CHECK (pool_start <= pool_end AND NOT gateway_ip BETWEEN pool_start AND pool_end)
    )
    """,
    """
    CREATE TABLE free_subnet (
        cidr cidr PRIMARY KEY CHECK (family(cidr) = 4 AND masklen(cidr) BETWEEN 8 AND 29)
    )
    """,
    """
    CREATE TABLE security_group (
        id uuid PRIMARY KEY,
        project_id text NOT NULL,
        name text NOT NULL CHECK (name <> ''),
        description text NOT NULL,
        created_at timestamptz NOT NULL,
        UNIQUE (project_id, name)
    )
    """,
    """
    CREATE TABLE security_group_rule (
        id uuid PRIMARY KEY,
        security_group_id uuid NOT NULL REFERENCES security_group ON DELETE CASCADE,
        direction text NOT NULL CHECK (direction IN ('ingress', 'egress')),
        ethertype text NOT NULL CHECK (ethertype IN ('IPv4', 'IPv6')),
        protocol text,
        port_range_min integer CHECK (port_range_min BETWEEN 0 AND 65535),
        port_range_max integer CHECK (port_range_max BETWEEN port_range_min AND 65535),
        remote_ip_prefix cidr,
        remote_group_id uuid REFERENCES security_group,
        created_at timestamptz NOT NULL,
        CHECK (remote_ip_prefix IS NULL OR remote_group_id IS NULL)
    )
    """,
    "CREATE INDEX security_group_rule_group ON security_group_rule (security_group_id)",
    """
    CREATE TABLE keypair (
        user_id text NOT NULL,
        name text NOT NULL CHECK (name <> '' AND length(name) <= 255),
        public_key text NOT NULL CHECK (length(public_key) <= 16384),
        fingerprint text NOT NULL,
        created_at timestamptz NOT NULL,
        PRIMARY KEY (user_id, name)
    )
    """,
    """
    CREATE TABLE project_quota (
        project_id text PRIMARY KEY,
        instances integer CHECK (instances >= -1),
        cores integer CHECK (cores >= -1),
        ram_mib integer CHECK (ram_mib >= -1),
        key_pairs integer CHECK (key_pairs >= -1),
        metadata_items integer CHECK (metadata_items >= -1)
    )
    """,
    """
    CREATE TABLE instance (
        id uuid PRIMARY KEY,
        project_id text NOT NULL CHECK (project_id <> ''),
        user_id text NOT NULL,
        name text NOT NULL CHECK (length(name) BETWEEN 1 AND 255),
        hostname text NOT NULL CHECK (hostname ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
        description text,
        reservation_id text NOT NULL,
        host_id uuid NOT NULL REFERENCES host,
        availability_zone text NOT NULL,
        flavor_id text NOT NULL,
        flavor_name text NOT NULL,
        vcpus integer NOT NULL CHECK (vcpus > 0),
        ram_mib integer NOT NULL CHECK (ram_mib > 0),
        disk_gib integer NOT NULL CHECK (disk_gib >= 0),
        extra_specs jsonb NOT NULL,
        image_id uuid NOT NULL REFERENCES image,
        key_name text,
        public_key text,
        user_data bytea CHECK (length(user_data) <= 65535),
        metadata jsonb NOT NULL CHECK (jsonb_typeof(metadata) = 'object'),
        tags text[] NOT NULL DEFAULT '{}',
        desired text NOT NULL CHECK (desired IN ('active', 'stopped', 'deleted')),
        generation bigint NOT NULL DEFAULT 1 CHECK (generation > 0),
        reboot_from_epoch bigint,
        is_reboot_hard boolean NOT NULL DEFAULT false,
        vm_state text NOT NULL CHECK (vm_state IN ('building', 'active', 'stopped', 'error', 'deleted')),
        power_state text NOT NULL CHECK (power_state IN ('unknown', 'running', 'paused', 'shutoff', 'crashed')),
        is_interrupted boolean NOT NULL DEFAULT false,
        boot_epoch bigint NOT NULL DEFAULT 0 CHECK (boot_epoch >= 0),
        failures integer NOT NULL DEFAULT 0 CHECK (failures >= 0),
        retry_at timestamptz,
        fault_code integer,
        fault_message text,
        fault_details text,
        fault_at timestamptz,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL,
        state_at timestamptz NOT NULL,
        launched_at timestamptz,
        deleted_at timestamptz,
        CHECK ((vm_state = 'deleted') = (deleted_at IS NOT NULL)),
        CHECK (vm_state <> 'deleted' OR desired = 'deleted'),
        CHECK (vm_state <> 'active' OR launched_at IS NOT NULL),
        CHECK ((fault_message IS NULL) = (fault_at IS NULL))
    )
    """,
    "CREATE INDEX instance_host ON instance (host_id) WHERE deleted_at IS NULL",
    "CREATE INDEX instance_project ON instance (project_id, created_at, id)",
    "CREATE INDEX instance_deleted ON instance (deleted_at) WHERE deleted_at IS NOT NULL",
    "CREATE SEQUENCE port_mac_number MINVALUE 1 MAXVALUE 16777215 CYCLE",
    """
    CREATE TABLE port (
        id uuid PRIMARY KEY,
        project_id text NOT NULL,
        network_id uuid NOT NULL REFERENCES network,
        subnet_id uuid NOT NULL REFERENCES subnet,
        instance_id uuid NOT NULL REFERENCES instance ON DELETE CASCADE,
        position integer NOT NULL CHECK (position >= 0),
        mac_address text NOT NULL UNIQUE CHECK (mac_address ~ '^([0-9a-f]{2}:){5}[0-9a-f]{2}$'),
        ip_address inet NOT NULL,
        created_at timestamptz NOT NULL,
        UNIQUE (subnet_id, ip_address),
        UNIQUE (instance_id, position)
    )
    """,
    "CREATE INDEX port_network ON port (network_id)",
    """
    CREATE TABLE port_security_group (
        port_id uuid NOT NULL REFERENCES port ON DELETE CASCADE,
        security_group_id uuid NOT NULL REFERENCES security_group,
        PRIMARY KEY (port_id, security_group_id)
    )
    """,
    """
    CREATE TABLE instance_action (
        request_id text NOT NULL,
        instance_id uuid NOT NULL REFERENCES instance ON DELETE CASCADE,
        action text NOT NULL,
        user_id text NOT NULL,
        project_id text NOT NULL,
        message text,
        started_at timestamptz NOT NULL,
        PRIMARY KEY (instance_id, request_id)
    )
    """,
    """
    CREATE TABLE console_output (
        instance_id uuid PRIMARY KEY REFERENCES instance ON DELETE CASCADE,
        requested_at timestamptz NOT NULL,
        answered_at timestamptz,
        output text NOT NULL DEFAULT '' CHECK (length(output) <= 262144)
    )
    """,
)

NAMES: LiteralString = """
    DROP TABLE console_output, instance_action, port_security_group, port, instance, project_quota, keypair,
        security_group_rule, security_group, free_subnet, subnet, network, image, flavor, host
"""


def upgrade() -> None:
    """Make the tables of compute; an instance's row outlives the guest, its ports and addresses do not."""
    for statement in TABLES:
        op.execute(statement)


def downgrade() -> None:
    """Drop the tables of compute."""
    op.execute(NAMES)
    op.execute("DROP SEQUENCE port_mac_number")
