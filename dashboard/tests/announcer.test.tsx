import { cleanup, render, screen } from "@testing-library/react";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Story } from "../dev/story";
import type { Alarm, ScalingActivity } from "../src/api/types";
import { i18next } from "../src/i18n";
import { Announcer } from "../src/pages/overview/announcer";

function itemsOf<T>(path: string): T[] {
  const story = new Story(Date.now, { isSignedIn: true });
  return (story.answer("GET", path, new URLSearchParams(), undefined).body as { items: T[] }).items;
}

const activities = itemsOf<ScalingActivity>("/scaling/groups/x/activities");
const alarms = itemsOf<Alarm>("/alarms");
const said = () => screen.getByRole("status").textContent;

describe("what is said aloud", () => {
  beforeEach(() => i18next.changeLanguage("en"));
  afterEach(cleanup);

  it("is a group's new decision, the first one too", () => {
    const { rerender } = render(<Announcer alarms={[]} groupId="a" activities={[]} />);
    rerender(<Announcer alarms={[]} groupId="a" activities={activities.slice(1)} />);
    expect(said()).toContain("Scaled out");
  });

  it("is no decision of long ago when another group is looked at", () => {
    const { rerender } = render(<Announcer alarms={[]} groupId="a" activities={activities.slice(1)} />);
    rerender(<Announcer alarms={[]} groupId="b" activities={undefined} />);
    rerender(<Announcer alarms={[]} groupId="b" activities={activities.slice(2)} />);
    expect(said()).toBe("");
  });

  it("is every alarm that changed, not only the first", () => {
    const as = (state: Alarm["state"]) => alarms.map((alarm) => ({ ...alarm, state }));
    const { rerender } = render(<Announcer alarms={as("ok")} groupId="a" activities={[]} />);
    rerender(<Announcer alarms={as("alarm")} groupId="a" activities={[]} />);
    for (const { name } of alarms) expect(said()).toContain(name);
  });
});
