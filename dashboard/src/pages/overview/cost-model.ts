/** Folds the lines of a statement into what one looks at first: one row for each thing that is priced alike. Pure, exact. */
import type { CostLine } from "../../api/types";
import { sumDecimals } from "../../i18n/decimal";

export interface CostRow {
  key: string;
  /** The first of the lines: what they have in common is read off it. */
  sample: CostLine;
  lines: readonly CostLine[];
  quantity: string;
  amount: string;
  amountUnrounded: string;
}

/** Lines of the same meter, state, flavor and price add up, those that adjust an earlier invoice by themselves; sums are exact, and where one cannot be read nothing is added. */
export function foldLines(lines: readonly CostLine[]): CostRow[] {
  const groups = new Map<string, CostLine[]>();
  for (const line of lines) {
    const { meter, state, flavor_name, unit, unit_price, adjusts } = line;
    const key = JSON.stringify([meter, state, flavor_name, unit, unit_price, adjusts?.invoice ?? null]);
    groups.set(key, [...(groups.get(key) ?? []), line]);
  }
  return [...groups].flatMap(([key, alike]) => {
    const folded = fold(key, alike);
    return folded ? [folded] : alike.flatMap((line) => fold(`${key} ${line.number}`, [line]) ?? []);
  });
}

function fold(key: string, lines: readonly CostLine[]): CostRow | undefined {
  const [sample] = lines;
  if (!sample) return undefined;
  const single = lines.length === 1;
  const quantity = single ? sample.quantity : sumDecimals(lines.map((line) => line.quantity));
  const amount = single ? sample.amount : sumDecimals(lines.map((line) => line.amount));
  const amountUnrounded = single ? sample.amount_unrounded : sumDecimals(lines.map((line) => line.amount_unrounded));
  if (quantity === undefined || amount === undefined || amountUnrounded === undefined) return undefined;
  return { key, sample, lines, quantity, amount, amountUnrounded };
}
