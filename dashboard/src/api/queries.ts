/** Every question that the pages ask, with its cache key and how fresh the answer must be. */
import { type QueryClient, queryOptions } from "@tanstack/react-query";
import { api, bodyOf, setCsrfToken } from "./client";
import { coarserGranularity, finestGranularity } from "./granularity";
import { ApiProblem } from "./problem";
import { tellOtherTabs } from "./tabs";
import type { CpuPercent, Session } from "./types";

/** Rows asked for at once; a page that has more says so. */
export const PAGE_LIMIT = 200;
export const ACTIVITY_LIMIT = 50;
export const HISTORY_LIMIT = 10;
/** While the stream is open this only guards against an event that was lost. */
const GUARD_INTERVAL_MS = 60_000;
/** Without the stream we ask this often. */
export const POLL_INTERVAL_MS = 5_000;

export const pollInterval = (isLive: boolean): number => (isLive ? GUARD_INTERVAL_MS : POLL_INTERVAL_MS);

export const sessionQuery = queryOptions({
  queryKey: ["session"],
  queryFn: async ({ signal }): Promise<Session | null> => {
    try {
      const session = await bodyOf(api.GET("/session", { signal }));
      setCsrfToken(session.csrf_token);
      return session;
    } catch (error) {
      if (error instanceof ApiProblem && error.status === 401) return null;
      throw error;
    }
  },
  staleTime: Number.POSITIVE_INFINITY,
});

export async function signIn(username: string, password: string, project: string): Promise<Session> {
  const body = project === "" ? { username, password } : { username, password, project };
  const session = await bodyOf(api.POST("/session", { body }));
  setCsrfToken(session.csrf_token);
  tellOtherTabs();
  return session;
}

export async function signOut(client: QueryClient): Promise<void> {
  // What is asked meanwhile would be refused, which looks like a session that ran out.
  await client.cancelQueries();
  try {
    await bodyOf(api.DELETE("/session"));
  } catch (error) {
    const isOver = error instanceof ApiProblem && error.status === 401;
    if (!isOver) throw error;
  }
  forgetSession(client);
  tellOtherTabs();
}

/** Drop everything that belongs to whoever was signed in. */
export function forgetSession(client: QueryClient): void {
  setCsrfToken("");
  client.setQueryData(sessionQuery.queryKey, null);
  client.removeQueries({ predicate: ({ queryKey }) => queryKey[0] !== sessionQuery.queryKey[0] });
}

export const instancesQuery = (isLive: boolean) =>
  queryOptions({
    queryKey: ["instances"],
    queryFn: ({ signal }) => bodyOf(api.GET("/instances", { params: { query: { limit: PAGE_LIMIT } }, signal })),
    refetchInterval: pollInterval(isLive),
  });

export const alarmsQuery = (isLive: boolean) =>
  queryOptions({
    queryKey: ["alarms"],
    queryFn: ({ signal }) => bodyOf(api.GET("/alarms", { params: { query: { limit: PAGE_LIMIT } }, signal })),
    refetchInterval: pollInterval(isLive),
  });

export const alarmHistoryQuery = (alarmId: string) =>
  queryOptions({
    queryKey: ["alarm-history", alarmId],
    queryFn: ({ signal }) =>
      bodyOf(
        api.GET("/alarms/{alarm_id}/history", {
          params: { path: { alarm_id: alarmId }, query: { limit: HISTORY_LIMIT } },
          signal,
        }),
      ),
  });

export const groupsQuery = (isLive: boolean) =>
  queryOptions({
    queryKey: ["groups"],
    queryFn: ({ signal }) => bodyOf(api.GET("/scaling/groups", { params: { query: { limit: PAGE_LIMIT } }, signal })),
    refetchInterval: pollInterval(isLive),
  });

export const activitiesQuery = (groupId: string, isLive: boolean) =>
  queryOptions({
    queryKey: ["activities", groupId],
    queryFn: ({ signal }) =>
      bodyOf(
        api.GET("/scaling/groups/{group_id}/activities", {
          params: { path: { group_id: groupId }, query: { limit: ACTIVITY_LIMIT } },
          signal,
        }),
      ),
    enabled: groupId !== "",
    refetchInterval: pollInterval(isLive),
  });

export const costQuery = (isLive: boolean) =>
  queryOptions({
    queryKey: ["cost"],
    queryFn: ({ signal }) => bodyOf(api.GET("/billing/cost", { signal })),
    refetchInterval: isLive ? 15_000 : 10_000,
  });

/** Readings are no events: they are asked for twice a bucket, within reason. */
const seriesInterval = (granularityS: number | undefined): number =>
  Math.min(Math.max((granularityS ?? 0) * 500, POLL_INTERVAL_MS), GUARD_INTERVAL_MS / 2);

/** Whose CPU: all instances of a scaling group, or one instance. */
export interface Subject {
  kind: "group" | "instance";
  id: string;
}

interface CpuQuestion {
  subject: Subject;
  rangeS: number;
  granularityS: number;
  signal: AbortSignal;
}

async function askCpu({ subject, rangeS, granularityS, signal }: CpuQuestion): Promise<CpuPercent> {
  const stop = new Date();
  const start = new Date(stop.getTime() - rangeS * 1000);
  const scope = subject.kind === "group" ? { group_id: subject.id } : { instance_id: subject.id };
  const query = { ...scope, start: start.toISOString(), stop: stop.toISOString(), granularity: granularityS };
  return bodyOf(api.GET("/series/cpu-percent", { params: { query }, signal }));
}

/** The width that turned out to fit a subject's readings, so that the next question begins with it. */
const fittingGranularity = new Map<string, number>();

/** CPU of a subject over the last `rangeS` seconds, in buckets that its readings fill. */
export const cpuQuery = (subject: Subject | undefined, rangeS: number) => {
  const queryKey = ["cpu", subject?.kind, subject?.id, rangeS] as const;
  return queryOptions({
    queryKey,
    queryFn: async ({ signal }) => {
      if (subject === undefined) throw new Error("a disabled query is not asked");
      const granularityS = fittingGranularity.get(queryKey.join()) ?? finestGranularity(rangeS);
      const answer = await askCpu({ subject, rangeS, granularityS, signal });
      const known = answer.aggregate.map((point) => Date.parse(String(point[0])) / 1000);
      const coarser = coarserGranularity(known, granularityS);
      if (coarser === undefined) return answer;
      fittingGranularity.set(queryKey.join(), coarser);
      return askCpu({ subject, rangeS, granularityS: coarser, signal });
    },
    enabled: subject !== undefined,
    refetchInterval: ({ state }) => seriesInterval(state.data?.granularity_s),
  });
};
