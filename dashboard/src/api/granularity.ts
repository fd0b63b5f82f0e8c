/** How wide the buckets of a chart must be: as fine as its range bears, and no finer than the host is polled. Pure. */

/** Bucket widths in seconds that read well on an axis. */
export const GRANULARITIES_S = [10, 30, 60, 120, 300, 900, 3_600] as const;
const BUCKETS_MAX = 120;
const SPACINGS_MIN = 2;

/** The finest width that keeps a range within what a chart can show. */
export function finestGranularity(rangeS: number): number {
  return GRANULARITIES_S.find((width) => rangeS / width <= BUCKETS_MAX) ?? 3_600;
}

/**
 * The width to ask for instead, where readings come more rarely than the buckets: then every other bucket would be an empty one,
 * which no outage made. The median counts, so that one real gap changes nothing.
 */
export function coarserGranularity(knownTimesS: readonly number[], granularityS: number): number | undefined {
  const spacings = knownTimesS.slice(1).map((time, index) => time - (knownTimesS[index] ?? time));
  if (spacings.length < SPACINGS_MIN) return undefined;
  const median = spacings.sort((a, b) => a - b)[Math.floor(spacings.length / 2)] ?? 0;
  return median > granularityS ? GRANULARITIES_S.find((width) => width >= median) : undefined;
}
