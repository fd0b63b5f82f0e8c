"""Resources, metrics, samples, rollups and lifecycle events."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TABLES = (
    "lifecycle_event",
    "dirty_mark",
    "rollup",
    "superseded",
    "measure",
    "metric",
    "archive_policy_rule",
    "archive_policy_granularity",
    "archive_policy",
    "resource_revision",
    "resource",
    "resource_type",
)


def upgrade() -> None:
    """Make the tables of metering."""
    make_resources()
    make_archive_policies()
    make_metrics()
    make_measures()
    make_rollups()
    make_lifecycle_events()
    add_resource_types()
    add_archive_policies()


def downgrade() -> None:
    """Drop the tables of metering."""
    for table in TABLES:
        op.execute(f"DROP TABLE {table}")
    op.execute("DROP FUNCTION keep_superseded_measure()")


def make_resources() -> None:
    """A deleted resource stays for the bills that rest on it; each change leaves its former state as a revision."""
    op.execute("""
        CREATE TABLE resource_type (
            name text PRIMARY KEY CHECK (name <> '' AND length(name) <= 255),
            attributes jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(attributes) = 'object'),
            state text NOT NULL DEFAULT 'active'
        )
    """)
    op.execute("""
        CREATE TABLE resource (
            id uuid PRIMARY KEY,
            resource_type text NOT NULL REFERENCES resource_type (name),
            original_resource_id text NOT NULL,
            creator text NOT NULL DEFAULT '',
            project_id text NOT NULL DEFAULT '',
            user_id text NOT NULL DEFAULT '',
            started_at timestamptz NOT NULL,
            ended_at timestamptz,
            revision_start timestamptz NOT NULL,
            attributes jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(attributes) = 'object'),
            deleted_at timestamptz,
            CHECK (ended_at IS NULL OR ended_at >= started_at)
        )
    """)
    op.execute("CREATE INDEX resource_project ON resource (project_id, resource_type)")
    op.execute("CREATE INDEX resource_creator ON resource (creator)")
    op.execute("CREATE INDEX resource_of_type ON resource (resource_type)")
    op.execute(
        "CREATE INDEX resource_attributes ON resource USING gin (attributes jsonb_path_ops) WITH (fastupdate = off)"
    )
    op.execute("""
        CREATE TABLE resource_revision (
            revision bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            id uuid NOT NULL REFERENCES resource (id),
            resource_type text NOT NULL,
            original_resource_id text NOT NULL,
            creator text NOT NULL,
            project_id text NOT NULL,
            user_id text NOT NULL,
            started_at timestamptz NOT NULL,
            ended_at timestamptz,
            revision_start timestamptz NOT NULL,
            revision_end timestamptz NOT NULL,
            attributes jsonb NOT NULL,
            CHECK (revision_end >= revision_start)
        )
    """)
    op.execute("CREATE INDEX resource_revision_of ON resource_revision (id, revision_start)")


def make_archive_policies() -> None:
    """Which rollups are kept of a metric, and which policy a new metric gets by its name."""
    op.execute("""
        CREATE TABLE archive_policy (
            name text PRIMARY KEY CHECK (name <> '' AND length(name) <= 255),
            back_window integer NOT NULL DEFAULT 0 CHECK (back_window >= 0),
            aggregation_methods text[] NOT NULL CHECK (cardinality(aggregation_methods) > 0)
        )
    """)
    op.execute("""
        CREATE TABLE archive_policy_granularity (
            archive_policy_name text NOT NULL REFERENCES archive_policy (name) ON DELETE CASCADE,
            granularity_us bigint NOT NULL CHECK (granularity_us > 0),
            points bigint NOT NULL CHECK (points > 0),
            PRIMARY KEY (archive_policy_name, granularity_us)
        )
    """)
    op.execute("""
        CREATE TABLE archive_policy_rule (
            name text PRIMARY KEY CHECK (name <> '' AND length(name) <= 255),
            metric_pattern text NOT NULL CHECK (metric_pattern <> ''),
            archive_policy_name text NOT NULL REFERENCES archive_policy (name)
        )
    """)


def make_metrics() -> None:
    """A metric has a UUID for the world and a small key for its measures."""
    op.execute("""
        CREATE TABLE metric (
            key bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            id uuid NOT NULL UNIQUE,
            name text CHECK (name <> '' AND length(name) <= 255),
            unit text CHECK (length(unit) <= 31),
            meter_type text NOT NULL DEFAULT 'gauge' CHECK (meter_type IN ('gauge', 'delta', 'cumulative')),
            archive_policy_name text NOT NULL REFERENCES archive_policy (name),
            resource_id uuid REFERENCES resource (id),
            created_by_user_id text NOT NULL DEFAULT '',
            created_by_project_id text NOT NULL DEFAULT '',
            status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'delete')),
            created_at timestamptz NOT NULL DEFAULT now(),
            CHECK (resource_id IS NULL OR name IS NOT NULL)
        )
    """)
    op.execute("CREATE UNIQUE INDEX metric_of_resource ON metric (resource_id, name) WHERE status = 'active'")
    op.execute("CREATE INDEX metric_resource ON metric (resource_id)")
    op.execute("CREATE INDEX metric_name ON metric (name)")
    op.execute("CREATE INDEX metric_policy ON metric (archive_policy_name)")
    op.execute("CREATE INDEX metric_creator ON metric (created_by_project_id)")


def make_measures() -> None:
    """Raw samples know the transaction that wrote them; an overwritten value moves to `superseded`, whoever overwrites it."""
    op.execute("""
        CREATE TABLE measure (
            metric_key bigint NOT NULL,
            observed_at timestamptz NOT NULL,
            boot_epoch bigint NOT NULL DEFAULT 0 CHECK (boot_epoch >= 0),
            value float8 NOT NULL CHECK (value BETWEEN -1e140 AND 1e140),
            adopted boolean NOT NULL DEFAULT false,
            written_xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
            PRIMARY KEY (metric_key, observed_at, boot_epoch)
        )
    """)
    op.execute("""
        SELECT create_hypertable('measure', by_range('observed_at', INTERVAL '7 days'), create_default_indexes => false)
    """)
    op.execute("""
        CREATE TABLE superseded (
            metric_key bigint NOT NULL,
            observed_at timestamptz NOT NULL,
            boot_epoch bigint NOT NULL,
            value float8 NOT NULL,
            adopted boolean NOT NULL,
            written_xid xid8 NOT NULL,
            superseded_xid xid8 NOT NULL,
            PRIMARY KEY (metric_key, observed_at, boot_epoch, superseded_xid)
        )
    """)
    op.execute("""
        CREATE FUNCTION keep_superseded_measure() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            NEW.written_xid := pg_current_xact_id();
            IF OLD.written_xid <> NEW.written_xid THEN
                INSERT INTO superseded (metric_key, observed_at, boot_epoch, value, adopted, written_xid, superseded_xid)
                VALUES (OLD.metric_key, OLD.observed_at, OLD.boot_epoch, OLD.value, OLD.adopted,
                        OLD.written_xid, NEW.written_xid);
            END IF;
            RETURN NEW;
        END $$
    """)
    op.execute("""
        CREATE TRIGGER measure_superseded BEFORE UPDATE ON measure
        FOR EACH ROW EXECUTE FUNCTION keep_superseded_measure()
    """)


def make_rollups() -> None:
    """A rollup is recomputed from raw; a dirty mark says, per writing transaction and shard, what has to be."""
    op.execute("""
        CREATE TABLE dirty_mark (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            shard smallint NOT NULL CHECK (shard >= 0),
            metric_keys bigint[] NOT NULL CHECK (cardinality(metric_keys) > 0),
            first_ats timestamptz[] NOT NULL CHECK (cardinality(first_ats) = cardinality(metric_keys)),
            last_ats timestamptz[] NOT NULL CHECK (cardinality(last_ats) = cardinality(metric_keys)),
            marked_at timestamptz NOT NULL DEFAULT now()
        )
    """)
    op.execute("CREATE INDEX dirty_mark_shard ON dirty_mark (shard, id)")
    op.execute("""
        CREATE TABLE rollup (
            metric_key bigint NOT NULL,
            granularity_us bigint NOT NULL CHECK (granularity_us > 0),
            bucket timestamptz NOT NULL,
            count bigint NOT NULL CHECK (count > 0),
            sum float8 NOT NULL,
            min float8 NOT NULL,
            max float8 NOT NULL,
            first float8 NOT NULL,
            last float8 NOT NULL,
            deviation_sq float8 NOT NULL,
            increase_count bigint NOT NULL CHECK (increase_count >= 0),
            increase_sum float8,
            increase_min float8,
            increase_max float8,
            increase_first float8,
            increase_last float8,
            increase_deviation_sq float8,
            increase_elapsed_s float8,
            PRIMARY KEY (metric_key, granularity_us, bucket)
        )
    """)
    op.execute("""
        SELECT create_hypertable('rollup', by_range('bucket', INTERVAL '30 days'), create_default_indexes => false)
    """)


def make_lifecycle_events() -> None:
    """What happened to instances, never changed."""
    op.execute("""
        CREATE TABLE lifecycle_event (
            event_id uuid PRIMARY KEY,
            instance_id uuid NOT NULL,
            project_id text NOT NULL,
            user_id text NOT NULL DEFAULT '',
            kind text NOT NULL,
            state text NOT NULL CHECK (state IN ('active', 'stopped', 'deleted', 'error', 'host_down')),
            observed_at timestamptz NOT NULL,
            name text NOT NULL,
            flavor_id text NOT NULL,
            flavor_name text NOT NULL,
            vcpus integer NOT NULL CHECK (vcpus >= 0),
            ram_mib integer NOT NULL CHECK (ram_mib >= 0),
            disk_gib integer NOT NULL CHECK (disk_gib >= 0),
            image_id text,
            host text,
            metadata jsonb NOT NULL DEFAULT '{}',
            written_xid xid8 NOT NULL DEFAULT pg_current_xact_id()
        )
    """)
    op.execute(
        "CREATE INDEX lifecycle_event_of_project ON lifecycle_event (project_id, instance_id, observed_at, event_id)"
    )
    op.execute("CREATE INDEX lifecycle_event_of_instance ON lifecycle_event (instance_id, observed_at, event_id)")


def add_resource_types() -> None:
    """The types that Ceilometer makes in Gnocchi, with its attributes, so that its users find them here."""
    op.execute("""
        INSERT INTO resource_type (name, attributes)
        SELECT t.name, coalesce(
            (SELECT jsonb_object_agg(split_part(a, ':', 1), CASE split_part(a, ':', 2)
                WHEN 'string' THEN jsonb_build_object(
                    'type', 'string', 'required', false, 'min_length', 0, 'max_length', 255)
                ELSE jsonb_build_object('type', split_part(a, ':', 2), 'required', false) END)
             FROM unnest(t.attributes) a), '{}')
        FROM (VALUES
            ('generic', ARRAY[]::text[]),
            ('instance', ARRAY['host:string', 'image_ref:string', 'flavor_id:string', 'flavor_name:string',
                'display_name:string', 'server_group:string', 'launched_at:datetime', 'created_at:datetime',
                'deleted_at:datetime', 'vcpus:string']),
            ('instance_disk', ARRAY['name:string', 'instance_id:uuid']),
            ('instance_network_interface', ARRAY['name:string', 'instance_id:uuid']),
            ('image', ARRAY['name:string', 'container_format:string', 'disk_format:string']),
            ('volume', ARRAY['display_name:string', 'volume_type:string', 'image_id:uuid', 'instance_id:uuid']),
            ('volume_provider', ARRAY[]::text[]),
            ('volume_provider_pool', ARRAY['provider:string']),
            ('network', ARRAY[]::text[]),
            ('port', ARRAY[]::text[]),
            ('swift_account', ARRAY[]::text[]),
            ('ceph_account', ARRAY[]::text[]),
            ('identity', ARRAY[]::text[]),
            ('ipmi', ARRAY[]::text[]),
            ('stack', ARRAY[]::text[]),
            ('host', ARRAY['host_name:string']),
            ('host_disk', ARRAY['host_name:string', 'device_name:string']),
            ('host_network_interface', ARRAY['host_name:string', 'device_name:string']),
            ('nova_compute', ARRAY['host_name:string']),
            ('manila_share', ARRAY['name:string', 'host:string', 'protocol:string', 'availability_zone:string',
                'status:string']),
            ('loadbalancer', ARRAY['name:string', 'vip_address:string', 'flavor_id:string']),
            ('switch', ARRAY['controller:string']),
            ('switch_port', ARRAY['controller:string', 'switch:string', 'port_number_on_switch:string',
                'neutron_port_id:string']),
            ('switch_table', ARRAY['controller:string', 'switch:string'])
        ) AS t (name, attributes)
    """)


def add_archive_policies() -> None:
    """Gnocchi's own policies, Ceilometer's, and ours, which the rule for every metric names until the operator changes it."""
    op.execute("""
        INSERT INTO archive_policy (name, back_window, aggregation_methods) VALUES
            ('bool', 3600, '{last}'),
            ('low', 0, '{count,max,mean,min,std,sum}'),
            ('medium', 0, '{count,max,mean,min,std,sum}'),
            ('high', 0, '{count,max,mean,min,std,sum}'),
            ('ceilometer-low', 0, '{mean}'),
            ('ceilometer-low-rate', 0, '{mean,rate:mean}'),
            ('ceilometer-high', 0, '{mean}'),
            ('ceilometer-high-rate', 0, '{mean,rate:mean}'),
            ('nephoscope', 0, '{count,first,last,max,mean,min,std,sum,rate:max,rate:mean,rate:min,rate:sum}')
    """)
    op.execute("""
        INSERT INTO archive_policy_granularity (archive_policy_name, granularity_us, points)
        SELECT name, seconds * 1000000::bigint, points FROM (VALUES
            ('bool', 1, 31536000),
            ('low', 300, 8640),
            ('medium', 60, 10080), ('medium', 3600, 8760),
            ('high', 1, 3600), ('high', 60, 10080), ('high', 3600, 8760),
            ('ceilometer-low', 300, 8640), ('ceilometer-low-rate', 300, 8640),
            ('ceilometer-high', 1, 3600), ('ceilometer-high', 60, 1440), ('ceilometer-high', 3600, 8760),
            ('ceilometer-high-rate', 1, 3600), ('ceilometer-high-rate', 60, 1440), ('ceilometer-high-rate', 3600, 8760),
            ('nephoscope', 60, 10080), ('nephoscope', 3600, 8760)
        ) AS g (name, seconds, points)
    """)
    op.execute("""
        INSERT INTO archive_policy_rule (name, metric_pattern, archive_policy_name) VALUES ('default', '*', 'nephoscope')
    """)
