import { QueryClient } from "@tanstack/react-query";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type LiveState, LiveStream, pauseBeforeAttempt } from "../src/live/stream";
import { burstInvalidator } from "../src/live/use-live";

/** An EventSource whose network is moved by hand. */
class HandSource extends EventTarget {
  static readonly OPEN = 1;
  static readonly CLOSED = 2;
  readyState = 0;
  onopen: (() => void) | null = null;
  onerror: (() => void) | null = null;

  close(): void {
    this.readyState = HandSource.CLOSED;
  }

  opens(): void {
    this.readyState = HandSource.OPEN;
    this.onopen?.();
  }

  breaks(readyState: number): void {
    this.readyState = readyState;
    this.onerror?.();
  }
}

function aStream() {
  const sources: HandSource[] = [];
  const states: LiveState[] = [];
  const events: string[] = [];
  const returns: number[] = [];
  const listener = {
    onState: (state: LiveState) => states.push(state),
    onEvent: (event: string) => events.push(event),
    onReturn: () => returns.push(sources.length),
  };
  const stream = new LiveStream("/v1/stream", listener, () => {
    const source = new HandSource();
    sources.push(source);
    return source as unknown as EventSource;
  });
  return { stream, sources, states, events, returns };
}

describe("the live stream", () => {
  beforeEach(() => {
    vi.useFakeTimers();
    vi.stubGlobal("EventSource", HandSource);
  });
  afterEach(() => {
    vi.useRealTimers();
    vi.unstubAllGlobals();
  });

  it("passes on the events it knows", () => {
    const { stream, sources, states, events } = aStream();
    stream.start();
    sources[0]?.opens();
    sources[0]?.dispatchEvent(new Event("alarm"));
    sources[0]?.dispatchEvent(new Event("unheard-of"));
    expect(states).toEqual(["live"]);
    expect(events).toEqual(["alarm"]);
  });

  it("leaves a passing break to the browser", () => {
    const { stream, sources, states } = aStream();
    stream.start();
    sources[0]?.opens();
    sources[0]?.breaks(0);
    vi.advanceTimersByTime(60_000);
    expect(sources).toHaveLength(1);
    expect(states).toEqual(["live", "polling"]);
  });

  it("opens a new stream after the browser gave up, and then asks what was missed", () => {
    const { stream, sources, states, returns } = aStream();
    stream.start();
    sources[0]?.breaks(HandSource.CLOSED);
    vi.advanceTimersByTime(60_000);
    expect(sources).toHaveLength(2);
    sources[1]?.opens();
    expect(states).toEqual(["polling", "live"]);
    expect(returns).toEqual([2]);
  });

  it("hurries when the network is back, but leaves an open stream alone", () => {
    const { stream, sources } = aStream();
    stream.start();
    sources[0]?.opens();
    stream.hurry();
    expect(sources).toHaveLength(1);
    sources[0]?.breaks(HandSource.CLOSED);
    stream.hurry();
    expect(sources).toHaveLength(2);
  });

  it("is opened anew when something says that the network is gone, since a dead connection tells nothing by itself", () => {
    const { stream, sources, states, returns } = aStream();
    stream.start();
    sources[0]?.opens();
    stream.doubt();
    stream.doubt();
    expect(sources).toHaveLength(2);
    sources[1]?.opens();
    expect(states).toEqual(["live", "polling", "live"]);
    expect(returns).toEqual([2]);
  });

  it("leaves its connection to other tabs while its page is hidden for long", () => {
    const { stream, sources, states, returns } = aStream();
    stream.start();
    sources[0]?.opens();
    stream.rest();
    expect(sources[0]?.readyState).toBe(HandSource.CLOSED);
    vi.advanceTimersByTime(600_000);
    expect(sources).toHaveLength(1);
    stream.hurry();
    sources[1]?.opens();
    expect(states).toEqual(["live", "polling", "live"]);
    expect(returns).toEqual([2]);
  });

  it("opens nothing after it was stopped", () => {
    const { stream, sources } = aStream();
    stream.start();
    sources[0]?.breaks(HandSource.CLOSED);
    stream.stop();
    vi.advanceTimersByTime(120_000);
    expect(sources).toHaveLength(1);
  });

  it("waits longer each time, within bounds", () => {
    const pauses = Array.from({ length: 50 }, (_, attempt) => pauseBeforeAttempt(attempt, 0.5));
    expect(pauses[0]).toBe(1_000);
    expect(Math.max(...pauses)).toBe(30_000);
    expect(pauses).toEqual([...pauses].sort((a, b) => a - b));
    expect(pauseBeforeAttempt(99, 1)).toBeLessThanOrEqual(37_500);
  });
});

describe("a burst of events", () => {
  it("asks for each touched answer once", () => {
    vi.useFakeTimers();
    const client = new QueryClient();
    const invalidate = vi.spyOn(client, "invalidateQueries").mockResolvedValue();
    const invalidator = burstInvalidator(client, 100);
    for (let index = 0; index < 40; index += 1) invalidator.touch("instance");
    invalidator.touch("activity");
    expect(invalidate).not.toHaveBeenCalled();
    vi.advanceTimersByTime(100);
    const keys = invalidate.mock.calls.map(([filters]) => filters?.queryKey?.[0]);
    expect(keys.sort()).toEqual(["activities", "cpu", "groups", "instances"]);
    vi.useRealTimers();
  });
});
