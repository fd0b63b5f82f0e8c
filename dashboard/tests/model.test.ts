import { execFileSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { Story } from "../dev/story";
import type { Alarm, Instance, ScalingActivity } from "../src/api/types";
import * as model from "../src/pages/overview/model";
import { ASKED_MAX, askedAtOnce, subjectsOf } from "../src/pages/overview/subjects";

function answerOf<T>(path: string): T[] {
  const story = new Story(Date.now, { isSignedIn: true });
  return (story.answer("GET", path, new URLSearchParams(), undefined).body as { items: T[] }).items;
}

const activities = answerOf<ScalingActivity>("/scaling/groups/x/activities");
const instances = answerOf<Instance>("/instances");
const alarms = answerOf<Alarm>("/alarms");

describe("scaling activities", () => {
  it("tell a row of refusals once, by the newest, and every resize by itself", () => {
    const refusal = activities.filter(({ decision }) => decision === "refusal").slice(0, 1);
    const resize = activities.filter(({ decision }) => decision === "resize").slice(0, 1);
    const told = model.foldRefusals([...refusal, ...refusal, ...resize, ...resize, ...refusal]);
    expect(told.map(({ activity, count }) => [activity.decision, count])).toEqual([
      ["refusal", 2],
      ["resize", 1],
      ["resize", 1],
      ["refusal", 1],
    ]);
  });

  it("have a direction each, whatever the decision", () => {
    const [first] = activities;
    if (!first) throw new Error("the story has activities");
    const directions = (["resize", "refusal", "replacement", "launch_failure"] as const).map((decision) =>
      model.directionOf({ ...first, decision, size_before: 2, size_after: 1 }),
    );
    expect(directions).toEqual(["in", "refused", "replaced", "failed"]);
  });
});

describe("alarms", () => {
  it("that fire come first, then those that know nothing", () => {
    const [one] = alarms;
    if (!one) throw new Error("the story has alarms");
    const states = (["ok", "insufficient data", "alarm"] as const).map((state) => ({ ...one, state }));
    expect(model.byUrgency(states).map(({ state }) => state)).toEqual(["alarm", "insufficient data", "ok"]);
  });

  it("put their threshold on the chart of their own group only, and only in percent", () => {
    const rule = alarms[0]?.rule as { query: { "=": { server_group: string } } };
    const group = { kind: "group", id: rule.query["="].server_group } as const;
    expect(model.thresholdsOf(alarms, group)).toEqual([
      { name: "web-cpu-high", value: 60, side: "above", isUrgent: true },
    ]);
    const db = instances.find(({ name }) => name === "db-1")?.id ?? "";
    expect(model.thresholdsOf(alarms, { kind: "instance", id: db }).map(({ value }) => value)).toEqual([90]);
    expect(model.thresholdsOf(alarms, { ...group, id: "another" })).toEqual([]);
    const inNanoseconds = alarms.map((alarm) => ({ ...alarm, rule: { ...alarm.rule, operations: undefined } }));
    expect(model.thresholdsOf(inNanoseconds, group)).toEqual([]);
  });
});

describe("whose CPU is asked for", () => {
  const [one] = instances;
  if (!one) throw new Error("the story has instances");
  const lone = Array.from({ length: 30 }, (_, n) => ({ ...one, id: `i-${n}`, name: `i-${n}`, scaling_group_id: null }));

  it("is of every group and instance on the chart, of a bounded number in the table", () => {
    const subjects = subjectsOf([], lone);
    expect(subjects).toHaveLength(30);
    expect(askedAtOnce(subjects)).toHaveLength(ASKED_MAX);
  });
});

describe("instances", () => {
  it("are found by name, status, address or flavor", () => {
    const found = (text: string) => instances.filter((one) => model.matches(one, text)).map(({ name }) => name);
    expect(found("IMPORT")).toEqual(["import-job"]);
    expect(found("fd00:")).toEqual(["db-1"]);
    expect(found(" ")).toHaveLength(instances.length);
    expect(found("nowhere")).toEqual([]);
  });

  it("sort by name as people count", () => {
    const [one] = instances;
    if (!one) throw new Error("the story has instances");
    const named = ["web-10", "web-9"].map((name) => ({ ...one, name }));
    const names = model.sorted(named, { key: "name", isDescending: false }, new Map()).map(({ name }) => name);
    expect(names).toEqual(["web-9", "web-10"]);
  });
});

describe("commands", () => {
  it("sign in by the installation's own clouds.yaml where it has the project", () => {
    expect(model.terminalCommand("demo", "openstack server list")).toContain(
      "OS_CLOUD=nephoscope-demo\nopenstack server",
    );
    expect(model.terminalCommand("demo", "openstack")).toContain("PATH=$PWD/var/venv/bin:$PATH");
    expect(model.terminalCommand("theirs", "openstack server list")).toBe("openstack server list");
  });

  it("are understood by a shell as they are meant", () => {
    const command = model.curlCommand("/things", { name: "web", image: "$(echo 42)" });
    const script = `curl() { for word; do printf '%s\\n' "$word"; done; }; openstack() { echo token; }; ${command}`;
    const words = execFileSync("sh", ["-c", script], { encoding: "utf8" }).trim().split("\n");
    expect(words).toContain("X-Auth-Token: token");
    expect(words).toContain('{"name":"web","image":"42"}');
    expect(words.at(-1)).toMatch(/\/v1\/things$/);
  });
});
