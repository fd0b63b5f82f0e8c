import { describe, expect, it } from "vitest";
import * as format from "../src/i18n/format";

describe("money", () => {
  it("is never rounded through a binary fraction", () => {
    expect(format.formatAmount("90071992547409931234.55", "USD", "en-US")).toBe("$90,071,992,547,409,931,234.55");
    expect(format.formatPrice("0.1000000000000000055", "USD", "en-US")).toBe("$0.1000000000000000055");
  });

  it.each([
    ["1284.3377", "JPY", "ja-JP", "¥1,284"],
    ["1284.3377", "JPY", "en-GB", "¥1,284"],
    ["12.3456", "JPY", "ja-JP", "¥12.3"],
    ["0.0123456", "JPY", "ja-JP", "¥0.0123"],
    ["2.9", "JPY", "ja-JP", "¥2.90"],
    ["5.000", "JPY", "en-GB", "¥5"],
    ["0", "JPY", "ja-JP", "¥0"],
    ["0", "USD", "en-US", "$0.00"],
    ["5", "USD", "en-US", "$5.00"],
    ["-3.999", "USD", "en-US", "-$4.00"],
    ["0.00123", "EUR", "en-IE", "€0.00123"],
  ])("%s %s in %s is %s", (amount, currency, locale, expected) => {
    expect(format.formatAmount(amount, currency, locale)).toBe(expected);
  });

  it("shows a running figure as rounded by the API, and exactly while that would hide it", () => {
    expect(format.formatRunning("1284", "1284.9", "JPY", "ja-JP")).toBe("¥1,284");
    expect(format.formatRunning("0", "0.041200000000", "JPY", "ja-JP")).toBe("¥0.0412");
  });

  it("shows a price with every digit it has", () => {
    expect(format.formatPrice("0.00277778", "JPY", "ja-JP")).toBe("¥0.00277778");
    expect(format.formatPrice("50.000", "JPY", "ja-JP")).toBe("¥50");
    expect(format.formatPrice("0.5", "USD", "en-US")).toBe("$0.50");
  });

  it("shows what it cannot read as it came", () => {
    expect(format.formatAmount("n/a", "JPY", "en")).toBe("n/a");
    expect(format.formatQuantity("?", "en")).toBe("?");
  });
});

describe("quantities", () => {
  it.each([
    ["412987.2500", "412,987.25"],
    ["0.00007141", "0.0000714"],
    ["7.44184", "7.442"],
    ["0", "0"],
  ])("%s reads %s", (quantity, expected) => {
    expect(format.formatQuantity(quantity, "en-GB")).toBe(expected);
  });
});

describe("time", () => {
  const at = new Date("2026-11-21T03:00:00Z");
  const later = (seconds: number) => new Date(at.getTime() + seconds * 1000);

  it("says how long ago in the reader's language", () => {
    expect(format.formatAgo(at, later(0), "en-GB")).toBe("now");
    expect(format.formatAgo(at, later(59), "en-GB")).toMatch(/^59 sec/);
    expect(format.formatAgo(at, later(185), "ja-JP")).toMatch(/3\s?分前/);
    expect(format.formatAgo(at, later(86_400), "en-GB")).toBe("1 day ago");
    expect(format.formatAgo(at, later(2 * 86_400 - 1), "en-GB")).toBe("1 day ago");
    expect(format.formatAgo(at, later(86_400), "ja-JP")).toMatch(/^1\s?日前$/);
  });

  it("never speaks of the future when clocks differ", () => {
    expect(format.formatAgo(later(3), at, "en-GB")).toBe("now");
  });

  it("calls a whole month by its name, and any other period by its days", () => {
    const month = [new Date("2026-11-01T00:00:00Z"), new Date("2026-12-01T00:00:00Z")] as const;
    expect(format.formatPeriod(...month, "en-GB", "UTC")).toBe("November 2026");
    expect(format.formatPeriod(...month, "ja-JP", "UTC")).toBe("2026年11月");
    const inTokyo = [new Date("2026-10-31T15:00:00Z"), new Date("2026-11-30T15:00:00Z")] as const;
    expect(format.formatPeriod(...inTokyo, "en-GB", "Asia/Tokyo")).toBe("November 2026");
    const days = [new Date("2026-11-20T00:00:00Z"), new Date("2026-11-22T00:00:00Z")] as const;
    expect(format.formatPeriod(...days, "en-GB", "UTC")).toMatch(/^20\s?–\s?21 Nov 2026$/);
  });

  it("writes a duration in its largest whole unit", () => {
    expect(format.formatDuration(60, "en-GB")).toBe("1 min");
    expect(format.formatDuration(90, "en-GB")).toMatch(/^90 sec/);
    expect(format.formatDuration(0, "en-GB")).toMatch(/^0 sec/);
  });
});

describe("thresholds", () => {
  it("are shown as they were set, since a rounded one would be another", () => {
    expect(format.formatPercentExactly(62.5, "en-GB")).toBe("62.5%");
    expect(format.formatPercentExactly(0.07, "en-GB")).toBe("0.07%");
    expect(format.formatPercentExactly(80, "ja-JP")).toBe("80%");
    expect(format.formatReading(0.04, "en-GB")).toBe("0.04");
    expect(format.formatReading(48_000_000_000, "en-GB")).toBe("48,000,000,000");
    expect(format.formatReading(12.345, "en-GB")).toBe("12.3");
  });
});

describe("sizes", () => {
  it("tells memory in GiB from one GiB up", () => {
    expect(format.formatMemory(192, "en")).toBe("192 MiB");
    expect(format.formatMemory(1536, "en")).toBe("1.5 GiB");
  });
});
