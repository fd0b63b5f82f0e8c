/** Numbers, money, times and durations as the reader's language writes them. Pure: locale and clock are arguments. */
import { decimalText, fractionDigitsFor, parseDecimal } from "./decimal";

/** A month of 31 days, and a change of clocks. */
const MONTH_MS_MAX = 32 * 86_400_000;
const FRACTION_DIGITS_MAX = 20;
/** An amount that is still running shows at least this many significant digits, so that the first yen is seen to grow. */
const AMOUNT_DIGITS = 3;
/** Of a threshold: more digits than anybody sets, and fewer than a binary fraction makes up. */
const SET_DIGITS_MAX = 8;

type Made = Intl.NumberFormat | Intl.DateTimeFormat | Intl.RelativeTimeFormat;
const made = new Map<string, Made>();

/** Making an Intl formatter costs more than using it a hundred times; there are few different ones. */
function once<Formatter extends Made>(kind: string, locale: string, options: object, make: () => Formatter): Formatter {
  const key = `${kind} ${locale} ${JSON.stringify(options)}`;
  let formatter = made.get(key) as Formatter | undefined;
  if (formatter === undefined) {
    formatter = make();
    made.set(key, formatter);
  }
  return formatter;
}

const numberFormat = (locale: string, options: Intl.NumberFormatOptions) =>
  once("number", locale, options, () => new Intl.NumberFormat(locale, options));
const dateFormat = (locale: string, options: Intl.DateTimeFormatOptions) =>
  once("date", locale, options, () => new Intl.DateTimeFormat(locale, options));
const relativeFormat = (locale: string, options: Intl.RelativeTimeFormatOptions) =>
  once("relative", locale, options, () => new Intl.RelativeTimeFormat(locale, options));

/** Intl takes decimal text as it is (Intl.NumberFormat v3), every digit of it; the type wants to be told. */
const exact = (text: string): Intl.StringNumericLiteral => text as Intl.StringNumericLiteral;

function currencyDigits(currency: string): number {
  return numberFormat("en", { style: "currency", currency }).resolvedOptions().maximumFractionDigits ?? 2;
}

interface Digits {
  minimumFractionDigits: number;
  maximumFractionDigits: number;
}

function money(text: string, currency: string, locale: string, digits: Digits): string {
  const options = { style: "currency", currency, currencyDisplay: "narrowSymbol", ...digits } as const;
  // Japanese data writes a full-width yen sign, which breaks the line's rhythm beside half-width digits.
  return numberFormat(locale, options).format(exact(text)).replace("￥", "¥");
}

/** An amount for reading: the currency's own digits, more only while it is small, and then always as many, so that a column lines up. */
export function formatAmount(text: string, currency: string, locale: string): string {
  const value = parseDecimal(text);
  if (!value) return text;
  const minor = currencyDigits(currency);
  const digits = Math.min(FRACTION_DIGITS_MAX, Math.max(minor, fractionDigitsFor(value, AMOUNT_DIGITS)));
  const hasFraction = /[1-9]/.test(value.fraction);
  return money(decimalText(value), currency, locale, {
    minimumFractionDigits: hasFraction ? digits : minor,
    maximumFractionDigits: digits,
  });
}

/** Whole units from which on a running figure is shown as the API rounded it; below, what it is exactly says more. */
const ROUNDED_FROM_DIGITS = 3;

/** A figure that still runs: as the draft would round it, or exactly while that would hide it. */
export function formatRunning(rounded: string, unrounded: string, currency: string, locale: string): string {
  const isBig = (parseDecimal(rounded)?.whole.length ?? 0) >= ROUNDED_FROM_DIGITS;
  return formatAmount(isBig ? rounded : unrounded, currency, locale);
}

/** A price with every digit it has: what is multiplied must be what is read. */
export function formatPrice(text: string, currency: string, locale: string): string {
  const value = parseDecimal(text);
  if (!value) return text;
  const significant = value.fraction.replace(/0+$/, "").length;
  const minor = currencyDigits(currency);
  return money(decimalText(value), currency, locale, {
    minimumFractionDigits: significant > 0 ? minor : 0,
    maximumFractionDigits: Math.min(FRACTION_DIGITS_MAX, Math.max(minor, significant)),
  });
}

