import { describe, expect, it } from "vitest";
import { type Decimal, decimalText, fractionDigitsFor, isBelow, parseDecimal, sumDecimals } from "../src/i18n/decimal";

const parsed = (text: string): Decimal => {
  const value = parseDecimal(text);
  if (!value) throw new Error(`${text} is no decimal`);
  return value;
};

describe("decimal text", () => {
  it.each([
    ["0", "0"],
    ["-0.00", "0.00"],
    ["0012.50", "12.50"],
    ["1E-7", "0.0000001"],
    ["1.5e3", "1500"],
    ["-12.345E+1", "-123.45"],
    ["123456789012345678901234567890.123456789", "123456789012345678901234567890.123456789"],
  ])("keeps every digit of %s", (given, expected) => {
    expect(decimalText(parsed(given))).toBe(expected);
  });

  it.each(["", "NaN", "Infinity", "1,5", "0x10", "--1", "1e9999", "１２"])("refuses %j", (text) => {
    expect(parseDecimal(text)).toBeUndefined();
  });

  it.each([
    [["0.1", "0.2"], "0.3"],
    [["1.50", "-2", "0.25"], "-0.25"],
    [["90071992547409931234.55", "0.000000000001"], "90071992547409931234.550000000001"],
    [["-1", "1"], "0"],
    [[], "0"],
  ])("adds %j exactly", (texts, sum) => {
    expect(sumDecimals(texts)).toBe(sum);
  });

  it("compares exactly, and finds what it cannot read below nothing", () => {
    expect(isBelow("1", "1.000000000001")).toBe(true);
    expect(isBelow("90071992547409931235", "90071992547409931234.55")).toBe(false);
    expect(isBelow("2.0", "2")).toBe(false);
    expect(isBelow("n/a", "1")).toBe(false);
  });

  it("adds nothing to what it cannot read", () => {
    expect(sumDecimals(["1", "n/a"])).toBeUndefined();
  });

  it("shows enough digits for a small amount to be seen", () => {
    expect(fractionDigitsFor(parsed("0.000123456"), 3)).toBe(6);
    expect(fractionDigitsFor(parsed("12.3456"), 3)).toBe(1);
    expect(fractionDigitsFor(parsed("1234.5"), 3)).toBe(0);
    expect(fractionDigitsFor(parsed("0.0"), 3)).toBe(0);
  });
});
