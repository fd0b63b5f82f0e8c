import { onlineManager } from "@tanstack/react-query";
import { cleanup, configure, render, screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Story } from "../dev/story";
import { App, makeQueryClient } from "../src/app";
import { i18next } from "../src/i18n";

// happy-dom has no canvas; the drawn chart is seen in a real browser by tests/browser.
vi.mock("uplot", () => ({
  default: class {
    setData(): void {}
    setSize(): void {}
    destroy(): void {}
  },
}));

class SilentSource extends EventTarget {
  static readonly OPEN = 1;
  static readonly CLOSED = 2;
  readyState = 0;
  close(): void {}
}

type Broken = (path: string) => Response | Promise<Response> | undefined;

/** Let the story answer the page's requests; `broken` may answer first. */
function serve(story: Story, broken: Broken = () => undefined) {
  const asked: { method: string; path: string; csrf: string | null }[] = [];
  vi.stubGlobal("fetch", async (request: Request) => {
    const url = new URL(request.url);
    const path = url.pathname.replace(/^\/v1/, "");
    asked.push({ method: request.method, path, csrf: request.headers.get("X-CSRF-Token") });
    const failure = broken(path);
    if (failure) return failure;
    const text = request.method === "GET" ? "" : await request.text();
    const answer = story.answer(request.method, path, url.searchParams, text === "" ? undefined : JSON.parse(text));
    const body = answer.body === undefined ? null : JSON.stringify(answer.body);
    return new Response(body, { status: answer.status, headers: { "Content-Type": "application/json" } });
  });
  return asked;
}

function open() {
  const client = makeQueryClient();
  client.setDefaultOptions({ queries: { ...client.getDefaultOptions().queries, retry: false } });
  return render(<App client={client} />);
}

// A loaded machine is slow, not wrong.
configure({ asyncUtilTimeout: 30_000 });
const user = userEvent.setup();

beforeEach(async () => {
  vi.stubGlobal("EventSource", SilentSource);
  localStorage.clear();
  window.history.replaceState(null, "", "/");
  await i18next.changeLanguage("en");
});
afterEach(() => {
  cleanup();
  vi.unstubAllGlobals();
  onlineManager.setOnline(true);
  delete document.documentElement.dataset.theme;
});

describe("signing in", () => {
  it("leads to the overview with the right password, and says so with a wrong one", async () => {
    serve(new Story(Date.now));
    open();
    await user.type(await screen.findByLabelText("User name"), "demo");
    await user.type(screen.getByLabelText("Password"), "wrong{Enter}");
    expect((await screen.findByRole("alert")).textContent).toContain("not right");
    await user.clear(screen.getByLabelText("Password"));
    await user.type(screen.getByLabelText("Password"), "secret{Enter}");
    const instances = within(await screen.findByRole("region", { name: "Instances" }));
    expect(await instances.findByText("web-1")).toBeTruthy();
  });

  it("asks for what is missing without asking the API", async () => {
    const asked = serve(new Story(Date.now));
    open();
    await user.click(await screen.findByRole("button", { name: "Sign in" }));
    expect((await screen.findByRole("alert")).textContent).toContain("Enter a user name");
    expect(asked.filter(({ method }) => method === "POST")).toEqual([]);
  });

  it("ends with the CSRF token of the session", async () => {
    const asked = serve(new Story(Date.now, { isSignedIn: true }));
    open();
    await user.click(await screen.findByRole("button", { name: "Sign out" }));
    expect(await screen.findByLabelText("User name")).toBeTruthy();
    expect(asked.find(({ method }) => method === "DELETE")?.csrf).toBe("token");
  });

  it("is asked for again when the session has ended", async () => {
    const story = new Story(Date.now, { isSignedIn: true });
    const refused = () => new Response("{}", { status: 401, headers: { "Content-Type": "application/json" } });
    serve(story, (path) => (path === "/instances" ? refused() : undefined));
    open();
    expect((await screen.findByText(/session has ended/)).textContent).toBeTruthy();
  });
});

const refused = () => new Response("{}", { status: 401, headers: { "Content-Type": "application/json" } });

