/** What a chart says, in numbers: for the sentence beside it, and for those who do not see it. Pure. */
import { type ChartFrame, lastValue } from "./align";

export interface Summary {
  now: number;
  mean: number;
  peak: number;
  /** Seconds since 1970. */
  peakTime: number;
  /** Holes between known values. */
  gaps: number;
}

export function summarise({ times, aggregate }: ChartFrame): Summary | undefined {
  const known = aggregate.flatMap((value, index) => (value === null ? [] : [{ value, time: times[index] ?? 0 }]));
  const now = lastValue(aggregate);
  if (known.length === 0 || now === null) return undefined;
  const highest = known.reduce((best, point) => (point.value > best.value ? point : best));
  const sum = known.reduce((total, { value }) => total + value, 0);
  return { now, mean: sum / known.length, peak: highest.value, peakTime: highest.time, gaps: countGaps(aggregate) };
}

/** Runs of unknown values that have a known one on either side. */
export function countGaps(values: readonly (number | null)[]): number {
  const first = values.findIndex((value) => value !== null);
  const last = values.findLastIndex((value) => value !== null);
  return values.filter((value, index) => value === null && index > first && index < last && values[index - 1] !== null)
    .length;
}

/** The share (0 to 1) of known values above a threshold. */
export function shareAbove(values: readonly (number | null)[], threshold: number): number {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? 0 : known.filter((value) => value > threshold).length / known.length;
}
