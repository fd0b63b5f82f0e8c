/** The formatters bound to the reader's locale, for components. */
import { useMemo } from "react";
import { useTranslation } from "react-i18next";
import * as format from "./format";
import { localeOf } from "./index";

export function useFormat() {
  const { i18n } = useTranslation();
  return useMemo(() => {
    const locale = localeOf(i18n.language);
    return {
      locale,
      amount: (text: string, currency: string) => format.formatAmount(text, currency, locale),
      running: (rounded: string, unrounded: string, currency: string) =>
        format.formatRunning(rounded, unrounded, currency, locale),
      price: (text: string, currency: string) => format.formatPrice(text, currency, locale),
      quantity: (text: string) => format.formatQuantity(text, locale),
      number: (value: number, fractionDigits = 0) => format.formatNumber(value, locale, fractionDigits),
      percentExactly: (value: number) => format.formatPercentExactly(value, locale),
      reading: (value: number) => format.formatReading(value, locale),
      percent: (value: number, fractionDigits = 0) => format.formatPercent(value, locale, fractionDigits),
      memory: (mib: number) => format.formatMemory(mib, locale),
      time: (at: Date, withSeconds = false) => format.formatTime(at, locale, withSeconds),
      dateTime: (at: Date) => format.formatDateTime(at, locale),
      period: ({ start, end, time_zone }: { start: string; end: string; time_zone: string }) =>
        format.formatPeriod(new Date(start), new Date(end), locale, time_zone),
      ago: (at: Date, now: Date) => format.formatAgo(at, now, locale),
      duration: (seconds: number) => format.formatDuration(seconds, locale),
    };
  }, [i18n.language]);
}

export type Format = ReturnType<typeof useFormat>;