describe("a session", () => {
  it("that was ended on purpose is not said to have run out, though an earlier one had", async () => {
    const story = new Story(Date.now, { isSignedIn: true });
    let isOver = true;
    serve(story, (path) => (isOver && path === "/instances" ? refused() : undefined));
    open();
    await screen.findByText(/session has ended/);
    isOver = false;
    await user.type(screen.getByLabelText("User name"), "demo");
    await user.type(screen.getByLabelText("Password"), "secret{Enter}");
    await user.click(await screen.findByRole("button", { name: "Sign out" }));
    expect(await screen.findByLabelText("User name")).toBeTruthy();
    expect(screen.queryByText(/session has ended/)).toBeNull();
  });

  it("that is over already can still be signed out of", async () => {
    const story = new Story(Date.now, { isSignedIn: true });
    let isOver = false;
    serve(story, (path) => (isOver && path === "/session" ? refused() : undefined));
    open();
    await screen.findByText("import-job");
    isOver = true;
    await user.click(screen.getByRole("button", { name: "Sign out" }));
    expect(await screen.findByLabelText("User name")).toBeTruthy();
  });

  it("without a project says so in one place and what to do, and asks for nothing", async () => {
    const story = new Story(Date.now, { isSignedIn: true, isLone: true });
    const asked = serve(story);
    open();
    expect(await screen.findByText("No project yet")).toBeTruthy();
    expect(document.title).toBe("No project yet · Nephoscope");
    expect(screen.queryByText("Connecting…")).toBeNull();
    expect(new Set(asked.map(({ path }) => path))).toEqual(new Set(["/session"]));
  });

  it("that another tab has changed is asked for anew", async () => {
    const story = new Story(Date.now, { isSignedIn: true });
    const other = {
      user: { id: "u2", name: "eve" },
      project: { id: "p2", name: "theirs" },
      roles: [],
      csrf_token: "t",
    };
    let isOther = false;
    serve(story, (path) => (isOther && path === "/session" ? Response.json(other) : undefined));
    open();
    await screen.findByText("import-job");
    isOther = true;
    window.dispatchEvent(new StorageEvent("storage", { key: "nephoscope.session", newValue: "1" }));
    expect(await screen.findByText("theirs")).toBeTruthy();
  });
});

describe("an address that leads nowhere", () => {
  it("is said so in the title too", async () => {
    serve(new Story(Date.now, { isSignedIn: true }));
    window.history.replaceState(null, "", "/nowhere");
    open();
    expect(await screen.findByText("There is nothing here")).toBeTruthy();
    expect(document.title).toBe("There is nothing here · Nephoscope");
  });
});

