/** What the overview works out from the API's answers. Pure. */
import type { Subject } from "../../api/queries";
import type { Alarm, CpuPercent, Instance, ScalingActivity } from "../../api/types";
import { lastValue, pointValue } from "../../charts/align";
import type { IconName } from "../../components/icon";
import type { Tone } from "../../components/state";

export interface Look {
  tone: Tone;
  icon: IconName;
}

const BUSY = new Set(["BUILD", "REBOOT", "HARD_REBOOT", "RESIZE", "MIGRATING", "PASSWORD", "REBUILD"]);
const HELD = new Set(["PAUSED", "SUSPENDED", "VERIFY_RESIZE", "RESCUE"]);

export function statusLook(status: string): Look {
  if (status === "ACTIVE") return { tone: "good", icon: "check" };
  if (status === "ERROR") return { tone: "bad", icon: "error" };
  if (BUSY.has(status)) return { tone: "busy", icon: "progress" };
  if (HELD.has(status)) return { tone: "warn", icon: "pause" };
  if (status === "UNKNOWN") return { tone: "warn", icon: "question" };
  return { tone: "calm", icon: "stop" };
}

export function alarmLook(state: string): Look {
  if (state === "ok") return { tone: "good", icon: "check" };
  if (state === "alarm") return { tone: "bad", icon: "alarm" };
  return { tone: "warn", icon: "question" };
}

export type Direction = "out" | "in" | "same" | "refused" | "replaced" | "failed";

export function directionOf(activity: ScalingActivity): Direction {
  if (activity.decision === "refusal") return "refused";
  if (activity.decision === "replacement") return "replaced";
  if (activity.decision === "launch_failure") return "failed";
  if (activity.size_after > activity.size_before) return "out";
  return activity.size_after < activity.size_before ? "in" : "same";
}

export interface Told {
  activity: ScalingActivity;
  /** How many decisions of the same kind in a row this stands for; the newest is told. */
  count: number;
}

/** Refusals repeat for as long as an alarm lasts: a row of them is told once, by its newest. */
export function foldRefusals(activities: readonly ScalingActivity[]): Told[] {
  const told: Told[] = [];
  for (const activity of activities) {
    const last = told.at(-1);
    if (last && activity.decision === "refusal" && last.activity.decision === "refusal") last.count += 1;
    else told.push({ activity, count: 1 });
  }
  return told;
}

export const DIRECTION_LOOK: Record<Direction, Look> = {
  out: { tone: "busy", icon: "out" },
  in: { tone: "good", icon: "in" },
  same: { tone: "calm", icon: "keep" },
  replaced: { tone: "warn", icon: "replace" },
  failed: { tone: "bad", icon: "error" },
  refused: { tone: "warn", icon: "refuse" },
};

/** Alarms that need eyes come first: firing, then without data, then the rest by name. */
export function byUrgency(alarms: readonly Alarm[]): Alarm[] {
  const rank = (alarm: Alarm) => ["alarm", "insufficient data", "ok"].indexOf(alarm.state);
  return [...alarms].sort((a, b) => rank(a) - rank(b) || a.name.localeCompare(b.name));
}

/** Whether an alarm watches the CPU of just these instances: those of the group, or the one. */
export function isAbout(alarm: Alarm, subject: Subject): boolean {
  const query = alarm.rule.query as { "="?: Record<string, unknown> } | undefined;
  return query?.["="]?.[subject.kind === "group" ? "server_group" : "id"] === subject.id;
}

/** Whether an alarm's values are percent of a CPU: then its rule says so by an expression over the nanoseconds. */
export const isPercent = (alarm: Alarm): boolean =>
  alarm.rule.metric === "cpu" && typeof alarm.rule.operations === "string";

/** What an alarm measures, for those whose values are not percent of a CPU: a bare number would say nothing. */
export function metricOf(alarm: Alarm): string {
  const { metric, aggregation_method: method } = alarm.rule;
  if (typeof metric !== "string") return "";
  return typeof method === "string" ? `${metric} (${method})` : metric;
}

