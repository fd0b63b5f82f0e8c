/** A made-up cloud that answers the native API's questions, for `npm run dev:mock` and for the component tests. Never part of a build. */
import type {
  Alarm,
  AlarmTransition,
  Cost,
  CpuPercent,
  Instance,
  ScalingActivity,
  ScalingGroup,
  Session,
} from "../src/api/types";

export interface Answer {
  status: number;
  body?: unknown;
}

const id = (n: number): string => `0192f000-0000-7000-8000-${String(n).padStart(12, "0")}`;
const PASSWORD = "secret";
const GROUP = id(500);
const BUCKET_S = 10;
const LAG_S = 12;

export class Story {
  private isSignedIn: boolean;
  readonly birth: number;

  constructor(
    private readonly now: () => number,
    options: { isSignedIn?: boolean; isEmpty?: boolean; isLone?: boolean } = {},
  ) {
    this.isSignedIn = options.isSignedIn ?? false;
    this.isEmpty = options.isEmpty ?? false;
    this.isLone = options.isLone ?? false;
    this.birth = now();
  }

  private readonly isEmpty: boolean;
  /** Whether the user has a role in no project. */
  private readonly isLone: boolean;

  answer(method: string, path: string, query: URLSearchParams, body: unknown): Answer {
    if (path === "/session") return this.session(method, body);
    if (!this.isSignedIn)
      return { status: 401, body: { title: "Unauthorized", status: 401, detail: "Sign in first." } };
    if (path === "/instances") return this.page(this.isEmpty ? [] : this.instances());
    if (path === "/series/cpu-percent") return { status: 200, body: this.cpu(query) };
    if (path === "/alarms") return this.page(this.isEmpty ? [] : this.alarms());
    if (/^\/alarms\/[^/]+\/history$/.test(path)) return this.page(this.history());
    if (path === "/scaling/groups") return this.page(this.isEmpty ? [] : [this.group()]);
    if (/^\/scaling\/groups\/[^/]+\/activities$/.test(path)) return this.page(this.activities());
    if (path === "/billing/cost") return { status: 200, body: this.cost() };
    return { status: 404, body: { title: "Not Found", status: 404, detail: "There is no such resource." } };
  }

  private page(items: unknown[]): Answer {
    return { status: 200, body: { items, next: null } };
  }

  private session(method: string, body: unknown): Answer {
    if (method === "DELETE") {
      this.isSignedIn = false;
      return { status: 204 };
    }
    const isRight = (body as { password?: string } | undefined)?.password === PASSWORD;
    if (method === "POST") this.isSignedIn = isRight;
    if (!this.isSignedIn) return { status: 401, body: { title: "Unauthorized", status: 401 } };
    const session: Session = {
      user: { id: "u1", name: "demo" },
      project: this.isLone ? null : { id: "p1", name: "demo" },
      roles: ["member"],
      csrf_token: "token",
    };
    return { status: 200, body: session };
  }

  private at(secondsAgo: number): string {
    return new Date(this.now() - secondsAgo * 1000).toISOString();
  }

  private isHot(): boolean {
    return this.isHotAt(this.now() / 1000);
  }

  private isHotAt(timeS: number): boolean {
    return timeS % 240 > 110;
  }

  private instances(): Instance[] {
    const flavor = { id: "f1", name: "tiny", vcpus: 1, ram_mib: 192, disk_gib: 1 };
    const make = (n: number, name: string, status: string, more: Partial<Instance> = {}): Instance => ({
      id: id(n),
      name,
      status,
      power_state: status === "ACTIVE" ? "running" : "shutdown",
      flavor,
      image_name: "busybox-6.1",
      addresses: [`10.77.0.${10 + n}`],
      host: "host-1",
      created_at: this.at(400 * n),
      launched_at: this.at(400 * n - 6),
      fault: null,
      scaling_group_id: n < 4 ? GROUP : null,
      ...more,
    });
    return [
      make(1, "web-1", "ACTIVE"),
      make(2, "web-2", "ACTIVE"),
      ...(this.isHot() ? [make(3, "web-3", "BUILD", { addresses: [], created_at: this.at(4) })] : []),
      make(4, "db-1", "ACTIVE", {
        flavor: { ...flavor, name: "small", vcpus: 2, ram_mib: 2048 },
        addresses: ["10.77.0.14", "fd00:77::14"],
      }),
      make(5, "old-batch", "SHUTOFF", { addresses: ["10.77.0.15"] }),
      make(6, "import-job", "ERROR", {
        addresses: [],
        fault: "The guest ended unexpectedly: QEMU was killed by signal 9 on host-1.",
      }),
    ];
  }