/** A quantity, to three digits after the point, or three significant ones below one. */
export function formatQuantity(text: string, locale: string): string {
  const value = parseDecimal(text);
  if (!value) return text;
  const digits = value.whole === "0" ? Math.max(3, fractionDigitsFor(value, 3)) : 3;
  return numberFormat(locale, { maximumFractionDigits: Math.min(FRACTION_DIGITS_MAX, digits) }).format(
    exact(decimalText(value)),
  );
}

export function formatNumber(value: number, locale: string, fractionDigits = 0): string {
  return numberFormat(locale, { maximumFractionDigits: fractionDigits }).format(value);
}

export function formatPercent(value: number, locale: string, fractionDigits = 0): string {
  return numberFormat(locale, {
    style: "percent",
    minimumFractionDigits: fractionDigits,
    maximumFractionDigits: fractionDigits,
  }).format(value / 100);
}

/** A percentage with every digit that it was set with. */
export function formatPercentExactly(value: number, locale: string): string {
  return numberFormat(locale, { style: "percent", maximumFractionDigits: SET_DIGITS_MAX }).format(value / 100);
}

/** A reading of unknown kind: one digit after the point, or three significant ones below one. */
export function formatReading(value: number, locale: string): string {
  const digits = Math.abs(value) < 1 ? { maximumSignificantDigits: 3 } : { maximumFractionDigits: 1 };
  return numberFormat(locale, digits).format(value);
}

/** Memory as people size it: GiB from one GiB up. */
export function formatMemory(mib: number, locale: string): string {
  return mib >= 1024 ? `${formatNumber(mib / 1024, locale, 1)} GiB` : `${formatNumber(mib, locale)} MiB`;
}

export function formatTime(at: Date, locale: string, withSeconds = false): string {
  return dateFormat(locale, {
    hour: "2-digit",
    minute: "2-digit",
    ...(withSeconds ? { second: "2-digit" } : {}),
    hourCycle: "h23",
  }).format(at);
}

export function formatDate(at: Date, locale: string): string {
  return dateFormat(locale, { year: "numeric", month: "long", day: "numeric" }).format(at);
}

export function formatDateTime(at: Date, locale: string): string {
  return dateFormat(locale, { dateStyle: "medium", timeStyle: "long", hourCycle: "h23" }).format(at);
}

/** The days of a half-open period in the zone in which its days begin; a whole month is called by its name. */
export function formatPeriod(start: Date, end: Date, locale: string, timeZone: string): string {
  const dayOfMonth = dateFormat("en", { day: "numeric", timeZone });
  const isMonth =
    [start, end].every((at) => dayOfMonth.format(at) === "1") && end.getTime() - start.getTime() < MONTH_MS_MAX;
  if (isMonth) return dateFormat(locale, { year: "numeric", month: "long", timeZone }).format(start);
  const day = dateFormat(locale, { year: "numeric", month: "short", day: "numeric", timeZone });
  return day.formatRange(start, new Date(end.getTime() - 1));
}

const UNITS: readonly (readonly [Intl.RelativeTimeFormatUnit, number])[] = [
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
  ["second", 1],
];

/** "3 minutes ago" in the reader's language; never a time ahead, since clocks differ a little, and never "yesterday", which is a date. */
export function formatAgo(at: Date, now: Date, locale: string): string {
  const elapsedS = Math.max(0, Math.round((now.getTime() - at.getTime()) / 1000));
  const [unit, size] = UNITS.find(([, seconds]) => elapsedS >= seconds) ?? (["second", 1] as const);
  const formatter = relativeFormat(locale, { numeric: elapsedS === 0 ? "auto" : "always", style: "short" });
  return formatter.format(-Math.floor(elapsedS / size), unit);
}

/** A length of time such as "90 sec" or "5 min", in the largest unit that is whole. */
export function formatDuration(seconds: number, locale: string): string {
  const [unit, size] =
    UNITS.find(([, length]) => seconds >= length && seconds % length === 0) ?? (["second", 1] as const);
  return numberFormat(locale, { style: "unit", unit, unitDisplay: "short", maximumFractionDigits: 1 }).format(
    seconds / size,
  );
}
