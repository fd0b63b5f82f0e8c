/** The nouns of the native API, read off the paths of its OpenAPI, so that a renamed schema does not touch the pages. */
import type { Readable } from "openapi-typescript-helpers";
import type { paths } from "./schema";

type Answer<Path extends keyof paths> = paths[Path] extends {
  get: { responses: { 200: { content: { "application/json": infer Body } } } };
}
  ? Readable<Body>
  : never;

export type Session = Answer<"/session">;
export type Project = NonNullable<Session["project"]>;
export type Instance = Answer<"/instances">["items"][number];
export type CpuPercent = Answer<"/series/cpu-percent">;
export type Alarm = Answer<"/alarms">["items"][number];
export type GoneAction = Alarm["gone_actions"][number];
export type AlarmTransition = Answer<"/alarms/{alarm_id}/history">["items"][number];
export type ScalingGroup = Answer<"/scaling/groups">["items"][number];
export type ScalingActivity = Answer<"/scaling/groups/{group_id}/activities">["items"][number];
export type Cost = Answer<"/billing/cost">;
export type CostLine = Cost["lines"][number];
export type Adjusts = NonNullable<CostLine["adjusts"]>;
