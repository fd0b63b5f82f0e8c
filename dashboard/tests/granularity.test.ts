import { describe, expect, it } from "vitest";
import { coarserGranularity, finestGranularity, GRANULARITIES_S } from "../src/api/granularity";
import { RANGES, rangeSeconds } from "../src/pages/overview/ranges";

const every = (seconds: number, count: number) => Array.from({ length: count }, (_, index) => index * seconds);

describe("the width of a bucket", () => {
  it("keeps every range within what a chart can show", () => {
    for (const range of RANGES) {
      expect(rangeSeconds(range) / finestGranularity(rangeSeconds(range))).toBeLessThanOrEqual(120);
    }
  });

  it("is widened where the host is polled more rarely", () => {
    expect(coarserGranularity(every(60, 8), 10)).toBe(60);
    expect(coarserGranularity(every(300, 4), 10)).toBe(300);
    expect(coarserGranularity(every(10, 50), 10)).toBeUndefined();
  });

  it("is not widened by one long gap, nor by too little to judge", () => {
    expect(coarserGranularity([0, 10, 20, 600, 610, 620], 10)).toBeUndefined();
    expect(coarserGranularity([0, 600], 10)).toBeUndefined();
    expect(coarserGranularity([], 10)).toBeUndefined();
  });

  it("never grows beyond the widest, whatever the spacing", () => {
    expect(coarserGranularity(every(100_000, 5), 3_600)).toBeUndefined();
    expect(GRANULARITIES_S.at(-1)).toBe(3_600);
  });
});
