import { describe, expect, it } from "vitest";
import { alignSeries, lastValue, type WirePoint } from "../src/charts/align";
import { lineStyle, SERIES_COLOURS } from "../src/charts/palette";
import { countGaps, shareAbove, summarise } from "../src/charts/summary";

const at = (second: number): string => new Date(second * 1000).toISOString();
const points = (...pairs: [number, number | null][]): WirePoint[] =>
  pairs.map(([second, value]) => [at(second), value]);

describe("aligning series", () => {
  it("puts every series on one axis, with a hole where a series has nothing", () => {
    const a = { id: "a", name: "a", points: points([0, 1], [10, 2]) };
    const b = { id: "b", name: "b", points: points([10, 5], [20, 6]) };
    const frame = alignSeries([a, b], [], 10);
    expect(frame.times).toEqual([0, 10, 20]);
    expect(frame.lines.map((line) => line.values)).toEqual([
      [1, 2, null],
      [null, 5, 6],
    ]);
  });

  it("breaks the line where buckets are missing from every series", () => {
    const frame = alignSeries([], points([0, 1], [10, 2], [60, 3]), 10);
    expect(frame.times).toEqual([0, 10, 20, 60]);
    expect(frame.aggregate).toEqual([1, 2, null, 3]);
  });

  it("takes an unordered answer with nulls, repeats and unreadable times as it can", () => {
    const frame = alignSeries([], [...points([20, 3], [0, 1], [10, null], [20, 4]), ["soon", 9]], 10);
    expect(frame.times).toEqual([0, 10, 20]);
    expect(frame.aggregate).toEqual([1, null, 4]);
  });

  it("finds nothing in nothing", () => {
    expect(alignSeries([], [], 60)).toEqual({ times: [], lines: [], aggregate: [] });
    expect(lastValue([])).toBeNull();
    expect(lastValue([1, 0, null])).toBe(0);
  });
});

describe("the sentence beside the chart", () => {
  it("knows the last value, the mean, the peak and when it was", () => {
    const frame = alignSeries([], points([0, 10], [10, 90], [20, null], [30, 20]), 10);
    expect(summarise(frame)).toEqual({ now: 20, mean: 40, peak: 90, peakTime: 10, gaps: 1 });
  });

  it("has nothing to say without values", () => {
    expect(summarise(alignSeries([], points([0, null]), 10))).toBeUndefined();
  });

  it("counts a run of unknowns once, and none before the first or after the last value", () => {
    expect(countGaps([null, 1, null, null, 2, null, 3, null])).toBe(2);
    expect(countGaps([null, null])).toBe(0);
  });

  it("measures the time above a threshold over what is known", () => {
    expect(shareAbove([90, null, 10, 80], 80)).toBeCloseTo(1 / 3);
    expect(shareAbove([], 80)).toBe(0);
  });
});

describe("line styles", () => {
  it("keeps an instance's colour while others come and go, and draws those past the palette grey", () => {
    const many = Array.from({ length: SERIES_COLOURS + 2 }, (_, index) => `instance-${index}`);
    const first = many.map((id) => lineStyle(id, many));
    expect(new Set(first.map((style) => style.colour)).size).toBe(SERIES_COLOURS + 1);
    expect(first.filter((style) => style.isPlain)).toHaveLength(2);
    const fewer = many.slice(2, 4);
    expect(fewer.map((id) => lineStyle(id, fewer))).toEqual(first.slice(2, 4));
  });
});