describe("the overview", () => {
  it("asks a machine that has no network too: the API may be on the same one", async () => {
    onlineManager.setOnline(false);
    serve(new Story(Date.now, { isSignedIn: true }));
    open();
    expect(await screen.findByText("import-job")).toBeTruthy();
  });

  it("does not say that what it could not read is on its way", async () => {
    serve(new Story(Date.now, { isSignedIn: true }), (path) =>
      path === "/session" ? undefined : new Response("oops", { status: 500 }),
    );
    open();
    await waitFor(() => expect(screen.getAllByRole("alert").length).toBeGreaterThan(2));
    await waitFor(() => expect(document.querySelectorAll("dl [aria-busy]").length).toBe(0));
  });

  it("keeps telling what failed while it asks again", async () => {
    let isHeld = false;
    serve(new Story(Date.now, { isSignedIn: true }), (path) => {
      if (path !== "/alarms") return undefined;
      if (isHeld) return new Promise<Response>(() => {});
      return new Response("oops", { status: 500 });
    });
    open();
    const alarms = within(await screen.findByRole("region", { name: "Alarms" }));
    await alarms.findByRole("alert");
    isHeld = true;
    await user.click(alarms.getByRole("button", { name: "Try again" }));
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(alarms.getByRole("alert").textContent).toContain("500");
  });

  it("says that there are more than it shows", async () => {
    const story = new Story(Date.now, { isSignedIn: true });
    serve(story, (path) => {
      if (path !== "/instances" && path !== "/alarms") return undefined;
      const { items } = story.answer("GET", path, new URLSearchParams(), undefined).body as { items: unknown[] };
      return Response.json({ items, next: "more" });
    });
    open();
    const instances = within(await screen.findByRole("region", { name: "Instances" }));
    expect(await instances.findByText(/^more than \d instances$/)).toBeTruthy();
    expect(
      await within(screen.getByRole("region", { name: "Alarms" })).findByText(/The first 2 are shown/),
    ).toBeTruthy();
    expect(screen.getByText(/^of the first 2 alarms/)).toBeTruthy();
    expect(screen.getByText(/^of the first \d$/)).toBeTruthy();
  });

  it("names the currency in letters, since many share a sign", async () => {
    serve(new Story(Date.now, { isSignedIn: true }));
    open();
    expect(await screen.findByText(/in JPY, tax included/)).toBeTruthy();
  });

  it("promises no end of the month below what is spent already", async () => {
    const story = new Story(Date.now, { isSignedIn: true });
    serve(story, (path) => {
      if (path !== "/billing/cost") return undefined;
      const cost = story.answer("GET", path, new URLSearchParams(), undefined).body as object;
      return Response.json({ ...cost, total: "1", total_unrounded: "1.38", forecast: "1" });
    });
    open();
    const cost = within(await screen.findByRole("region", { name: "Cost so far" }));
    await cost.findByText(/in JPY/);
    expect(cost.queryByText(/at this pace/)).toBeNull();
  });

  it("shows instances, alarms with their reason, decisions with theirs, and the cost", async () => {
    serve(new Story(Date.now, { isSignedIn: true }));
    open();
    const instances = within(await screen.findByRole("region", { name: "Instances" }));
    expect(await instances.findByText("import-job")).toBeTruthy();
    expect(instances.getByText(/killed by signal 9/)).toBeTruthy();
    const scaling = within(screen.getByRole("region", { name: "Scaling" }));
    expect(await scaling.findByText(/cools down for 36 s/)).toBeTruthy();
    const alarms = within(screen.getByRole("region", { name: "Alarms" }));
    expect(await alarms.findByText(/Transition to/)).toBeTruthy();
    const cost = within(screen.getByRole("region", { name: "Cost so far" }));
    expect(await cost.findByText("¥11.5")).toBeTruthy();
  });

  it("tells each empty part what to do next", async () => {
    serve(new Story(Date.now, { isSignedIn: true, isEmpty: true }));
    open();
    expect(await screen.findByText("No instances yet")).toBeTruthy();
    const isLaunch = (_: string, element: Element | null) =>
      element?.tagName === "CODE" && /OS_CLOUD=nephoscope-demo\s+openstack server create/.test(element.textContent);
    expect(screen.getByText(isLaunch)).toBeTruthy();
    expect(await screen.findByText("No alarms yet")).toBeTruthy();
    expect(await screen.findByText("No scaling group yet")).toBeTruthy();
    expect(await screen.findByText("Nothing to pay yet")).toBeTruthy();
    expect(await screen.findByText("Nothing to draw yet")).toBeTruthy();
  });

  it("keeps the rest when one part fails, and mends that part on request", async () => {
    let isBroken = true;
    serve(new Story(Date.now, { isSignedIn: true }), (path) =>
      isBroken && path === "/alarms" ? new Response("oops", { status: 500 }) : undefined,
    );
    open();
    const alarms = within(await screen.findByRole("region", { name: "Alarms" }));
    expect((await alarms.findByRole("alert")).textContent).toContain("500");
    expect(await screen.findByText("import-job")).toBeTruthy();
    isBroken = false;
    await user.click(alarms.getByRole("button", { name: "Try again" }));
    expect(await alarms.findByText("web-cpu-high")).toBeTruthy();
  });

  it("has the chart's numbers as a table too", async () => {
    serve(new Story(Date.now, { isSignedIn: true }));
    open();
    await user.click(await screen.findByRole("button", { name: "Table" }));
    const table = await screen.findByRole("table", { name: /CPU percent by time/ });
    expect(within(table).getAllByRole("row").length).toBeGreaterThan(20);
    expect(within(table).getAllByText("no data").length).toBeGreaterThan(0);
  });

  it("keeps the chosen range in the address", async () => {
    serve(new Story(Date.now, { isSignedIn: true }));
    open();
    await user.click(await screen.findByRole("button", { name: "1 h" }));
    expect(window.location.search).toBe("?range=s3600");
  });

  it("filters and sorts the instances", async () => {
    serve(new Story(Date.now, { isSignedIn: true }));
    open();
    const instances = within(await screen.findByRole("region", { name: "Instances" }));
    const names = () => instances.getAllByRole("rowheader").map((cell) => cell.firstChild?.textContent);
    await instances.findByText("web-1");
    await user.click(instances.getByRole("button", { name: "Name" }));
    expect(names()).toEqual([...names()].sort().reverse());
    await user.type(instances.getByRole("searchbox"), "web-");
    await waitFor(() => expect(names().every((name) => name?.startsWith("web-"))).toBe(true));
  });

  it("changes its language and keeps the choice", async () => {
    serve(new Story(Date.now, { isSignedIn: true }));
    open();
    await user.selectOptions(await screen.findByLabelText("Language"), "ja");
    expect(await screen.findByRole("region", { name: "インスタンス" })).toBeTruthy();
    expect(localStorage.getItem("nephoscope.language")).toBe("ja");
    expect(document.documentElement.lang).toBe("ja");
  });

  it("changes its theme and keeps the choice", async () => {
    serve(new Story(Date.now, { isSignedIn: true }));
    open();
    await user.click(await screen.findByRole("button", { name: "Dark" }));
    expect(document.documentElement.dataset.theme).toBe("dark");
    expect(localStorage.getItem("nephoscope.theme")).toBe("dark");
    await user.click(screen.getByRole("button", { name: "System" }));
    expect(document.documentElement.dataset.theme).toBeUndefined();
  });
});

describe("an API that is away", () => {
  it("is told of once for the whole page, with what was known kept, and no more when it is back", async () => {
    let isAway = false;
    serve(new Story(Date.now, { isSignedIn: true }), (path) => {
      if (isAway && path !== "/session") throw new TypeError("Failed to fetch");
      return undefined;
    });
    open();
    await screen.findByText("import-job");
    isAway = true;
    await screen.findByText(/The API does not answer. Showing what was known at/, {}, { timeout: 20_000 });
    expect(screen.getByText("import-job")).toBeTruthy();
    expect(screen.queryByText(/Could not refresh/)).toBeNull();
    isAway = false;
    await user.click(screen.getByRole("button", { name: "Try again" }));
    await waitFor(() => expect(screen.queryByText(/does not answer/)).toBeNull());
  });
});

describe("while the first answers are on their way", () => {
  it("nothing is called empty", async () => {
    serve(new Story(Date.now, { isSignedIn: true }), (path) =>
      path === "/session" ? undefined : new Promise<Response>(() => {}),
    );
    open();
    await screen.findByRole("region", { name: "CPU" });
    expect(screen.queryByText("Nothing to draw yet")).toBeNull();
  });
});