  private value(seed: number, timeS: number): number {
    const hot = this.isHotAt(timeS) ? 62 : 8;
    return Math.max(
      0,
      Math.min(100, hot + seed * 7 + 9 * Math.sin(timeS / 17 + seed) + 6 * Math.sin(timeS / 5.3 + seed * 2)),
    );
  }

  private cpu(query: URLSearchParams): CpuPercent {
    const stop = Math.floor((Date.parse(query.get("stop") ?? "") / 1000 - LAG_S) / BUCKET_S) * BUCKET_S;
    const start = Math.max(Date.parse(query.get("start") ?? "") / 1000, this.birth / 1000 - 780);
    const times: number[] = [];
    for (let time = Math.ceil(start / BUCKET_S) * BUCKET_S; time <= stop && !this.isEmpty; time += BUCKET_S)
      times.push(time);
    const isAway = (time: number) => time > this.birth / 1000 - 420 && time < this.birth / 1000 - 360;
    const known = times.filter((time) => !isAway(time));
    const iso = (time: number) => new Date(time * 1000).toISOString();
    const points = (seed: number): [string, number | null][] =>
      known.map((time) => [iso(time), this.value(seed, time)]);
    const aggregate: [string, number][] = known.map((time) => [
      iso(time),
      (this.value(1, time) + this.value(2, time)) / 2,
    ]);
    const seeds = query.get("group_id") ? [1, 2] : [4];
    const names: Record<number, string> = { 1: "web-1", 2: "web-2", 4: "db-1" };
    const series = seeds.map((seed) => ({ resource_id: id(seed), name: names[seed] ?? "", points: points(seed) }));
    return { unit: "%", granularity_s: BUCKET_S, series: this.isEmpty ? [] : series, aggregate };
  }

  private alarms(): Alarm[] {
    const common = {
      description: "",
      type: "gnocchi_aggregation_by_resources_threshold",
      rule: { metric: "cpu", query: { "=": { server_group: GROUP } }, operations: "percent" },
      state_reason_data: {},
      evaluation_interval_s: 10,
      ok_actions: [],
      alarm_actions: [],
      insufficient_data_actions: [],
      repeat_actions: false,
      evaluated_at: this.at(4),
      created_at: this.at(900),
      updated_at: this.at(900),
      severity: "critical",
      gone_actions: [],
      comparison_operator: "gt",
      granularity_s: BUCKET_S,
      evaluation_periods: 2,
      enabled: true,
    };
    const isHot = this.isHot();
    return [
      {
        ...common,
        id: id(700),
        name: "web-cpu-high",
        state: isHot ? "alarm" : "ok",
        state_reason: isHot
          ? "Transition to alarm due to 2 samples outside threshold, most recent: 78.4"
          : "Transition to ok due to 2 samples inside threshold, most recent: 21.9",
        state_at: this.at(70),
        threshold: 60,
        last_value: isHot ? 78.4 : 21.9,
      },
      {
        ...common,
        id: id(701),
        name: "db-cpu-high",
        rule: { metric: "cpu", query: { "=": { id: id(4) } }, operations: "percent" },
        severity: "low",
        gone_actions: [],
        state: "insufficient data",
        state_reason: "1 of 3 samples are there",
        state_at: this.at(900),
        threshold: 90,
        evaluation_periods: 3,
        last_value: null,
      },
    ];
  }

  private history(): AlarmTransition[] {
    return [
      {
        id: id(801),
        reason_data: {},
        at: this.at(70),
        previous: "ok",
        current: "alarm",
        reason: "2 of 2 samples above 60, most recent: 78.4",
      },
      {
        id: id(802),
        reason_data: {},
        at: this.at(310),
        previous: "insufficient data",
        current: "ok",
        reason: "2 of 2 samples inside, most recent: 12.1",
      },
    ];
  }