export interface AlarmThreshold {
  name: string;
  value: number;
  /** On which side of the line the alarm fires. */
  side: "above" | "below";
  isUrgent: boolean;
}

/** The thresholds in percent that belong on a subject's chart: those of the alarms on its CPU, upper ones first. */
export function thresholdsOf(alarms: readonly Alarm[], subject: Subject | undefined): AlarmThreshold[] {
  if (subject === undefined) return [];
  const isOnChart = (alarm: Alarm) => alarm.enabled && isPercent(alarm) && isAbout(alarm, subject);
  const lines = alarms.filter(isOnChart).map(({ name, threshold, comparison_operator, severity }): AlarmThreshold => {
    const side = comparison_operator === "lt" || comparison_operator === "le" ? "below" : "above";
    return { name, value: threshold, side, isUrgent: severity !== "low" || side === "above" };
  });
  return lines.sort((a, b) => a.side.localeCompare(b.side) || b.value - a.value);
}

/** The newest CPU reading of each instance, by its id. */
export function cpuByInstance(answer: CpuPercent | undefined): ReadonlyMap<string, number> {
  const values = new Map<string, number>();
  for (const { resource_id, points } of answer?.series ?? []) {
    const last = lastValue(points.map(pointValue));
    if (last !== null) values.set(resource_id, last);
  }
  return values;
}

export const SORT_KEYS = ["name", "status", "created_at", "cpu"] as const;
export type SortKey = (typeof SORT_KEYS)[number];
export interface Sort {
  key: SortKey;
  isDescending: boolean;
}

export function matches(instance: Instance, text: string): boolean {
  const wanted = text.trim().toLowerCase();
  const fields = [instance.name, instance.status, instance.flavor.name, ...instance.addresses, instance.id];
  return wanted === "" || fields.some((field) => field.toLowerCase().includes(wanted));
}

export function sorted(instances: readonly Instance[], sort: Sort, cpu: ReadonlyMap<string, number>): Instance[] {
  const names = new Intl.Collator("en", { numeric: true });
  const compare = (a: Instance, b: Instance): number => {
    if (sort.key === "cpu") return (cpu.get(a.id) ?? -1) - (cpu.get(b.id) ?? -1);
    return names.compare(a[sort.key], b[sort.key]);
  };
  const sign = sort.isDescending ? -1 : 1;
  return [...instances].sort(
    (a, b) => sign * compare(a, b) || names.compare(a.name, b.name) || names.compare(a.id, b.id),
  );
}

const CLOUDS = new Set(["admin", "demo"]);

/** A command for a terminal in the installation's folder: the clouds.yaml it wrote says who we are, where it has the project. */
export function terminalCommand(projectName: string, command: string): string {
  if (!CLOUDS.has(projectName)) return command;
  const settings = [
    "export PATH=$PWD/var/venv/bin:$PATH",
    "export OS_CLIENT_CONFIG_FILE=var/clouds.yaml",
    `export OS_CLOUD=nephoscope-${projectName}`,
  ];
  return [...settings, command].join("\n");
}

const SUBSTITUTION = /\$\([^)]*\)/g;

/**
 * A request to the native API with the token of whoever the openstack client signs in. A `$(command)` in the body is left to the
 * shell: it steps out of the single quotes that keep the rest of the body as it is.
 */
export function curlCommand(path: string, body?: unknown): string {
  const token = '-H "X-Auth-Token: $(openstack token issue -f value -c id)"';
  const json = JSON.stringify(body)?.replace(SUBSTITUTION, (command) => `'"${command}"'`);
  const sent = json === undefined ? [] : [`-H 'Content-Type: application/json'`, `-d '${json}'`];
  return [`curl ${token}`, ...sent, `${window.location.origin}/v1${path}`].join(" \\\n  ");
}
