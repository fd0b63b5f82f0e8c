/** The time ranges that the chart offers. */
export const RANGES = ["s900", "s3600", "s21600", "s86400"] as const;
export type Range = (typeof RANGES)[number];
export const RANGE_DEFAULT: Range = "s900";

export const isRange = (text: string | null): text is Range => RANGES.some((range) => range === text);
export const rangeSeconds = (range: Range): number => Number.parseInt(range.slice(1), 10);
