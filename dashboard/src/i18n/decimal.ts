/** Money and quantities arrive as decimal text and stay text: nothing here ever makes a binary fraction of them. */

const DECIMAL = /^([+-]?)(\d+)(?:\.(\d*))?(?:[eE]([+-]?\d{1,3}))?$/;

export interface Decimal {
  readonly negative: boolean;
  /** Digits before the point, without leading zeros ("0" for none). */
  readonly whole: string;
  /** Digits after the point, as many as were given. */
  readonly fraction: string;
}

/** Split decimal text such as "-12.50" or "1E-7" into its digits; undefined where it is no decimal number. */
export function parseDecimal(text: string): Decimal | undefined {
  const match = DECIMAL.exec(text.trim());
  if (!match) return undefined;
  const [, sign = "", whole = "", fraction = "", exponentText = "0"] = match;
  const exponent = Number.parseInt(exponentText, 10);
  const shift = whole.length + exponent;
  const digits = whole + fraction;
  const before = shift <= 0 ? "0" : digits.slice(0, shift).padEnd(shift, "0");
  const after = shift <= 0 ? "0".repeat(-shift) + digits : digits.slice(shift);
  return { negative: sign === "-", whole: before.replace(/^0+(?=\d)/, ""), fraction: after };
}

export function decimalText(value: Decimal): string {
  const digits = value.fraction === "" ? value.whole : `${value.whole}.${value.fraction}`;
  return value.negative && /[1-9]/.test(digits) ? `-${digits}` : digits;
}

export function isZero(value: Decimal): boolean {
  return !/[1-9]/.test(value.whole + value.fraction);
}

/** The exact sum of decimal texts; undefined where one of them is no decimal number. */
export function sumDecimals(texts: readonly string[]): string | undefined {
  const values = texts.map(parseDecimal);
  const places = Math.max(0, ...values.map((value) => value?.fraction.length ?? 0));
  let total = 0n;
  for (const value of values) {
    if (!value) return undefined;
    const units = BigInt(value.whole + value.fraction.padEnd(places, "0"));
    total += value.negative ? -units : units;
  }
  const digits = (total < 0n ? -total : total).toString().padStart(places + 1, "0");
  const split = digits.length - places;
  return decimalText({ negative: total < 0n, whole: digits.slice(0, split), fraction: digits.slice(split) });
}

/** Whether the first is less than the second, exactly; not where one of them is no decimal number. */
export function isBelow(text: string, other: string): boolean {
  const negated = other.trim().startsWith("-") ? other.trim().slice(1) : `-${other.trim().replace(/^\+/, "")}`;
  return sumDecimals([text, negated])?.startsWith("-") ?? false;
}

/** How many fraction digits show at least `digits` significant ones, so that ¥0.0123 is not shown as ¥0. */
export function fractionDigitsFor(value: Decimal, digits: number): number {
  if (isZero(value)) return 0;
  if (value.whole !== "0") return Math.max(0, digits - value.whole.length);
  const leadingZeros = value.fraction.search(/[1-9]/);
  return leadingZeros + digits;
}