  private group(): ScalingGroup {
    return {
      id: GROUP,
      name: "web",
      size_min: 1,
      size_max: 4,
      size_desired: this.isHot() ? 3 : 2,
      size_current: 2,
      cooldown_s: 60,
      state: "active",
      victim_order: "newest",
      launch: {
        image_id: id(1),
        flavor_id: "f1",
        network_ids: [],
        user_data: null,
        metadata: {},
        security_groups: [],
        key_name: null,
        availability_zone: null,
      },
      failures: 0,
      retry_at: null,
      members: [],
      created_at: this.at(900),
      updated_at: this.at(900),
      cooldown_until: this.isHot() ? this.at(-35) : null,
    };
  }

  private activities(): ScalingActivity[] {
    const make = (
      n: number,
      ago: number,
      decision: "resize" | "refusal",
      before: number,
      after: number,
      reason: string,
    ) => ({
      id: id(900 + n),
      at: this.at(ago),
      decision,
      reason,
      cause: "alarm web-cpu-high",
      size_before: before,
      size_after: after,
      policy_id: id(600),
      alarm_id: id(700),
    });
    return [
      make(5, 24, "refusal", 3, 3, "The group cools down for 36 s more after its last change."),
      make(4, 70, "resize", 2, 3, "Alarm web-cpu-high: policy cpu-out adds 1."),
      make(3, 320, "resize", 3, 2, "Alarm web-cpu-low: policy cpu-in removes 1."),
      make(2, 560, "resize", 2, 3, "Alarm web-cpu-high: policy cpu-out adds 1."),
      make(1, 700, "refusal", 2, 2, "The group is at its minimum size of 2."),
    ];
  }

  private cost(): Cost {
    const line = (
      number: number,
      facts: Pick<
        Cost["lines"][number],
        "description" | "meter" | "quantity" | "unit" | "unit_price" | "amount_unrounded" | "amount"
      >,
    ) => ({
      number,
      resource_id: id(1),
      resource_name: "web-1",
      state: "active",
      flavor_name: "tiny",
      started_at: "2026-11-01T00:00:00Z",
      ended_at: "2026-11-21T00:00:00Z",
      base_quantity: "1",
      base_unit: "s",
      base_units_per_unit: "3600",
      rounding: "half_up",
      tax_rate: "0.1",
      price_version_id: id(40),
      price_version_number: 1,
      charge_count: 1,
      usage_digest: "",
      ...facts,
    });
    const nothing: Cost = {
      project_id: "p1",
      currency: "JPY",
      period: { start: "2026-10-31T15:00:00Z", end: "2026-11-30T15:00:00Z", time_zone: "Asia/Tokyo" },
      rated_until: this.at(0),
      subtotal: "0",
      tax_total: "0",
      total: "0",
      subtotal_unrounded: "0.000000000000",
      total_unrounded: "0.000000000000",
      lines: [],
      taxes: [],
      unbilled: [],
      forecast: null,
      forecast_method: null,
      earlier_invoices_left: 0,
    };
    if (this.isEmpty) return nothing;
    return {
      ...nothing,
      subtotal: "1284",
      tax_total: "128",
      total: "1412",
      subtotal_unrounded: "1284.337705100000",
      total_unrounded: "1412.771475610000",
      forecast: "3912",
      forecast_method: "the pace of the period so far",
      lines: [
        line(1, {
          description: "web-1: tiny, active",
          meter: "instance",
          quantity: "114.718680555556",
          unit: "hour",
          unit_price: "10",
          amount_unrounded: "1147.185900000000",
          amount: "1147",
        }),
        line(2, {
          description: "old-batch: tiny, stopped",
          meter: "instance",
          quantity: "24.000000000000",
          unit: "hour",
          unit_price: "2",
          amount_unrounded: "48.000000000000",
          amount: "48",
        }),
        line(3, {
          description: "web-1: outgoing traffic",
          meter: "network.outgoing.bytes",
          quantity: "7.441800000000",
          unit: "GiB",
          unit_price: "11.5",
          amount_unrounded: "85.580700000000",
          amount: "85",
        }),
        line(4, {
          description: "web-1: disk space",
          meter: "disk.root.size",
          quantity: "0.071400000000",
          unit: "GiB-month",
          unit_price: "50",
          amount_unrounded: "3.570000000000",
          amount: "4",
        }),
      ],
    };
  }
}
