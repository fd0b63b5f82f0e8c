/** Joins the stream to the cache: an event makes the answers that it touches be asked anew. */
import { type QueryClient, useQueryClient } from "@tanstack/react-query";
import { createContext, useContext, useEffect, useState } from "react";
import { isUnreachable } from "../api/problem";
import { type LiveEvent, type LiveState, LiveStream } from "./stream";

const STREAM_URL = "/v1/stream";
/** Events come in bursts (a group of 100 starts); one refetch a burst is enough. */
const BURST_MS = 250;
/** A tab that nobody looks at for so long gives its connection back. */
const HIDDEN_MS = 60_000;

const TOUCHED: Record<LiveEvent, readonly string[]> = {
  instance: ["instances", "groups", "cpu"],
  alarm: ["alarms", "alarm-history"],
  activity: ["activities", "groups"],
  cost: ["cost"],
};

/** Collects what is touched and invalidates it once a burst. */
export function burstInvalidator(client: QueryClient, burstMs: number = BURST_MS) {
  const touched = new Set<string>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const flush = () => {
    timer = undefined;
    for (const key of touched) void client.invalidateQueries({ queryKey: [key] });
    touched.clear();
  };
  return {
    touch(event: LiveEvent) {
      for (const key of TOUCHED[event]) touched.add(key);
      timer ??= setTimeout(flush, burstMs);
    },
    stop() {
      clearTimeout(timer);
    },
  };
}

export const LiveContext = createContext<LiveState>("connecting");

export const useLiveState = (): LiveState => useContext(LiveContext);
export const useIsLive = (): boolean => useContext(LiveContext) === "live";

/** Keep the stream open while a signed-in page is mounted. */
export function useLiveStream(): LiveState {
  const client = useQueryClient();
  const [state, setState] = useState<LiveState>("connecting");
  useEffect(() => {
    const invalidator = burstInvalidator(client);
    const stream = new LiveStream(STREAM_URL, {
      onState: setState,
      onEvent: invalidator.touch,
      onReturn: () => {
        for (const key of new Set(Object.values(TOUCHED).flat())) void client.invalidateQueries({ queryKey: [key] });
      },
    });
    let resting: ReturnType<typeof setTimeout> | undefined;
    const hurry = () => {
      clearTimeout(resting);
      if (document.visibilityState === "visible") stream.hurry();
      else resting = setTimeout(() => stream.rest(), HIDDEN_MS);
    };
    const unsubscribe = client.getQueryCache().subscribe((event) => {
      if (event.type === "updated" && event.action.type === "error" && isUnreachable(event.action.error))
        stream.doubt();
    });
    stream.start();
    window.addEventListener("online", hurry);
    document.addEventListener("visibilitychange", hurry);
    return () => {
      clearTimeout(resting);
      unsubscribe();
      window.removeEventListener("online", hurry);
      document.removeEventListener("visibilitychange", hurry);
      invalidator.stop();
      stream.stop();
    };
  }, [client]);
  return state;
}
