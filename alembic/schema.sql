column alarm.alarm_actions text[] NOT NULL
column alarm.created_at timestamp with time zone NOT NULL
column alarm.description text NOT NULL
column alarm.enabled boolean NOT NULL
column alarm.evaluated_at timestamp with time zone
column alarm.evaluation_interval_s integer
column alarm.id uuid NOT NULL
column alarm.insufficient_data_actions text[] NOT NULL
column alarm.last_value double precision
column alarm.name text NOT NULL
column alarm.next_evaluation_at timestamp with time zone NOT NULL
column alarm.ok_actions text[] NOT NULL
column alarm.project_id text NOT NULL
column alarm.repeat_actions boolean NOT NULL
column alarm.rule jsonb NOT NULL
column alarm.severity text NOT NULL
column alarm.state text NOT NULL
column alarm.state_at timestamp with time zone NOT NULL
column alarm.state_reason text NOT NULL
column alarm.state_reason_data jsonb NOT NULL
column alarm.time_constraints jsonb NOT NULL
column alarm.type text NOT NULL
column alarm.updated_at timestamp with time zone NOT NULL
column alarm.user_id text
column alarm_history.alarm_id uuid NOT NULL
column alarm_history.at timestamp with time zone NOT NULL
column alarm_history.detail jsonb NOT NULL
column alarm_history.id uuid NOT NULL
column alarm_history.project_id text NOT NULL
column alarm_history.severity text NOT NULL
column alarm_history.type text NOT NULL
column alarm_history.user_id text
column alarm_quota.alarms_max integer NOT NULL
column alarm_quota.project_id text NOT NULL
column alembic_version.version_num character varying(32) NOT NULL
column archive_policy.aggregation_methods text[] NOT NULL
column archive_policy.back_window integer NOT NULL DEFAULT 0
column archive_policy.name text NOT NULL
column archive_policy_granularity.archive_policy_name text NOT NULL
column archive_policy_granularity.granularity_us bigint NOT NULL
column archive_policy_granularity.points bigint NOT NULL
column archive_policy_rule.archive_policy_name text NOT NULL
column archive_policy_rule.metric_pattern text NOT NULL
column archive_policy_rule.name text NOT NULL
column archived_sample.adopted boolean NOT NULL
column archived_sample.boot_epoch bigint NOT NULL
column archived_sample.is_evidence boolean NOT NULL
column archived_sample.metric_key bigint NOT NULL
column archived_sample.observed_at timestamp with time zone NOT NULL
column archived_sample.value double precision NOT NULL
column archived_sample.written_xid xid8 NOT NULL
column billing_account.currency text NOT NULL
column billing_account.issuer_name text NOT NULL
column billing_account.project_id text NOT NULL
column billing_account.rounding text NOT NULL
column billing_account.series text NOT NULL
column billing_account.tax_rate numeric(7,6) NOT NULL
column billing_account.time_zone text NOT NULL
column billing_account.updated_at timestamp with time zone NOT NULL
column billing_account_plan.currency text NOT NULL
column billing_account_plan.effective_from timestamp with time zone NOT NULL
column billing_account_plan.plan_id uuid NOT NULL
column billing_account_plan.project_id text NOT NULL
column billing_audit.action text NOT NULL
column billing_audit.actor text NOT NULL
column billing_audit.at timestamp with time zone NOT NULL
column billing_audit.detail text NOT NULL
column billing_audit.id uuid NOT NULL
column billing_audit.project_id text
column billing_audit.reason text NOT NULL
column billing_audit.request_id text NOT NULL
column billing_audit.subject text NOT NULL
column console_output.answered_at timestamp with time zone
column console_output.instance_id uuid NOT NULL
column console_output.output text NOT NULL DEFAULT ''::text
column console_output.requested_at timestamp with time zone NOT NULL
column dead_letter.body bytea NOT NULL
column dead_letter.body_bytes bigint NOT NULL
column dead_letter.digest bytea NOT NULL
column dead_letter.event_type text
column dead_letter.exchange text NOT NULL
column dead_letter.first_seen_at timestamp with time zone NOT NULL
column dead_letter.id uuid NOT NULL
column dead_letter.last_seen_at timestamp with time zone NOT NULL
column dead_letter.message_id text
column dead_letter.reason text NOT NULL
column dead_letter.routing_key text NOT NULL
column dead_letter.settled_at timestamp with time zone
column dead_letter.state text NOT NULL DEFAULT 'waiting'::text
column dead_letter.times_seen integer NOT NULL DEFAULT 1
column delivery.alarm_id uuid
column delivery.attempts integer NOT NULL DEFAULT 0
column delivery.attempts_max integer NOT NULL
column delivery.body text NOT NULL
column delivery.created_at timestamp with time zone NOT NULL
column delivery.event_id uuid NOT NULL
column delivery.finished_at timestamp with time zone
column delivery.id uuid NOT NULL
column delivery.lease_owner text
column delivery.lease_until timestamp with time zone
column delivery.next_attempt_at timestamp with time zone NOT NULL
column delivery.project_id text NOT NULL
column delivery.state text NOT NULL
column delivery.url text NOT NULL
column delivery_attempt.answer text
column delivery_attempt.attempt integer NOT NULL
column delivery_attempt.delivery_id uuid NOT NULL
column delivery_attempt.error text
column delivery_attempt.finished_at timestamp with time zone
column delivery_attempt.latency_ms integer
column delivery_attempt.outcome text
column delivery_attempt.started_at timestamp with time zone NOT NULL
column delivery_attempt.status_code integer
column dirty_mark.first_ats timestamp with time zone[] NOT NULL
column dirty_mark.id bigint NOT NULL IDENTITY
column dirty_mark.last_ats timestamp with time zone[] NOT NULL
column dirty_mark.marked_at timestamp with time zone NOT NULL DEFAULT now()
column dirty_mark.metric_keys bigint[] NOT NULL
column dirty_mark.shard smallint NOT NULL
column event.attributes json
column event.content_digest bigint NOT NULL
column event.data json
column event.event_id text NOT NULL
column event.id uuid NOT NULL
column event.is_binary boolean NOT NULL DEFAULT false
column event.may_lower boolean NOT NULL
column event.observed_at timestamp with time zone NOT NULL
column event.place integer NOT NULL
column event.project_id text NOT NULL
column event.received_at timestamp with time zone NOT NULL
column event.sent_by text NOT NULL
column event.source text NOT NULL
column event.subject text
column event.type text NOT NULL
column event.written_xid xid8 NOT NULL DEFAULT pg_current_xact_id()
column event_meter.aggregation text NOT NULL
column event_meter.created_at timestamp with time zone NOT NULL
column event_meter.created_by text NOT NULL
column event_meter.deleted_at timestamp with time zone
column event_meter.description text NOT NULL DEFAULT ''::text
column event_meter.event_type text NOT NULL
column event_meter.group_by jsonb NOT NULL DEFAULT '{}'::jsonb
column event_meter.id uuid NOT NULL
column event_meter.name text NOT NULL
column event_meter.past_counted bigint NOT NULL DEFAULT 0
column event_meter.past_id uuid
column event_meter.past_place integer
column event_meter.past_received_at timestamp with time zone
column event_meter.past_skipped bigint NOT NULL DEFAULT 0
column event_meter.past_until timestamp with time zone
column event_meter.project_id text
column event_meter.unit text NOT NULL
column event_meter.value_path text
column event_refusal.content text
column event_refusal.event_id text
column event_refusal.field text
column event_refusal.id uuid NOT NULL
column event_refusal.outcome text NOT NULL
column event_refusal.place integer NOT NULL
column event_refusal.project_id text NOT NULL
column event_refusal.reason text NOT NULL
column event_refusal.received_at timestamp with time zone NOT NULL
column event_refusal.sent_by text NOT NULL
column event_refusal.source text
column event_refusal.type text
column flavor.created_at timestamp with time zone NOT NULL
column flavor.description text
column flavor.disk_gib integer NOT NULL
column flavor.extra_specs jsonb NOT NULL DEFAULT '{}'::jsonb
column flavor.id text NOT NULL
column flavor.is_public boolean NOT NULL
column flavor.name text NOT NULL
column flavor.ram_mib integer NOT NULL
column flavor.vcpus integer NOT NULL
column free_subnet.cidr cidr NOT NULL
column heard_notification.event_type text NOT NULL
column heard_notification.heard_at timestamp with time zone NOT NULL
column heard_notification.message_id text NOT NULL
column host.architecture text NOT NULL
column host.availability_zone text NOT NULL DEFAULT 'nova'::text
column host.cpu_allocation_ratio double precision NOT NULL
column host.cpu_model text NOT NULL
column host.disk_gib integer NOT NULL
column host.hypervisor_uri text NOT NULL
column host.hypervisor_version text NOT NULL
column host.id uuid NOT NULL
column host.name text NOT NULL
column host.observed_at timestamp with time zone
column host.ram_allocation_ratio double precision NOT NULL
column host.ram_mib integer NOT NULL
column host.registered_at timestamp with time zone NOT NULL
column host.seen_at timestamp with time zone NOT NULL
column host.session bigint NOT NULL
column host.stopping_session bigint
column host.vcpus integer NOT NULL
column host.virt_type text NOT NULL
column identity_domain.description text NOT NULL DEFAULT ''::text
column identity_domain.enabled boolean NOT NULL DEFAULT true
column identity_domain.id text NOT NULL
column identity_domain.name text NOT NULL
column image.container_format text NOT NULL
column image.created_at timestamp with time zone NOT NULL
column image.disk_format text NOT NULL
column image.file_format text NOT NULL
column image.file_path text NOT NULL
column image.id uuid NOT NULL
column image.is_hidden boolean NOT NULL
column image.kernel_command_line text NOT NULL DEFAULT ''::text
column image.kernel_id uuid
column image.min_disk_gib integer NOT NULL
column image.min_ram_mib integer NOT NULL
column image.name text NOT NULL
column image.project_id text NOT NULL
column image.properties jsonb NOT NULL DEFAULT '{}'::jsonb
column image.ramdisk_id uuid
column image.sha256 text NOT NULL
column image.size_bytes bigint NOT NULL
column image.updated_at timestamp with time zone NOT NULL
column image.virtual_size_bytes bigint
column image.visibility text NOT NULL
column instance.availability_zone text NOT NULL
column instance.boot_epoch bigint NOT NULL DEFAULT 0
column instance.created_at timestamp with time zone NOT NULL
column instance.deleted_at timestamp with time zone
column instance.description text
column instance.desired text NOT NULL
column instance.disk_gib integer NOT NULL
column instance.extra_specs jsonb NOT NULL
column instance.failures integer NOT NULL DEFAULT 0
column instance.fault_at timestamp with time zone
column instance.fault_code integer
column instance.fault_details text
column instance.fault_message text
column instance.flavor_id text NOT NULL
column instance.flavor_name text NOT NULL
column instance.generation bigint NOT NULL DEFAULT 1
column instance.host_id uuid NOT NULL
column instance.hostname text NOT NULL
column instance.id uuid NOT NULL
column instance.image_id uuid NOT NULL
column instance.is_interrupted boolean NOT NULL DEFAULT false
column instance.is_reboot_hard boolean NOT NULL DEFAULT false
column instance.key_name text
column instance.launched_at timestamp with time zone
column instance.metadata jsonb NOT NULL
column instance.name text NOT NULL
column instance.power_state text NOT NULL
column instance.project_id text NOT NULL
column instance.public_key text
column instance.ram_mib integer NOT NULL
column instance.reboot_from_epoch bigint
column instance.reservation_id text NOT NULL
column instance.retry_at timestamp with time zone
column instance.state_at timestamp with time zone NOT NULL
column instance.tags text[] NOT NULL DEFAULT '{}'::text[]
column instance.updated_at timestamp with time zone NOT NULL
column instance.user_data bytea
column instance.user_id text NOT NULL
column instance.vcpus integer NOT NULL
column instance.vm_state text NOT NULL
column instance_action.action text NOT NULL
column instance_action.instance_id uuid NOT NULL
column instance_action.message text
column instance_action.project_id text NOT NULL
column instance_action.request_id text NOT NULL
column instance_action.started_at timestamp with time zone NOT NULL
column instance_action.user_id text NOT NULL
column invoice.chain_digest text
column invoice.created_at timestamp with time zone NOT NULL
column invoice.currency text NOT NULL
column invoice.digest text NOT NULL
column invoice.document text NOT NULL
column invoice.finalized_at timestamp with time zone
column invoice.id uuid NOT NULL
column invoice.issuer_name text NOT NULL
column invoice.kind text NOT NULL
column invoice.number bigint
column invoice.period_end timestamp with time zone NOT NULL
column invoice.period_start timestamp with time zone NOT NULL
column invoice.previous_chain text
column invoice.project_id text NOT NULL
column invoice.rated_until timestamp with time zone NOT NULL
column invoice.revision integer NOT NULL
column invoice.rounding text NOT NULL
column invoice.series text NOT NULL
column invoice.snapshot text NOT NULL
column invoice.subtotal numeric(38,12) NOT NULL
column invoice.tax_rate numeric(7,6) NOT NULL
column invoice.tax_total numeric(38,12) NOT NULL
column invoice.time_zone text NOT NULL
column invoice.total numeric(38,12) NOT NULL
column invoice.version integer NOT NULL
column invoice_event.actor text NOT NULL
column invoice_event.at timestamp with time zone NOT NULL
column invoice_event.id uuid NOT NULL
column invoice_event.invoice_id uuid NOT NULL
column invoice_event.kind text NOT NULL
column invoice_event.reason text NOT NULL
column invoice_event.request_id text NOT NULL
column invoice_line.adjusts_invoice text
column invoice_line.adjusts_invoice_id uuid
column invoice_line.adjusts_line integer
column invoice_line.amount numeric(38,12) NOT NULL
column invoice_line.amount_unrounded numeric(38,12) NOT NULL
column invoice_line.base_quantity numeric(38,12) NOT NULL
column invoice_line.base_unit text NOT NULL
column invoice_line.charge_count integer NOT NULL
column invoice_line.ended_at timestamp with time zone NOT NULL
column invoice_line.flavor_name text NOT NULL
column invoice_line.invoice_id uuid NOT NULL
column invoice_line.meter text NOT NULL
column invoice_line.number integer NOT NULL
column invoice_line.per_base numeric(38,12) NOT NULL
column invoice_line.price_version_id uuid NOT NULL
column invoice_line.price_version_number integer NOT NULL
column invoice_line.resource_id uuid NOT NULL
column invoice_line.resource_name text NOT NULL
column invoice_line.started_at timestamp with time zone NOT NULL
column invoice_line.state text NOT NULL
column invoice_line.tax_rate numeric(7,6) NOT NULL
column invoice_line.unit text NOT NULL
column invoice_line.unit_price numeric(38,24) NOT NULL
column invoice_line.usage_digest text NOT NULL
column invoice_series.last_chain text NOT NULL
column invoice_series.last_number bigint NOT NULL
column invoice_series.series text NOT NULL
column invoice_tax.base numeric(38,12) NOT NULL
column invoice_tax.invoice_id uuid NOT NULL
column invoice_tax.tax numeric(38,12) NOT NULL
column invoice_tax.tax_rate numeric(7,6) NOT NULL
column keypair.created_at timestamp with time zone NOT NULL
column keypair.fingerprint text NOT NULL
column keypair.name text NOT NULL
column keypair.public_key text NOT NULL
column keypair.user_id text NOT NULL
column late_sample.adopted boolean NOT NULL
column late_sample.boot_epoch bigint NOT NULL
column late_sample.id bigint NOT NULL IDENTITY
column late_sample.is_overwrite boolean NOT NULL
column late_sample.metric_key bigint NOT NULL
column late_sample.observed_at timestamp with time zone NOT NULL
column late_sample.received_at timestamp with time zone NOT NULL DEFAULT now()
column late_sample.value double precision NOT NULL
column late_sample.written_xid xid8 NOT NULL DEFAULT pg_current_xact_id()
column lifecycle_event.disk_gib integer NOT NULL
column lifecycle_event.event_id uuid NOT NULL
column lifecycle_event.flavor_id text NOT NULL
column lifecycle_event.flavor_name text NOT NULL
column lifecycle_event.host text
column lifecycle_event.image_id text
column lifecycle_event.instance_id uuid NOT NULL
column lifecycle_event.kind text NOT NULL
column lifecycle_event.metadata jsonb NOT NULL DEFAULT '{}'::jsonb
column lifecycle_event.name text NOT NULL
column lifecycle_event.observed_at timestamp with time zone NOT NULL
column lifecycle_event.project_id text NOT NULL
column lifecycle_event.ram_mib integer NOT NULL
column lifecycle_event.state text NOT NULL
column lifecycle_event.user_id text NOT NULL DEFAULT ''::text
column lifecycle_event.vcpus integer NOT NULL
column lifecycle_event.written_xid xid8 NOT NULL DEFAULT pg_current_xact_id()
column measure.adopted boolean NOT NULL DEFAULT false
column measure.boot_epoch bigint NOT NULL DEFAULT 0
column measure.metric_key bigint NOT NULL
column measure.observed_at timestamp with time zone NOT NULL
column measure.value double precision NOT NULL
column measure.written_xid xid8 NOT NULL DEFAULT pg_current_xact_id()
column metric.archive_policy_name text NOT NULL
column metric.created_at timestamp with time zone NOT NULL DEFAULT now()
column metric.created_by_project_id text NOT NULL DEFAULT ''::text
column metric.created_by_user_id text NOT NULL DEFAULT ''::text
column metric.id uuid NOT NULL
column metric.key bigint NOT NULL IDENTITY
column metric.meter_type text NOT NULL DEFAULT 'gauge'::text
column metric.name text
column metric.resource_id uuid
column metric.status text NOT NULL DEFAULT 'active'::text
column metric.unit text
column network.created_at timestamp with time zone NOT NULL
column network.id uuid NOT NULL
column network.is_shared boolean NOT NULL
column network.mtu integer NOT NULL
column network.name text NOT NULL
column network.project_id text NOT NULL
column outbox_event.attempts integer NOT NULL DEFAULT 0
column outbox_event.created_at timestamp with time zone NOT NULL DEFAULT now()
column outbox_event.handled_at timestamp with time zone
column outbox_event.id uuid NOT NULL
column outbox_event.key text NOT NULL
column outbox_event.last_error text
column outbox_event.next_attempt_at timestamp with time zone NOT NULL DEFAULT now()
column outbox_event.payload jsonb NOT NULL
column outbox_event.topic text NOT NULL
column poll.interval_us bigint NOT NULL
column poll.is_spooled boolean NOT NULL
column poll.observed_at timestamp with time zone NOT NULL
column poll.received_at timestamp with time zone NOT NULL DEFAULT clock_timestamp()
column poll.repeated bigint NOT NULL DEFAULT 0
column poll.samples bigint NOT NULL
column poll.source text NOT NULL
column port.created_at timestamp with time zone NOT NULL
column port.id uuid NOT NULL
column port.instance_id uuid NOT NULL
column port.ip_address inet NOT NULL
column port.mac_address text NOT NULL
column port.network_id uuid NOT NULL
column port.position integer NOT NULL
column port.project_id text NOT NULL
column port.subnet_id uuid NOT NULL
column port_security_group.port_id uuid NOT NULL
column port_security_group.security_group_id uuid NOT NULL
column price_plan.created_at timestamp with time zone NOT NULL
column price_plan.currency text NOT NULL
column price_plan.id uuid NOT NULL
column price_plan.is_default boolean NOT NULL DEFAULT false
column price_plan.name text NOT NULL
column price_version.created_at timestamp with time zone NOT NULL
column price_version.effective_from timestamp with time zone NOT NULL
column price_version.id uuid NOT NULL
column price_version.number integer NOT NULL
column price_version.plan_id uuid NOT NULL
column price_version.prices text NOT NULL
column project.created_at timestamp with time zone NOT NULL
column project.description text NOT NULL DEFAULT ''::text
column project.domain_id text NOT NULL
column project.enabled boolean NOT NULL DEFAULT true
column project.id text NOT NULL
column project.name text NOT NULL
column project_quota.cores integer
column project_quota.instances integer
column project_quota.key_pairs integer
column project_quota.metadata_items integer
column project_quota.project_id text NOT NULL
column project_quota.ram_mib integer
column resource.attributes jsonb NOT NULL DEFAULT '{}'::jsonb
column resource.creator text NOT NULL DEFAULT ''::text
column resource.deleted_at timestamp with time zone
column resource.ended_at timestamp with time zone
column resource.id uuid NOT NULL
column resource.original_resource_id text NOT NULL
column resource.project_id text NOT NULL DEFAULT ''::text
column resource.resource_type text NOT NULL
column resource.revision_start timestamp with time zone NOT NULL
column resource.started_at timestamp with time zone NOT NULL
column resource.user_id text NOT NULL DEFAULT ''::text
column resource_event.event_id uuid NOT NULL
column resource_event.grade text NOT NULL DEFAULT ''::text
column resource_event.is_end boolean NOT NULL
column resource_event.kind text NOT NULL
column resource_event.meter text NOT NULL
column resource_event.name text NOT NULL DEFAULT ''::text
column resource_event.observed_at timestamp with time zone NOT NULL
column resource_event.project_id text NOT NULL
column resource_event.resource_id uuid NOT NULL
column resource_event.resource_type text NOT NULL
column resource_event.size numeric NOT NULL
column resource_event.unit text NOT NULL
column resource_event.written_xid xid8 NOT NULL DEFAULT pg_current_xact_id()
column resource_revision.attributes jsonb NOT NULL
column resource_revision.creator text NOT NULL
column resource_revision.ended_at timestamp with time zone
column resource_revision.id uuid NOT NULL
column resource_revision.original_resource_id text NOT NULL
column resource_revision.project_id text NOT NULL
column resource_revision.resource_type text NOT NULL
column resource_revision.revision bigint NOT NULL IDENTITY
column resource_revision.revision_end timestamp with time zone NOT NULL
column resource_revision.revision_start timestamp with time zone NOT NULL
column resource_revision.started_at timestamp with time zone NOT NULL
column resource_revision.user_id text NOT NULL
column resource_type.attributes jsonb NOT NULL DEFAULT '{}'::jsonb
column resource_type.name text NOT NULL
column resource_type.state text NOT NULL DEFAULT 'active'::text
column retention.archived_key bigint NOT NULL DEFAULT 0
column retention.archived_until timestamp with time zone NOT NULL DEFAULT '1970-01-01 00:00:00+00'::timestamp with time zone
column retention.archiving_until timestamp with time zone NOT NULL DEFAULT '1970-01-01 00:00:00+00'::timestamp with time zone
column retention.barrier_at timestamp with time zone
column retention.dropped_until timestamp with time zone NOT NULL DEFAULT '1970-01-01 00:00:00+00'::timestamp with time zone
column retention.is_only boolean NOT NULL DEFAULT true
column retention.next_run_at timestamp with time zone NOT NULL DEFAULT '1970-01-01 00:00:00+00'::timestamp with time zone
column retention.sealed_until timestamp with time zone NOT NULL DEFAULT '1970-01-01 00:00:00+00'::timestamp with time zone
column role.id text NOT NULL
column role.name text NOT NULL
column role_assignment.project_id text
column role_assignment.role_id text NOT NULL
column role_assignment.user_id text NOT NULL
column rollup.bucket timestamp with time zone NOT NULL
column rollup.count bigint NOT NULL
column rollup.deviation_sq double precision NOT NULL
column rollup.first double precision NOT NULL
column rollup.granularity_us bigint NOT NULL
column rollup.increase_count bigint NOT NULL
column rollup.increase_deviation_sq double precision
column rollup.increase_elapsed_s double precision
column rollup.increase_first double precision
column rollup.increase_last double precision
column rollup.increase_max double precision
column rollup.increase_min double precision
column rollup.increase_sum double precision
column rollup.last double precision NOT NULL
column rollup.max double precision NOT NULL
column rollup.metric_key bigint NOT NULL
column rollup.min double precision NOT NULL
column rollup.sum double precision NOT NULL
column scaling_activity.alarm_id uuid
column scaling_activity.at timestamp with time zone NOT NULL
column scaling_activity.cause text NOT NULL
column scaling_activity.decision text NOT NULL
column scaling_activity.group_id uuid NOT NULL
column scaling_activity.id uuid NOT NULL
column scaling_activity.policy_id uuid
column scaling_activity.project_id text NOT NULL
column scaling_activity.reason text NOT NULL
column scaling_activity.size_after integer NOT NULL
column scaling_activity.size_before integer NOT NULL
column scaling_group.converge_at timestamp with time zone
column scaling_group.cooldown_s integer NOT NULL
column scaling_group.cooldown_until timestamp with time zone
column scaling_group.created_at timestamp with time zone NOT NULL
column scaling_group.failures integer NOT NULL DEFAULT 0
column scaling_group.id uuid NOT NULL
column scaling_group.launch jsonb NOT NULL
column scaling_group.launched_count integer NOT NULL DEFAULT 0
column scaling_group.name text NOT NULL
column scaling_group.project_id text NOT NULL
column scaling_group.retry_at timestamp with time zone
column scaling_group.size_desired integer NOT NULL
column scaling_group.size_max integer NOT NULL
column scaling_group.size_min integer NOT NULL
column scaling_group.state text NOT NULL
column scaling_group.updated_at timestamp with time zone NOT NULL
column scaling_group.user_id text
column scaling_group.victim_order text NOT NULL
column scaling_member.group_id uuid NOT NULL
column scaling_member.instance_id uuid NOT NULL
column scaling_member.joined_at timestamp with time zone NOT NULL
column scaling_member.left_at timestamp with time zone
column scaling_policy.adjustment integer NOT NULL
column scaling_policy.adjustment_type text NOT NULL
column scaling_policy.cooldown_s integer
column scaling_policy.cooldown_until timestamp with time zone
column scaling_policy.created_at timestamp with time zone NOT NULL
column scaling_policy.group_id uuid NOT NULL
column scaling_policy.id uuid NOT NULL
column scaling_policy.min_adjustment_step integer
column scaling_policy.name text NOT NULL
column sealed_sample.adopted boolean
column sealed_sample.boot_epoch bigint
column sealed_sample.metric_key bigint
column sealed_sample.observed_at timestamp with time zone
column sealed_sample.value double precision
column sealed_sample.written_xid xid8
column security_group.created_at timestamp with time zone NOT NULL
column security_group.description text NOT NULL
column security_group.id uuid NOT NULL
column security_group.name text NOT NULL
column security_group.project_id text NOT NULL
column security_group_rule.created_at timestamp with time zone NOT NULL
column security_group_rule.direction text NOT NULL
column security_group_rule.ethertype text NOT NULL
column security_group_rule.id uuid NOT NULL
column security_group_rule.port_range_max integer
column security_group_rule.port_range_min integer
column security_group_rule.protocol text
column security_group_rule.remote_group_id uuid
column security_group_rule.remote_ip_prefix cidr
column security_group_rule.security_group_id uuid NOT NULL
column subnet.cidr cidr NOT NULL
column subnet.created_at timestamp with time zone NOT NULL
column subnet.gateway_ip inet NOT NULL
column subnet.id uuid NOT NULL
column subnet.name text NOT NULL
column subnet.network_id uuid NOT NULL
column subnet.pool_end inet NOT NULL
column subnet.pool_start inet NOT NULL
column superseded.adopted boolean NOT NULL
column superseded.boot_epoch bigint NOT NULL
column superseded.metric_key bigint NOT NULL
column superseded.observed_at timestamp with time zone NOT NULL
column superseded.superseded_xid xid8 NOT NULL
column superseded.value double precision NOT NULL
column superseded.written_xid xid8 NOT NULL
column token.audit_id text NOT NULL
column token.expires_at timestamp with time zone NOT NULL
column token.hash bytea NOT NULL
column token.is_system boolean NOT NULL DEFAULT false
column token.issued_at timestamp with time zone NOT NULL
column token.methods text[] NOT NULL
column token.project_id text
column token.user_id text NOT NULL
column user_account.created_at timestamp with time zone NOT NULL
column user_account.default_project_id text
column user_account.description text NOT NULL DEFAULT ''::text
column user_account.domain_id text NOT NULL
column user_account.email text
column user_account.enabled boolean NOT NULL DEFAULT true
column user_account.id text NOT NULL
column user_account.name text NOT NULL
column user_account.password_hash text
column webhook_secret.previous_secret bytea
column webhook_secret.previous_until timestamp with time zone
column webhook_secret.project_id text NOT NULL
column webhook_secret.secret bytea NOT NULL
constraint alarm alarm_evaluation_interval_s_check CHECK (((evaluation_interval_s >= 1) AND (evaluation_interval_s <= 86400)))
constraint alarm alarm_last_value_check CHECK ((last_value <> ALL (ARRAY['NaN'::double precision, 'Infinity'::double precision, '-Infinity'::double precision])))
constraint alarm alarm_name_check CHECK (((length(name) >= 1) AND (length(name) <= 255)))
constraint alarm alarm_pkey PRIMARY KEY (id)
constraint alarm alarm_project_id_check CHECK ((project_id <> ''::text))
constraint alarm alarm_rule_check CHECK ((jsonb_typeof(rule) = 'object'::text))
constraint alarm alarm_severity_check CHECK ((severity = ANY (ARRAY['low'::text, 'moderate'::text, 'critical'::text])))
constraint alarm alarm_state_check CHECK ((state = ANY (ARRAY['ok'::text, 'alarm'::text, 'insufficient data'::text])))
constraint alarm alarm_time_constraints_check CHECK ((jsonb_typeof(time_constraints) = 'array'::text))
constraint alarm alarm_type_check CHECK ((type = ANY (ARRAY['gnocchi_resources_threshold'::text, 'gnocchi_aggregation_by_metrics_threshold'::text, 'gnocchi_aggregation_by_resources_threshold'::text])))
constraint alarm_history alarm_history_pkey PRIMARY KEY (id)
constraint alarm_history alarm_history_severity_check CHECK ((severity = ANY (ARRAY['low'::text, 'moderate'::text, 'critical'::text])))
constraint alarm_history alarm_history_type_check CHECK ((type = ANY (ARRAY['creation'::text, 'rule change'::text, 'state transition'::text, 'deletion'::text])))
constraint alarm_quota alarm_quota_alarms_max_check CHECK ((alarms_max >= '-1'::integer))
constraint alarm_quota alarm_quota_pkey PRIMARY KEY (project_id)
constraint alembic_version alembic_version_pkc PRIMARY KEY (version_num)
constraint archive_policy archive_policy_aggregation_methods_check CHECK ((cardinality(aggregation_methods) > 0))
constraint archive_policy archive_policy_back_window_check CHECK ((back_window >= 0))
constraint archive_policy archive_policy_name_check CHECK (((name <> ''::text) AND (length(name) <= 255)))
constraint archive_policy archive_policy_pkey PRIMARY KEY (name)
constraint archive_policy_granularity archive_policy_granularity_archive_policy_name_fkey FOREIGN KEY (archive_policy_name) REFERENCES archive_policy(name) ON DELETE CASCADE
constraint archive_policy_granularity archive_policy_granularity_granularity_us_check CHECK ((granularity_us > 0))
constraint archive_policy_granularity archive_policy_granularity_pkey PRIMARY KEY (archive_policy_name, granularity_us)
constraint archive_policy_granularity archive_policy_granularity_points_check CHECK ((points > 0))
constraint archive_policy_rule archive_policy_rule_archive_policy_name_fkey FOREIGN KEY (archive_policy_name) REFERENCES archive_policy(name)
constraint archive_policy_rule archive_policy_rule_metric_pattern_check CHECK ((metric_pattern <> ''::text))
constraint archive_policy_rule archive_policy_rule_name_check CHECK (((name <> ''::text) AND (length(name) <= 255)))
constraint archive_policy_rule archive_policy_rule_pkey PRIMARY KEY (name)
constraint archived_sample archived_sample_pkey PRIMARY KEY (metric_key, observed_at, boot_epoch)
constraint billing_account billing_account_currency_check CHECK ((currency ~ '^[A-Z]{3}$'::text))
constraint billing_account billing_account_pkey PRIMARY KEY (project_id)
constraint billing_account billing_account_project_id_check CHECK ((project_id <> ''::text))
constraint billing_account billing_account_project_id_currency_key UNIQUE (project_id, currency)
constraint billing_account billing_account_rounding_check CHECK ((rounding = ANY (ARRAY['floor'::text, 'half_up'::text, 'ceiling'::text])))
constraint billing_account billing_account_series_check CHECK ((series ~ '^[A-Z0-9][A-Z0-9-]{0,31}$'::text))
constraint billing_account billing_account_tax_rate_check CHECK (((tax_rate >= (0)::numeric) AND (tax_rate < (1)::numeric)))
constraint billing_account billing_account_time_zone_check CHECK ((time_zone <> ''::text))
constraint billing_account_plan billing_account_plan_pkey PRIMARY KEY (project_id, effective_from)
constraint billing_account_plan billing_account_plan_plan_id_currency_fkey FOREIGN KEY (plan_id, currency) REFERENCES price_plan(id, currency)
constraint billing_account_plan billing_account_plan_project_id_currency_fkey FOREIGN KEY (project_id, currency) REFERENCES billing_account(project_id, currency)
constraint billing_audit billing_audit_action_check CHECK ((action <> ''::text))
constraint billing_audit billing_audit_actor_check CHECK ((actor <> ''::text))
constraint billing_audit billing_audit_detail_check CHECK ((detail IS JSON OBJECT))
constraint billing_audit billing_audit_pkey PRIMARY KEY (id)
constraint billing_audit billing_audit_reason_check CHECK ((reason <> ''::text))
constraint console_output console_output_instance_id_fkey FOREIGN KEY (instance_id) REFERENCES instance(id) ON DELETE CASCADE
constraint console_output console_output_output_check CHECK ((length(output) <= 262144))
constraint console_output console_output_pkey PRIMARY KEY (instance_id)
constraint dead_letter dead_letter_check CHECK ((body_bytes >= length(body)))
constraint dead_letter dead_letter_check1 CHECK (((state = 'waiting'::text) = (settled_at IS NULL)))
constraint dead_letter dead_letter_check2 CHECK ((last_seen_at >= first_seen_at))
constraint dead_letter dead_letter_digest_check CHECK ((length(digest) = 32))
constraint dead_letter dead_letter_pkey PRIMARY KEY (id)
constraint dead_letter dead_letter_reason_check CHECK ((reason <> ''::text))
constraint dead_letter dead_letter_state_check CHECK ((state = ANY (ARRAY['waiting'::text, 'replayed'::text, 'discarded'::text])))
constraint dead_letter dead_letter_times_seen_check CHECK ((times_seen > 0))
constraint delivery delivery_attempts_check CHECK ((attempts >= 0))
constraint delivery delivery_attempts_max_check CHECK ((attempts_max > 0))
constraint delivery delivery_check CHECK ((attempts <= attempts_max))
constraint delivery delivery_check1 CHECK (((lease_owner IS NULL) = (lease_until IS NULL)))
constraint delivery delivery_check2 CHECK (((state = 'pending'::text) = (finished_at IS NULL)))
constraint delivery delivery_event_id_url_key UNIQUE (event_id, url)
constraint delivery delivery_pkey PRIMARY KEY (id)
constraint delivery delivery_state_check CHECK ((state = ANY (ARRAY['pending'::text, 'delivered'::text, 'failed'::text])))
constraint delivery_attempt delivery_attempt_attempt_check CHECK ((attempt > 0))
constraint delivery_attempt delivery_attempt_check CHECK (((outcome IS NULL) = (finished_at IS NULL)))
constraint delivery_attempt delivery_attempt_delivery_id_fkey FOREIGN KEY (delivery_id) REFERENCES delivery(id) ON DELETE CASCADE
constraint delivery_attempt delivery_attempt_latency_ms_check CHECK ((latency_ms >= 0))
constraint delivery_attempt delivery_attempt_outcome_check CHECK ((outcome = ANY (ARRAY['delivered'::text, 'rejected'::text, 'unreachable'::text, 'refused'::text, 'abandoned'::text])))
constraint delivery_attempt delivery_attempt_pkey PRIMARY KEY (delivery_id, attempt)
constraint dirty_mark dirty_mark_check CHECK ((cardinality(first_ats) = cardinality(metric_keys)))
constraint dirty_mark dirty_mark_check1 CHECK ((cardinality(last_ats) = cardinality(metric_keys)))
constraint dirty_mark dirty_mark_metric_keys_check CHECK ((cardinality(metric_keys) > 0))
constraint dirty_mark dirty_mark_pkey PRIMARY KEY (id)
constraint dirty_mark dirty_mark_shard_check CHECK ((shard >= 0))
constraint event event_attributes_check CHECK ((json_typeof(attributes) = 'object'::text))
constraint event event_check CHECK (((NOT is_binary) OR (json_typeof(data) = 'string'::text)))
constraint event event_event_id_check CHECK ((event_id <> ''::text))
constraint event event_observed_at_check CHECK ((observed_at >= '1970-01-01 00:00:00+00'::timestamp with time zone))
constraint event event_pkey PRIMARY KEY (id)
constraint event event_place_check CHECK ((place >= 0))
constraint event event_project_id_check CHECK ((project_id <> ''::text))
constraint event event_source_check CHECK ((source <> ''::text))
constraint event event_subject_check CHECK ((subject <> ''::text))
constraint event event_type_check CHECK ((type <> ''::text))
constraint event_meter event_meter_aggregation_check CHECK ((aggregation = ANY (ARRAY['sum'::text, 'count'::text, 'max'::text, 'last'::text])))
constraint event_meter event_meter_check CHECK (((aggregation = 'count'::text) = (value_path IS NULL)))
constraint event_meter event_meter_event_type_check CHECK ((event_type <> ''::text))
constraint event_meter event_meter_group_by_check CHECK ((jsonb_typeof(group_by) = 'object'::text))
constraint event_meter event_meter_name_check CHECK (((name <> ''::text) AND (length(name) <= 100)))
constraint event_meter event_meter_past_counted_check CHECK ((past_counted >= 0))
constraint event_meter event_meter_past_skipped_check CHECK ((past_skipped >= 0))
constraint event_meter event_meter_pkey PRIMARY KEY (id)
constraint event_meter event_meter_project_id_check CHECK ((project_id <> ''::text))
constraint event_meter event_meter_project_id_name_key UNIQUE NULLS NOT DISTINCT (project_id, name)
constraint event_meter event_meter_unit_check CHECK ((length(unit) <= 31))
constraint event_refusal event_refusal_outcome_check CHECK ((outcome = ANY (ARRAY['duplicate'::text, 'rejected'::text])))
constraint event_refusal event_refusal_pkey PRIMARY KEY (id)
constraint event_refusal event_refusal_place_check CHECK ((place >= 0))
constraint event_refusal event_refusal_project_id_check CHECK ((project_id <> ''::text))
constraint event_refusal event_refusal_reason_check CHECK ((reason <> ''::text))
constraint flavor flavor_disk_gib_check CHECK ((disk_gib >= 0))
constraint flavor flavor_extra_specs_check CHECK ((jsonb_typeof(extra_specs) = 'object'::text))
constraint flavor flavor_id_check CHECK (((id <> ''::text) AND (length(id) <= 255)))
constraint flavor flavor_name_check CHECK (((name <> ''::text) AND (length(name) <= 255)))
constraint flavor flavor_name_key UNIQUE (name)
constraint flavor flavor_pkey PRIMARY KEY (id)
constraint flavor flavor_ram_mib_check CHECK ((ram_mib > 0))
constraint flavor flavor_vcpus_check CHECK ((vcpus > 0))
constraint free_subnet free_subnet_cidr_check CHECK (((family((cidr)::inet) = 4) AND ((masklen((cidr)::inet) >= 8) AND (masklen((cidr)::inet) <= 29))))
constraint free_subnet free_subnet_pkey PRIMARY KEY (cidr)
constraint heard_notification heard_notification_message_id_check CHECK (((message_id <> ''::text) AND (length(message_id) <= 255)))
constraint heard_notification heard_notification_pkey PRIMARY KEY (message_id)
constraint host host_check CHECK ((stopping_session <= session))
constraint host host_cpu_allocation_ratio_check CHECK ((cpu_allocation_ratio > (0)::double precision))
constraint host host_disk_gib_check CHECK ((disk_gib >= 0))
constraint host host_name_check CHECK ((name <> ''::text))
constraint host host_name_key UNIQUE (name)
constraint host host_pkey PRIMARY KEY (id)
constraint host host_ram_allocation_ratio_check CHECK ((ram_allocation_ratio > (0)::double precision))
constraint host host_ram_mib_check CHECK ((ram_mib > 0))
constraint host host_session_check CHECK ((session > 0))
constraint host host_vcpus_check CHECK ((vcpus > 0))
constraint identity_domain identity_domain_name_check CHECK (((name <> ''::text) AND (length(name) <= 64)))
constraint identity_domain identity_domain_name_key UNIQUE (name)
constraint identity_domain identity_domain_pkey PRIMARY KEY (id)
constraint image image_container_format_check CHECK ((container_format = ANY (ARRAY['bare'::text, 'ami'::text, 'aki'::text, 'ari'::text])))
constraint image image_disk_format_check CHECK ((disk_format = ANY (ARRAY['qcow2'::text, 'raw'::text, 'ami'::text, 'aki'::text, 'ari'::text])))
constraint image image_file_format_check CHECK ((file_format = ANY (ARRAY['qcow2'::text, 'raw'::text])))
constraint image image_file_path_check CHECK (((file_path <> ''::text) AND (file_path !~~ '/%'::text) AND (file_path !~~ '%..%'::text)))
constraint image image_kernel_id_fkey FOREIGN KEY (kernel_id) REFERENCES image(id)
constraint image image_min_disk_gib_check CHECK ((min_disk_gib >= 0))
constraint image image_min_ram_mib_check CHECK ((min_ram_mib >= 0))
constraint image image_pkey PRIMARY KEY (id)
constraint image image_properties_check CHECK ((jsonb_typeof(properties) = 'object'::text))
constraint image image_ramdisk_id_fkey FOREIGN KEY (ramdisk_id) REFERENCES image(id)
constraint image image_sha256_check CHECK ((sha256 ~ '^[0-9a-f]{64}$'::text))
constraint image image_sha256_name_kernel_command_line_key UNIQUE (sha256, name, kernel_command_line)
constraint image image_size_bytes_check CHECK ((size_bytes >= 0))
constraint image image_virtual_size_bytes_check CHECK ((virtual_size_bytes >= 0))
constraint image image_visibility_check CHECK ((visibility = ANY (ARRAY['public'::text, 'private'::text])))
constraint instance instance_boot_epoch_check CHECK ((boot_epoch >= 0))
constraint instance instance_check CHECK (((vm_state = 'deleted'::text) = (deleted_at IS NOT NULL)))
constraint instance instance_check1 CHECK (((vm_state <> 'deleted'::text) OR (desired = 'deleted'::text)))
constraint instance instance_check2 CHECK (((vm_state <> 'active'::text) OR (launched_at IS NOT NULL)))
constraint instance instance_check3 CHECK (((fault_message IS NULL) = (fault_at IS NULL)))
constraint instance instance_desired_check CHECK ((desired = ANY (ARRAY['active'::text, 'stopped'::text, 'deleted'::text])))
constraint instance instance_disk_gib_check CHECK ((disk_gib >= 0))
constraint instance instance_failures_check CHECK ((failures >= 0))
constraint instance instance_generation_check CHECK ((generation > 0))
constraint instance instance_host_id_fkey FOREIGN KEY (host_id) REFERENCES host(id)
constraint instance instance_hostname_check CHECK ((hostname ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'::text))
constraint instance instance_image_id_fkey FOREIGN KEY (image_id) REFERENCES image(id)
constraint instance instance_metadata_check CHECK ((jsonb_typeof(metadata) = 'object'::text))
constraint instance instance_name_check CHECK (((length(name) >= 1) AND (length(name) <= 255)))
constraint instance instance_pkey PRIMARY KEY (id)
constraint instance instance_power_state_check CHECK ((power_state = ANY (ARRAY['unknown'::text, 'running'::text, 'paused'::text, 'shutoff'::text, 'crashed'::text])))
constraint instance instance_project_id_check CHECK ((project_id <> ''::text))
constraint instance instance_ram_mib_check CHECK ((ram_mib > 0))
constraint instance instance_user_data_check CHECK ((length(user_data) <= 65535))
constraint instance instance_vcpus_check CHECK ((vcpus > 0))
constraint instance instance_vm_state_check CHECK ((vm_state = ANY (ARRAY['building'::text, 'active'::text, 'stopped'::text, 'error'::text, 'deleted'::text])))
constraint instance_action instance_action_instance_id_fkey FOREIGN KEY (instance_id) REFERENCES instance(id) ON DELETE CASCADE
constraint instance_action instance_action_pkey PRIMARY KEY (instance_id, request_id)
constraint invoice invoice_chain_digest_check CHECK ((chain_digest ~ '^[0-9a-f]{64}$'::text))
constraint invoice invoice_check CHECK ((total = (subtotal + tax_total)))
constraint invoice invoice_check1 CHECK ((digest = encode(sha256(convert_to(document, 'UTF8'::name)), 'hex'::text)))
constraint invoice invoice_check2 CHECK ((period_start < period_end))
constraint invoice invoice_check3 CHECK (((rated_until >= period_start) AND (rated_until <= period_end)))
constraint invoice invoice_check4 CHECK ((num_nulls(number, finalized_at, previous_chain, chain_digest) = ANY (ARRAY[0, 4])))
constraint invoice invoice_check5 CHECK (((number IS NULL) OR (rated_until = period_end)))
constraint invoice invoice_currency_check CHECK ((currency ~ '^[A-Z]{3}$'::text))
constraint invoice invoice_document_check CHECK ((document IS JSON OBJECT))
constraint invoice invoice_kind_check CHECK ((kind = ANY (ARRAY['invoice'::text, 'adjustment'::text, 'credit_note'::text])))
constraint invoice invoice_number_check CHECK ((number > 0))
constraint invoice invoice_periods_do_not_overlap EXCLUDE USING gist (project_id WITH =, kind WITH =, version WITH =, tstzrange(period_start, period_end) WITH &&) WHERE ((number IS NOT NULL))
constraint invoice invoice_pkey PRIMARY KEY (id)
constraint invoice invoice_previous_chain_check CHECK ((previous_chain ~ '^[0-9a-f]{64}$'::text))
constraint invoice invoice_project_id_check CHECK ((project_id <> ''::text))
constraint invoice invoice_project_id_period_start_period_end_kind_version_key UNIQUE (project_id, period_start, period_end, kind, version)
constraint invoice invoice_revision_check CHECK ((revision > 0))
constraint invoice invoice_rounding_check CHECK ((rounding = ANY (ARRAY['floor'::text, 'half_up'::text, 'ceiling'::text])))
constraint invoice invoice_series_number_key UNIQUE (series, number)
constraint invoice invoice_tax_rate_check CHECK (((tax_rate >= (0)::numeric) AND (tax_rate < (1)::numeric)))
constraint invoice invoice_version_check CHECK ((version > 0))
constraint invoice_event invoice_event_actor_check CHECK ((actor <> ''::text))
constraint invoice_event invoice_event_invoice_id_fkey FOREIGN KEY (invoice_id) REFERENCES invoice(id)
constraint invoice_event invoice_event_kind_check CHECK ((kind = ANY (ARRAY['drafted'::text, 'redrafted'::text, 'finalized'::text, 'sent'::text, 'paid'::text, 'void'::text])))
constraint invoice_event invoice_event_pkey PRIMARY KEY (id)
constraint invoice_event invoice_event_reason_check CHECK ((reason <> ''::text))
constraint invoice_line invoice_line_adjusts_another CHECK ((adjusts_invoice_id <> invoice_id))
constraint invoice_line invoice_line_adjusts_invoice_id_fkey FOREIGN KEY (adjusts_invoice_id) REFERENCES invoice(id)
constraint invoice_line invoice_line_adjusts_line_check CHECK ((adjusts_line > 0))
constraint invoice_line invoice_line_charge_count_check CHECK (((charge_count > 0) OR ((charge_count = 0) AND (adjusts_invoice_id IS NOT NULL))))
constraint invoice_line invoice_line_check CHECK ((started_at < ended_at))
constraint invoice_line invoice_line_invoice_id_fkey FOREIGN KEY (invoice_id) REFERENCES invoice(id)
constraint invoice_line invoice_line_is_quantity_times_price CHECK ((abs(((base_quantity * unit_price) - (amount_unrounded * per_base))) <= (per_base * 0.000000000001)))
constraint invoice_line invoice_line_meter_check CHECK ((meter <> ''::text))
constraint invoice_line invoice_line_names_what_it_adjusts CHECK ((((adjusts_invoice_id IS NULL) = (adjusts_invoice IS NULL)) AND ((adjusts_invoice_id IS NOT NULL) OR (adjusts_line IS NULL))))
constraint invoice_line invoice_line_number_check CHECK ((number > 0))
constraint invoice_line invoice_line_per_base_check CHECK ((per_base > (0)::numeric))
constraint invoice_line invoice_line_pkey PRIMARY KEY (invoice_id, number)
constraint invoice_line invoice_line_price_version_id_fkey FOREIGN KEY (price_version_id) REFERENCES price_version(id)
constraint invoice_line invoice_line_tax_rate_check CHECK (((tax_rate >= (0)::numeric) AND (tax_rate < (1)::numeric)))
constraint invoice_line invoice_line_time_is_not_negative CHECK (((base_quantity >= (0)::numeric) OR (adjusts_invoice_id IS NOT NULL) OR (meter <> ALL (ARRAY['instance'::text, 'disk'::text]))))
constraint invoice_line invoice_line_unit_price_check CHECK ((unit_price >= (0)::numeric))
constraint invoice_line invoice_line_usage_digest_check CHECK ((usage_digest ~ '^[0-9a-f]{64}$'::text))
constraint invoice_series invoice_series_last_chain_check CHECK ((last_chain ~ '^[0-9a-f]{64}$'::text))
constraint invoice_series invoice_series_last_number_check CHECK ((last_number >= 0))
constraint invoice_series invoice_series_pkey PRIMARY KEY (series)
constraint invoice_series invoice_series_series_check CHECK ((series ~ '^[A-Z0-9][A-Z0-9-]{0,31}$'::text))
constraint invoice_tax invoice_tax_invoice_id_fkey FOREIGN KEY (invoice_id) REFERENCES invoice(id)
constraint invoice_tax invoice_tax_pkey PRIMARY KEY (invoice_id, tax_rate)
constraint invoice_tax invoice_tax_tax_rate_check CHECK (((tax_rate >= (0)::numeric) AND (tax_rate < (1)::numeric)))
constraint keypair keypair_name_check CHECK (((name <> ''::text) AND (length(name) <= 255)))
constraint keypair keypair_pkey PRIMARY KEY (user_id, name)
constraint keypair keypair_public_key_check CHECK ((length(public_key) <= 16384))
constraint late_sample late_sample_boot_epoch_check CHECK ((boot_epoch >= 0))
constraint late_sample late_sample_pkey PRIMARY KEY (id)
constraint late_sample late_sample_value_check CHECK (((value >= ('-100000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000'::numeric)::double precision) AND (value <= ('100000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000'::numeric)::double precision)))
constraint lifecycle_event lifecycle_event_disk_gib_check CHECK ((disk_gib >= 0))
constraint lifecycle_event lifecycle_event_pkey PRIMARY KEY (event_id)
constraint lifecycle_event lifecycle_event_ram_mib_check CHECK ((ram_mib >= 0))
constraint lifecycle_event lifecycle_event_state_check CHECK ((state = ANY (ARRAY['active'::text, 'stopped'::text, 'deleted'::text, 'error'::text, 'host_down'::text, 'paused'::text, 'suspended'::text, 'shelved'::text])))
constraint lifecycle_event lifecycle_event_vcpus_check CHECK ((vcpus >= 0))
constraint measure measure_boot_epoch_check CHECK ((boot_epoch >= 0))
constraint measure measure_pkey PRIMARY KEY (metric_key, observed_at, boot_epoch)
constraint measure measure_value_check CHECK (((value >= ('-100000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000'::numeric)::double precision) AND (value <= ('100000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000'::numeric)::double precision)))
constraint metric metric_archive_policy_name_fkey FOREIGN KEY (archive_policy_name) REFERENCES archive_policy(name)
constraint metric metric_check CHECK (((resource_id IS NULL) OR (name IS NOT NULL)))
constraint metric metric_id_key UNIQUE (id)
constraint metric metric_meter_type_check CHECK ((meter_type = ANY (ARRAY['gauge'::text, 'delta'::text, 'cumulative'::text])))
constraint metric metric_name_check CHECK (((name <> ''::text) AND (length(name) <= 255)))
constraint metric metric_pkey PRIMARY KEY (key)
constraint metric metric_resource_id_fkey FOREIGN KEY (resource_id) REFERENCES resource(id)
constraint metric metric_status_check CHECK ((status = ANY (ARRAY['active'::text, 'delete'::text])))
constraint metric metric_unit_check CHECK ((length(unit) <= 31))
constraint network network_mtu_check CHECK (((mtu >= 576) AND (mtu <= 65535)))
constraint network network_name_check CHECK ((name <> ''::text))
constraint network network_pkey PRIMARY KEY (id)
constraint outbox_event outbox_event_attempts_check CHECK ((attempts >= 0))
constraint outbox_event outbox_event_pkey PRIMARY KEY (id)
constraint outbox_event outbox_event_topic_check CHECK ((topic <> ''::text))
constraint poll poll_check CHECK (((repeated >= 0) AND (repeated <= samples)))
constraint poll poll_interval_us_check CHECK ((interval_us > 0))
constraint poll poll_pkey PRIMARY KEY (source, observed_at)
constraint poll poll_samples_check CHECK ((samples > 0))
constraint poll poll_source_check CHECK ((source <> ''::text))
constraint port port_instance_id_fkey FOREIGN KEY (instance_id) REFERENCES instance(id) ON DELETE CASCADE
constraint port port_instance_id_position_key UNIQUE (instance_id, "position")
constraint port port_mac_address_check CHECK ((mac_address ~ '^([0-9a-f]{2}:){5}[0-9a-f]{2}$'::text))
constraint port port_mac_address_key UNIQUE (mac_address)
constraint port port_network_id_fkey FOREIGN KEY (network_id) REFERENCES network(id)
constraint port port_pkey PRIMARY KEY (id)
constraint port port_position_check CHECK (("position" >= 0))
constraint port port_subnet_id_fkey FOREIGN KEY (subnet_id) REFERENCES subnet(id)
constraint port port_subnet_id_ip_address_key UNIQUE (subnet_id, ip_address)
constraint port_security_group port_security_group_pkey PRIMARY KEY (port_id, security_group_id)
constraint port_security_group port_security_group_port_id_fkey FOREIGN KEY (port_id) REFERENCES port(id) ON DELETE CASCADE
constraint port_security_group port_security_group_security_group_id_fkey FOREIGN KEY (security_group_id) REFERENCES security_group(id)
constraint price_plan price_plan_currency_check CHECK ((currency ~ '^[A-Z]{3}$'::text))
constraint price_plan price_plan_id_currency_key UNIQUE (id, currency)
constraint price_plan price_plan_name_check CHECK (((length(name) >= 1) AND (length(name) <= 255)))
constraint price_plan price_plan_name_key UNIQUE (name)
constraint price_plan price_plan_pkey PRIMARY KEY (id)
constraint price_version price_version_number_check CHECK ((number > 0))
constraint price_version price_version_pkey PRIMARY KEY (id)
constraint price_version price_version_plan_id_effective_from_key UNIQUE (plan_id, effective_from)
constraint price_version price_version_plan_id_fkey FOREIGN KEY (plan_id) REFERENCES price_plan(id)
constraint price_version price_version_plan_id_number_key UNIQUE (plan_id, number)
constraint price_version price_version_prices_check CHECK ((prices IS JSON ARRAY))
constraint project project_description_check CHECK ((length(description) <= 4096))
constraint project project_domain_id_fkey FOREIGN KEY (domain_id) REFERENCES identity_domain(id)
constraint project project_domain_id_name_key UNIQUE (domain_id, name)
constraint project project_id_check CHECK (((id <> ''::text) AND (length(id) <= 64)))
constraint project project_name_check CHECK (((name <> ''::text) AND (length(name) <= 64)))
constraint project project_pkey PRIMARY KEY (id)
constraint project_quota project_quota_cores_check CHECK ((cores >= '-1'::integer))
constraint project_quota project_quota_instances_check CHECK ((instances >= '-1'::integer))
constraint project_quota project_quota_key_pairs_check CHECK ((key_pairs >= '-1'::integer))
constraint project_quota project_quota_metadata_items_check CHECK ((metadata_items >= '-1'::integer))
constraint project_quota project_quota_pkey PRIMARY KEY (project_id)
constraint project_quota project_quota_ram_mib_check CHECK ((ram_mib >= '-1'::integer))
constraint resource resource_attributes_check CHECK ((jsonb_typeof(attributes) = 'object'::text))
constraint resource resource_check CHECK (((ended_at IS NULL) OR (ended_at >= started_at)))
constraint resource resource_pkey PRIMARY KEY (id)
constraint resource resource_resource_type_fkey FOREIGN KEY (resource_type) REFERENCES resource_type(name)
constraint resource_event resource_event_check CHECK (((NOT is_end) OR (size = (0)::numeric)))
constraint resource_event resource_event_meter_check CHECK (((meter <> ''::text) AND (length(meter) <= 200)))
constraint resource_event resource_event_pkey PRIMARY KEY (event_id)
constraint resource_event resource_event_size_check CHECK (((size >= (0)::numeric) AND (size < '1000000000000000000000000'::numeric)))
constraint resource_event resource_event_unit_check CHECK ((length(unit) <= 25))
constraint resource_revision resource_revision_check CHECK ((revision_end >= revision_start))
constraint resource_revision resource_revision_id_fkey FOREIGN KEY (id) REFERENCES resource(id)
constraint resource_revision resource_revision_pkey PRIMARY KEY (revision)
constraint resource_type resource_type_attributes_check CHECK ((jsonb_typeof(attributes) = 'object'::text))
constraint resource_type resource_type_name_check CHECK (((name <> ''::text) AND (length(name) <= 255)))
constraint resource_type resource_type_pkey PRIMARY KEY (name)
constraint retention retention_archived_key_check CHECK ((archived_key >= 0))
constraint retention retention_check CHECK ((archiving_until <= sealed_until))
constraint retention retention_check1 CHECK ((archived_until <= archiving_until))
constraint retention retention_check2 CHECK ((dropped_until <= archived_until))
constraint retention retention_is_only_check CHECK (is_only)
constraint retention retention_pkey PRIMARY KEY (is_only)
constraint role role_name_check CHECK (((name <> ''::text) AND (length(name) <= 64)))
constraint role role_name_key UNIQUE (name)
constraint role role_pkey PRIMARY KEY (id)
constraint role_assignment role_assignment_project_id_fkey FOREIGN KEY (project_id) REFERENCES project(id) ON DELETE CASCADE
constraint role_assignment role_assignment_role_id_fkey FOREIGN KEY (role_id) REFERENCES role(id) ON DELETE CASCADE
constraint role_assignment role_assignment_user_id_fkey FOREIGN KEY (user_id) REFERENCES user_account(id) ON DELETE CASCADE
constraint role_assignment role_assignment_user_id_project_id_role_id_key UNIQUE NULLS NOT DISTINCT (user_id, project_id, role_id)
constraint rollup rollup_count_check CHECK ((count > 0))
constraint rollup rollup_granularity_us_check CHECK ((granularity_us > 0))
constraint rollup rollup_increase_count_check CHECK ((increase_count >= 0))
constraint rollup rollup_pkey PRIMARY KEY (metric_key, granularity_us, bucket)
constraint scaling_activity scaling_activity_check CHECK (((decision = 'resize'::text) OR (size_before = size_after)))
constraint scaling_activity scaling_activity_decision_check CHECK ((decision = ANY (ARRAY['resize'::text, 'refusal'::text, 'replacement'::text, 'launch_failure'::text])))
constraint scaling_activity scaling_activity_pkey PRIMARY KEY (id)
constraint scaling_activity scaling_activity_reason_check CHECK ((reason <> ''::text))
constraint scaling_activity scaling_activity_size_after_check CHECK ((size_after >= 0))
constraint scaling_activity scaling_activity_size_before_check CHECK ((size_before >= 0))
constraint scaling_group scaling_group_cooldown_s_check CHECK (((cooldown_s >= 0) AND (cooldown_s <= 86400)))
constraint scaling_group scaling_group_failures_check CHECK ((failures >= 0))
constraint scaling_group scaling_group_launch_check CHECK ((jsonb_typeof(launch) = 'object'::text))
constraint scaling_group scaling_group_launched_count_check CHECK ((launched_count >= 0))
constraint scaling_group scaling_group_name_check CHECK (((length(name) >= 1) AND (length(name) <= 255)))
constraint scaling_group scaling_group_pkey PRIMARY KEY (id)
constraint scaling_group scaling_group_project_id_check CHECK ((project_id <> ''::text))
constraint scaling_group scaling_group_size_bounds CHECK (((0 <= size_min) AND (size_min <= size_desired) AND (size_desired <= size_max) AND (size_max <= 1000)))
constraint scaling_group scaling_group_state_check CHECK ((state = ANY (ARRAY['active'::text, 'deleting'::text])))
constraint scaling_group scaling_group_victim_order_check CHECK ((victim_order = ANY (ARRAY['newest'::text, 'oldest'::text])))
constraint scaling_member scaling_member_group_id_fkey FOREIGN KEY (group_id) REFERENCES scaling_group(id) ON DELETE CASCADE
constraint scaling_member scaling_member_pkey PRIMARY KEY (instance_id)
constraint scaling_policy scaling_policy_adjustment_check CHECK (((adjustment >= '-100000'::integer) AND (adjustment <= 100000)))
constraint scaling_policy scaling_policy_adjustment_type_check CHECK ((adjustment_type = ANY (ARRAY['change_in_capacity'::text, 'exact_capacity'::text, 'percent_change_in_capacity'::text])))
constraint scaling_policy scaling_policy_cooldown_s_check CHECK (((cooldown_s >= 0) AND (cooldown_s <= 86400)))
constraint scaling_policy scaling_policy_group_id_fkey FOREIGN KEY (group_id) REFERENCES scaling_group(id) ON DELETE CASCADE
constraint scaling_policy scaling_policy_min_adjustment_step_check CHECK (((min_adjustment_step >= 1) AND (min_adjustment_step <= 1000)))
constraint scaling_policy scaling_policy_name_check CHECK (((length(name) >= 1) AND (length(name) <= 255)))
constraint scaling_policy scaling_policy_pkey PRIMARY KEY (id)
constraint security_group security_group_name_check CHECK ((name <> ''::text))
constraint security_group security_group_pkey PRIMARY KEY (id)
constraint security_group security_group_project_id_name_key UNIQUE (project_id, name)
constraint security_group_rule security_group_rule_check CHECK (((port_range_max >= port_range_min) AND (port_range_max <= 65535)))
constraint security_group_rule security_group_rule_check1 CHECK (((remote_ip_prefix IS NULL) OR (remote_group_id IS NULL)))
constraint security_group_rule security_group_rule_direction_check CHECK ((direction = ANY (ARRAY['ingress'::text, 'egress'::text])))
constraint security_group_rule security_group_rule_ethertype_check CHECK ((ethertype = ANY (ARRAY['IPv4'::text, 'IPv6'::text])))
constraint security_group_rule security_group_rule_pkey PRIMARY KEY (id)
constraint security_group_rule security_group_rule_port_range_min_check CHECK (((port_range_min >= 0) AND (port_range_min <= 65535)))
constraint security_group_rule security_group_rule_remote_group_id_fkey FOREIGN KEY (remote_group_id) REFERENCES security_group(id)
constraint security_group_rule security_group_rule_security_group_id_fkey FOREIGN KEY (security_group_id) REFERENCES security_group(id) ON DELETE CASCADE
constraint subnet subnet_check CHECK ((gateway_ip << (cidr)::inet))
constraint subnet subnet_check1 CHECK ((pool_start << (cidr)::inet))
constraint subnet subnet_check2 CHECK ((pool_end << (cidr)::inet))
constraint subnet subnet_check3 CHECK (((pool_start <= pool_end) AND (NOT ((gateway_ip >= pool_start) AND (gateway_ip <= pool_end)))))
constraint subnet subnet_cidr_check CHECK (((family((cidr)::inet) = 4) AND ((masklen((cidr)::inet) >= 8) AND (masklen((cidr)::inet) <= 29))))
constraint subnet subnet_cidr_excl EXCLUDE USING gist (cidr inet_ops WITH &&)
constraint subnet subnet_cidr_key UNIQUE (cidr)
constraint subnet subnet_network_id_fkey FOREIGN KEY (network_id) REFERENCES network(id) ON DELETE CASCADE
constraint subnet subnet_network_id_key UNIQUE (network_id)
constraint subnet subnet_pkey PRIMARY KEY (id)
constraint superseded superseded_pkey PRIMARY KEY (metric_key, observed_at, boot_epoch, superseded_xid)
constraint token token_check CHECK ((issued_at < expires_at))
constraint token token_check1 CHECK ((NOT (is_system AND (project_id IS NOT NULL))))
constraint token token_hash_check CHECK ((length(hash) = 32))
constraint token token_methods_check CHECK ((cardinality(methods) > 0))
constraint token token_pkey PRIMARY KEY (hash)
constraint token token_project_id_fkey FOREIGN KEY (project_id) REFERENCES project(id) ON DELETE CASCADE
constraint token token_user_id_fkey FOREIGN KEY (user_id) REFERENCES user_account(id) ON DELETE CASCADE
constraint user_account user_account_default_project_id_fkey FOREIGN KEY (default_project_id) REFERENCES project(id) ON DELETE SET NULL
constraint user_account user_account_description_check CHECK ((length(description) <= 4096))
constraint user_account user_account_domain_id_fkey FOREIGN KEY (domain_id) REFERENCES identity_domain(id)
constraint user_account user_account_domain_id_name_key UNIQUE (domain_id, name)
constraint user_account user_account_email_check CHECK ((length(email) <= 255))
constraint user_account user_account_id_check CHECK (((id <> ''::text) AND (length(id) <= 64)))
constraint user_account user_account_name_check CHECK (((name <> ''::text) AND (length(name) <= 255)))
constraint user_account user_account_password_hash_check CHECK ((password_hash ~~ '$argon2id$%'::text))
constraint user_account user_account_pkey PRIMARY KEY (id)
constraint webhook_secret webhook_secret_check CHECK (((previous_secret IS NULL) = (previous_until IS NULL)))
constraint webhook_secret webhook_secret_pkey PRIMARY KEY (project_id)
constraint webhook_secret webhook_secret_previous_secret_check CHECK (((length(previous_secret) >= 24) AND (length(previous_secret) <= 64)))
constraint webhook_secret webhook_secret_secret_check CHECK (((length(secret) >= 24) AND (length(secret) <= 64)))
function CREATE OR REPLACE FUNCTION public.billing_guard_invoice() RETURNS trigger LANGUAGE plpgsql AS $function$ DECLARE billed numeric; taxed numeric; tax numeric; BEGIN IF TG_OP = 'INSERT' THEN IF NEW.number IS NOT NULL THEN RAISE EXCEPTION 'an invoice is born a draft' USING ERRCODE = 'integrity_constraint_violation'; END IF; RETURN NEW; END IF; IF OLD.number IS NOT NULL THEN RAISE EXCEPTION 'invoice % is final: % is refused', OLD.id, TG_OP USING ERRCODE = 'integrity_constraint_violation', HINT = 'correct it by an adjustment or a credit note'; END IF; IF TG_OP = 'DELETE' THEN RETURN OLD; END IF; IF NEW.number IS NOT NULL THEN SELECT coalesce(sum(l.amount), 0) INTO billed FROM invoice_line l WHERE l.invoice_id = NEW.id; SELECT coalesce(sum(t.base), 0), coalesce(sum(t.tax), 0) INTO taxed, tax FROM invoice_tax t WHERE t.invoice_id = NEW.id; IF billed <> NEW.subtotal OR taxed <> NEW.subtotal OR tax <> NEW.tax_total THEN RAISE EXCEPTION 'invoice % does not foot and cannot be final', NEW.id USING ERRCODE = 'integrity_constraint_violation'; END IF; END IF; RETURN NEW; END $function$
function CREATE OR REPLACE FUNCTION public.billing_guard_invoice_part() RETURNS trigger LANGUAGE plpgsql AS $function$ DECLARE owners uuid[] := CASE TG_OP WHEN 'INSERT' THEN ARRAY[NEW.invoice_id] WHEN 'DELETE' THEN ARRAY[OLD.invoice_id] ELSE ARRAY[OLD.invoice_id, NEW.invoice_id] END; BEGIN IF EXISTS (SELECT 1 FROM invoice WHERE id = ANY (owners) AND number IS NOT NULL) THEN RAISE EXCEPTION 'the invoice of this % is final: % is refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'integrity_constraint_violation', HINT = 'correct it by an adjustment or a credit note'; END IF; IF TG_OP = 'DELETE' THEN RETURN OLD; END IF; RETURN NEW; END $function$
function CREATE OR REPLACE FUNCTION public.billing_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $function$ BEGIN RAISE EXCEPTION '% keeps what was written for ever: % is refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'integrity_constraint_violation', HINT = 'write a later row instead'; END $function$
function CREATE OR REPLACE FUNCTION public.keep_superseded_measure() RETURNS trigger LANGUAGE plpgsql AS $function$ BEGIN NEW.written_xid := pg_current_xact_id(); IF OLD.written_xid <> NEW.written_xid THEN INSERT INTO superseded (metric_key, observed_at, boot_epoch, value, adopted, written_xid, superseded_xid) VALUES (OLD.metric_key, OLD.observed_at, OLD.boot_epoch, OLD.value, OLD.adopted, OLD.written_xid, NEW.written_xid); END IF; RETURN NEW; END $function$
index CREATE INDEX alarm_due ON public.alarm USING btree (next_evaluation_at) WHERE enabled
index CREATE INDEX alarm_history_alarm ON public.alarm_history USING btree (project_id, alarm_id, id)
index CREATE INDEX alarm_history_project ON public.alarm_history USING btree (project_id, id)
index CREATE INDEX alarm_project ON public.alarm USING btree (project_id, id)
index CREATE INDEX billing_audit_subject ON public.billing_audit USING btree (subject, id)
index CREATE INDEX dead_letter_of_state ON public.dead_letter USING btree (state, id)
index CREATE INDEX delivery_due ON public.delivery USING btree (next_attempt_at) WHERE (state = 'pending'::text)
index CREATE INDEX delivery_project ON public.delivery USING btree (project_id, id)
index CREATE INDEX dirty_mark_shard ON public.dirty_mark USING btree (shard, id)
index CREATE INDEX event_meter_name ON public.event_meter USING btree (name)
index CREATE INDEX event_meter_past ON public.event_meter USING btree (past_until) WHERE (past_until IS NOT NULL)
index CREATE INDEX event_of_project ON public.event USING btree (project_id, received_at, place)
index CREATE INDEX event_refusal_of_project ON public.event_refusal USING btree (project_id, received_at, place)
index CREATE INDEX event_refusal_received ON public.event_refusal USING btree (received_at)
index CREATE INDEX heard_notification_at ON public.heard_notification USING btree (heard_at)
index CREATE INDEX instance_deleted ON public.instance USING btree (deleted_at) WHERE (deleted_at IS NOT NULL)
index CREATE INDEX instance_host ON public.instance USING btree (host_id) WHERE (deleted_at IS NULL)
index CREATE INDEX instance_project ON public.instance USING btree (project_id, created_at, id)
index CREATE INDEX invoice_event_invoice ON public.invoice_event USING btree (invoice_id, id)
index CREATE INDEX invoice_line_adjusts ON public.invoice_line USING btree (adjusts_invoice_id) WHERE (adjusts_invoice_id IS NOT NULL)
index CREATE INDEX invoice_periods_do_not_overlap ON public.invoice USING gist (project_id, kind, version, tstzrange(period_start, period_end)) WHERE (number IS NOT NULL)
index CREATE INDEX invoice_project ON public.invoice USING btree (project_id, id)
index CREATE INDEX late_sample_overwrite ON public.late_sample USING btree (metric_key, observed_at, boot_epoch) WHERE is_overwrite
index CREATE INDEX lifecycle_event_of_instance ON public.lifecycle_event USING btree (instance_id, observed_at, event_id)
index CREATE INDEX lifecycle_event_of_project ON public.lifecycle_event USING btree (project_id, instance_id, observed_at, event_id)
index CREATE INDEX metric_creator ON public.metric USING btree (created_by_project_id)
index CREATE INDEX metric_name ON public.metric USING btree (name)
index CREATE INDEX metric_policy ON public.metric USING btree (archive_policy_name)
index CREATE INDEX metric_resource ON public.metric USING btree (resource_id)
index CREATE INDEX outbox_event_due ON public.outbox_event USING btree (id) WHERE (handled_at IS NULL)
index CREATE INDEX outbox_event_handled ON public.outbox_event USING btree (handled_at) WHERE (handled_at IS NOT NULL)
index CREATE INDEX port_network ON public.port USING btree (network_id)
index CREATE INDEX resource_attributes ON public.resource USING gin (attributes jsonb_path_ops) WITH (fastupdate=off)
index CREATE INDEX resource_creator ON public.resource USING btree (creator)
index CREATE INDEX resource_event_of_project ON public.resource_event USING btree (project_id, meter, resource_id)
index CREATE INDEX resource_event_of_resource ON public.resource_event USING btree (resource_id, meter, observed_at, event_id)
index CREATE INDEX resource_of_type ON public.resource USING btree (resource_type)
index CREATE INDEX resource_original ON public.resource USING btree (original_resource_id)
index CREATE INDEX resource_project ON public.resource USING btree (project_id, resource_type)
index CREATE INDEX resource_revision_of ON public.resource_revision USING btree (id, revision_start)
index CREATE INDEX role_assignment_project ON public.role_assignment USING btree (project_id)
index CREATE INDEX role_assignment_role ON public.role_assignment USING btree (role_id)
index CREATE INDEX scaling_activity_group ON public.scaling_activity USING btree (project_id, group_id, id)
index CREATE INDEX scaling_group_due ON public.scaling_group USING btree (converge_at) WHERE (converge_at IS NOT NULL)
index CREATE INDEX scaling_group_project ON public.scaling_group USING btree (project_id, id)
index CREATE INDEX scaling_member_group ON public.scaling_member USING btree (group_id) WHERE (left_at IS NULL)
index CREATE INDEX scaling_policy_group ON public.scaling_policy USING btree (group_id, id)
index CREATE INDEX security_group_rule_group ON public.security_group_rule USING btree (security_group_id)
index CREATE INDEX subnet_cidr_excl ON public.subnet USING gist (cidr inet_ops)
index CREATE INDEX token_expires_at ON public.token USING btree (expires_at)
index CREATE INDEX token_project ON public.token USING btree (project_id)
index CREATE INDEX token_user ON public.token USING btree (user_id)
index CREATE INDEX user_account_default_project ON public.user_account USING btree (default_project_id)
index CREATE UNIQUE INDEX alarm_history_pkey ON public.alarm_history USING btree (id)
index CREATE UNIQUE INDEX alarm_pkey ON public.alarm USING btree (id)
index CREATE UNIQUE INDEX alarm_quota_pkey ON public.alarm_quota USING btree (project_id)
index CREATE UNIQUE INDEX alembic_version_pkc ON public.alembic_version USING btree (version_num)
index CREATE UNIQUE INDEX archive_policy_granularity_pkey ON public.archive_policy_granularity USING btree (archive_policy_name, granularity_us)
index CREATE UNIQUE INDEX archive_policy_pkey ON public.archive_policy USING btree (name)
index CREATE UNIQUE INDEX archive_policy_rule_pkey ON public.archive_policy_rule USING btree (name)
index CREATE UNIQUE INDEX archived_sample_pkey ON public.archived_sample USING btree (metric_key, observed_at, boot_epoch)
index CREATE UNIQUE INDEX billing_account_pkey ON public.billing_account USING btree (project_id)
index CREATE UNIQUE INDEX billing_account_plan_pkey ON public.billing_account_plan USING btree (project_id, effective_from)
index CREATE UNIQUE INDEX billing_account_project_id_currency_key ON public.billing_account USING btree (project_id, currency)
index CREATE UNIQUE INDEX billing_audit_pkey ON public.billing_audit USING btree (id)
index CREATE UNIQUE INDEX console_output_pkey ON public.console_output USING btree (instance_id)
index CREATE UNIQUE INDEX dead_letter_pkey ON public.dead_letter USING btree (id)
index CREATE UNIQUE INDEX dead_letter_waiting ON public.dead_letter USING btree (digest) WHERE (state = 'waiting'::text)
index CREATE UNIQUE INDEX delivery_attempt_pkey ON public.delivery_attempt USING btree (delivery_id, attempt)
index CREATE UNIQUE INDEX delivery_event_id_url_key ON public.delivery USING btree (event_id, url)
index CREATE UNIQUE INDEX delivery_pkey ON public.delivery USING btree (id)
index CREATE UNIQUE INDEX dirty_mark_pkey ON public.dirty_mark USING btree (id)
index CREATE UNIQUE INDEX event_meter_pkey ON public.event_meter USING btree (id)
index CREATE UNIQUE INDEX event_meter_project_id_name_key ON public.event_meter USING btree (project_id, name) NULLS NOT DISTINCT
index CREATE UNIQUE INDEX event_pkey ON public.event USING btree (id)
index CREATE UNIQUE INDEX event_refusal_pkey ON public.event_refusal USING btree (id)
index CREATE UNIQUE INDEX flavor_name_key ON public.flavor USING btree (name)
index CREATE UNIQUE INDEX flavor_pkey ON public.flavor USING btree (id)
index CREATE UNIQUE INDEX free_subnet_pkey ON public.free_subnet USING btree (cidr)
index CREATE UNIQUE INDEX heard_notification_pkey ON public.heard_notification USING btree (message_id)
index CREATE UNIQUE INDEX host_name_key ON public.host USING btree (name)
index CREATE UNIQUE INDEX host_pkey ON public.host USING btree (id)
index CREATE UNIQUE INDEX identity_domain_name_key ON public.identity_domain USING btree (name)
index CREATE UNIQUE INDEX identity_domain_pkey ON public.identity_domain USING btree (id)
index CREATE UNIQUE INDEX image_pkey ON public.image USING btree (id)
index CREATE UNIQUE INDEX image_sha256_name_kernel_command_line_key ON public.image USING btree (sha256, name, kernel_command_line)
index CREATE UNIQUE INDEX instance_action_pkey ON public.instance_action USING btree (instance_id, request_id)
index CREATE UNIQUE INDEX instance_pkey ON public.instance USING btree (id)
index CREATE UNIQUE INDEX invoice_event_pkey ON public.invoice_event USING btree (id)
index CREATE UNIQUE INDEX invoice_line_pkey ON public.invoice_line USING btree (invoice_id, number)
index CREATE UNIQUE INDEX invoice_pkey ON public.invoice USING btree (id)
index CREATE UNIQUE INDEX invoice_project_id_period_start_period_end_kind_version_key ON public.invoice USING btree (project_id, period_start, period_end, kind, version)
index CREATE UNIQUE INDEX invoice_series_number_key ON public.invoice USING btree (series, number)
index CREATE UNIQUE INDEX invoice_series_pkey ON public.invoice_series USING btree (series)
index CREATE UNIQUE INDEX invoice_tax_pkey ON public.invoice_tax USING btree (invoice_id, tax_rate)
index CREATE UNIQUE INDEX keypair_pkey ON public.keypair USING btree (user_id, name)
index CREATE UNIQUE INDEX late_sample_identity ON public.late_sample USING btree (metric_key, observed_at, boot_epoch) WHERE (NOT is_overwrite)
index CREATE UNIQUE INDEX late_sample_pkey ON public.late_sample USING btree (id)
index CREATE UNIQUE INDEX lifecycle_event_pkey ON public.lifecycle_event USING btree (event_id)
index CREATE UNIQUE INDEX measure_pkey ON public.measure USING btree (metric_key, observed_at, boot_epoch)
index CREATE UNIQUE INDEX metric_id_key ON public.metric USING btree (id)
index CREATE UNIQUE INDEX metric_of_resource ON public.metric USING btree (resource_id, name) WHERE (status = 'active'::text)
index CREATE UNIQUE INDEX metric_pkey ON public.metric USING btree (key)
index CREATE UNIQUE INDEX network_own ON public.network USING btree (project_id) WHERE (NOT is_shared)
index CREATE UNIQUE INDEX network_pkey ON public.network USING btree (id)
index CREATE UNIQUE INDEX network_shared ON public.network USING btree (name) WHERE is_shared
index CREATE UNIQUE INDEX outbox_event_pkey ON public.outbox_event USING btree (id)
index CREATE UNIQUE INDEX poll_pkey ON public.poll USING btree (source, observed_at)
index CREATE UNIQUE INDEX port_instance_id_position_key ON public.port USING btree (instance_id, "position")
index CREATE UNIQUE INDEX port_mac_address_key ON public.port USING btree (mac_address)
index CREATE UNIQUE INDEX port_pkey ON public.port USING btree (id)
index CREATE UNIQUE INDEX port_security_group_pkey ON public.port_security_group USING btree (port_id, security_group_id)
index CREATE UNIQUE INDEX port_subnet_id_ip_address_key ON public.port USING btree (subnet_id, ip_address)
index CREATE UNIQUE INDEX price_plan_default ON public.price_plan USING btree (is_default) WHERE is_default
index CREATE UNIQUE INDEX price_plan_id_currency_key ON public.price_plan USING btree (id, currency)
index CREATE UNIQUE INDEX price_plan_name_key ON public.price_plan USING btree (name)
index CREATE UNIQUE INDEX price_plan_pkey ON public.price_plan USING btree (id)
index CREATE UNIQUE INDEX price_version_pkey ON public.price_version USING btree (id)
index CREATE UNIQUE INDEX price_version_plan_id_effective_from_key ON public.price_version USING btree (plan_id, effective_from)
index CREATE UNIQUE INDEX price_version_plan_id_number_key ON public.price_version USING btree (plan_id, number)
index CREATE UNIQUE INDEX project_domain_id_name_key ON public.project USING btree (domain_id, name)
index CREATE UNIQUE INDEX project_pkey ON public.project USING btree (id)
index CREATE UNIQUE INDEX project_quota_pkey ON public.project_quota USING btree (project_id)
index CREATE UNIQUE INDEX resource_event_pkey ON public.resource_event USING btree (event_id)
index CREATE UNIQUE INDEX resource_pkey ON public.resource USING btree (id)
index CREATE UNIQUE INDEX resource_revision_pkey ON public.resource_revision USING btree (revision)
index CREATE UNIQUE INDEX resource_type_pkey ON public.resource_type USING btree (name)
index CREATE UNIQUE INDEX retention_pkey ON public.retention USING btree (is_only)
index CREATE UNIQUE INDEX role_assignment_user_id_project_id_role_id_key ON public.role_assignment USING btree (user_id, project_id, role_id) NULLS NOT DISTINCT
index CREATE UNIQUE INDEX role_name_key ON public.role USING btree (name)
index CREATE UNIQUE INDEX role_pkey ON public.role USING btree (id)
index CREATE UNIQUE INDEX rollup_pkey ON public.rollup USING btree (metric_key, granularity_us, bucket)
index CREATE UNIQUE INDEX scaling_activity_pkey ON public.scaling_activity USING btree (id)
index CREATE UNIQUE INDEX scaling_group_pkey ON public.scaling_group USING btree (id)
index CREATE UNIQUE INDEX scaling_member_pkey ON public.scaling_member USING btree (instance_id)
index CREATE UNIQUE INDEX scaling_policy_pkey ON public.scaling_policy USING btree (id)
index CREATE UNIQUE INDEX security_group_pkey ON public.security_group USING btree (id)
index CREATE UNIQUE INDEX security_group_project_id_name_key ON public.security_group USING btree (project_id, name)
index CREATE UNIQUE INDEX security_group_rule_pkey ON public.security_group_rule USING btree (id)
index CREATE UNIQUE INDEX subnet_cidr_key ON public.subnet USING btree (cidr)
index CREATE UNIQUE INDEX subnet_network_id_key ON public.subnet USING btree (network_id)
index CREATE UNIQUE INDEX subnet_pkey ON public.subnet USING btree (id)
index CREATE UNIQUE INDEX superseded_pkey ON public.superseded USING btree (metric_key, observed_at, boot_epoch, superseded_xid)
index CREATE UNIQUE INDEX token_pkey ON public.token USING btree (hash)
index CREATE UNIQUE INDEX user_account_domain_id_name_key ON public.user_account USING btree (domain_id, name)
index CREATE UNIQUE INDEX user_account_pkey ON public.user_account USING btree (id)
index CREATE UNIQUE INDEX webhook_secret_pkey ON public.webhook_secret USING btree (project_id)
trigger CREATE TRIGGER billing_account_plan_guard BEFORE DELETE OR UPDATE ON public.billing_account_plan FOR EACH ROW EXECUTE FUNCTION billing_refuse_change()
trigger CREATE TRIGGER billing_account_plan_never_emptied BEFORE TRUNCATE ON public.billing_account_plan FOR EACH STATEMENT EXECUTE FUNCTION billing_refuse_change()
trigger CREATE TRIGGER billing_audit_guard BEFORE DELETE OR UPDATE ON public.billing_audit FOR EACH ROW EXECUTE FUNCTION billing_refuse_change()
trigger CREATE TRIGGER billing_audit_never_emptied BEFORE TRUNCATE ON public.billing_audit FOR EACH STATEMENT EXECUTE FUNCTION billing_refuse_change()
trigger CREATE TRIGGER invoice_event_guard BEFORE DELETE OR UPDATE ON public.invoice_event FOR EACH ROW EXECUTE FUNCTION billing_refuse_change()
trigger CREATE TRIGGER invoice_event_never_emptied BEFORE TRUNCATE ON public.invoice_event FOR EACH STATEMENT EXECUTE FUNCTION billing_refuse_change()
trigger CREATE TRIGGER invoice_guard BEFORE INSERT OR DELETE OR UPDATE ON public.invoice FOR EACH ROW EXECUTE FUNCTION billing_guard_invoice()
trigger CREATE TRIGGER invoice_line_guard BEFORE INSERT OR DELETE OR UPDATE ON public.invoice_line FOR EACH ROW EXECUTE FUNCTION billing_guard_invoice_part()
trigger CREATE TRIGGER invoice_line_never_emptied BEFORE TRUNCATE ON public.invoice_line FOR EACH STATEMENT EXECUTE FUNCTION billing_refuse_change()
trigger CREATE TRIGGER invoice_never_emptied BEFORE TRUNCATE ON public.invoice FOR EACH STATEMENT EXECUTE FUNCTION billing_refuse_change()
trigger CREATE TRIGGER invoice_tax_guard BEFORE INSERT OR DELETE OR UPDATE ON public.invoice_tax FOR EACH ROW EXECUTE FUNCTION billing_guard_invoice_part()
trigger CREATE TRIGGER invoice_tax_never_emptied BEFORE TRUNCATE ON public.invoice_tax FOR EACH STATEMENT EXECUTE FUNCTION billing_refuse_change()
trigger CREATE TRIGGER measure_superseded BEFORE UPDATE ON public.measure FOR EACH ROW EXECUTE FUNCTION keep_superseded_measure()
trigger CREATE TRIGGER price_version_guard BEFORE DELETE OR UPDATE ON public.price_version FOR EACH ROW EXECUTE FUNCTION billing_refuse_change()
trigger CREATE TRIGGER price_version_never_emptied BEFORE TRUNCATE ON public.price_version FOR EACH STATEMENT EXECUTE FUNCTION billing_refuse_change()
trigger CREATE TRIGGER ts_insert_blocker BEFORE INSERT ON public.measure FOR EACH ROW EXECUTE FUNCTION _timescaledb_functions.insert_blocker()
trigger CREATE TRIGGER ts_insert_blocker BEFORE INSERT ON public.poll FOR EACH ROW EXECUTE FUNCTION _timescaledb_functions.insert_blocker()
trigger CREATE TRIGGER ts_insert_blocker BEFORE INSERT ON public.rollup FOR EACH ROW EXECUTE FUNCTION _timescaledb_functions.insert_blocker()
