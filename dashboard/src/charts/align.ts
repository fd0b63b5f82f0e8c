/** Brings series of different instances onto one time axis, with a gap wherever nothing is known. Pure. */

/** A pair of time and value as the API sends it; generated types know it only as a list. */
export type WirePoint = readonly (string | number | null)[];

export interface NamedSeries {
  id: string;
  name: string;
  points: readonly WirePoint[];
}

export interface Line {
  id: string;
  name: string;
  values: readonly (number | null)[];
}

export interface ChartFrame {
  /** Seconds since 1970, ascending. */
  times: readonly number[];
  lines: readonly Line[];
  aggregate: readonly (number | null)[];
}

/** The value of a point; null where nothing is known. */
export function pointValue([, value]: WirePoint): number | null {
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}

function byTime(points: readonly WirePoint[]): Map<number, number | null> {
  const values = new Map<number, number | null>();
  for (const point of points) {
    const time = Date.parse(String(point[0])) / 1000;
    if (!Number.isNaN(time)) values.set(time, pointValue(point));
  }
  return values;
}

/** Sorted times, with one empty moment put into every hole wider than a bucket, so that a line breaks there. */
function axis(known: Iterable<number>, granularityS: number): number[] {
  const sorted = [...new Set(known)].sort((a, b) => a - b);
  return sorted.flatMap((time, index) => {
    const next = sorted[index + 1];
    return next !== undefined && next - time > granularityS * 1.5 ? [time, time + granularityS] : [time];
  });
}

export function alignSeries(
  series: readonly NamedSeries[],
  aggregate: readonly WirePoint[],
  granularityS: number,
): ChartFrame {
  const maps = series.map(({ points }) => byTime(points));
  const whole = byTime(aggregate);
  const times = axis(
    [whole, ...maps].flatMap((map) => [...map.keys()]),
    granularityS,
  );
  return {
    times,
    lines: series.map(({ id, name }, index) => ({
      id,
      name,
      values: times.map((time) => maps[index]?.get(time) ?? null),
    })),
    aggregate: times.map((time) => whole.get(time) ?? null),
  };
}

/** The last known value of a line. */
export function lastValue(values: readonly (number | null)[]): number | null {
  return values.findLast((value) => value !== null) ?? null;
}
