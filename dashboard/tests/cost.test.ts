import { describe, expect, it } from "vitest";
import type { CostLine } from "../src/api/types";
import { foldLines } from "../src/pages/overview/cost-model";

const LINE: CostLine = {
  number: 1,
  description: "web-1: n1.nano, active",
  meter: "instance",
  resource_id: "0190aaaa-0000-7000-8000-000000000001",
  resource_name: "web-1",
  state: "active",
  flavor_name: "n1.nano",
  started_at: "2026-11-01T00:00:00Z",
  ended_at: "2026-11-02T00:00:00Z",
  quantity: "1.5",
  unit: "hour",
  unit_price: "8",
  base_quantity: "5400",
  base_unit: "s",
  base_units_per_unit: "3600",
  amount_unrounded: "12",
  amount: "12",
  rounding: "0",
  tax_rate: "0.1",
  price_version_id: "0190aaaa-0000-7000-8000-000000000002",
  price_version_number: 1,
  charge_count: 1,
  usage_digest: "0",
};
const LATE: CostLine = {
  ...LINE,
  number: 3,
  quantity: "-0.5",
  amount: "-4",
  amount_unrounded: "-4",
  adjusts: { invoice_id: "0190aaaa-0000-7000-8000-000000000003", invoice: "INV-000001", line: 1 },
};

describe("the rows of a statement", () => {
  it("add up lines that are priced alike, exactly", () => {
    const [row, ...others] = foldLines([LINE, { ...LINE, number: 2, quantity: "0.1", amount_unrounded: "0.8" }]);
    expect(others).toEqual([]);
    expect([row?.quantity, row?.amountUnrounded, row?.lines.length]).toEqual(["1.6", "12.8", 2]);
  });

  it("keep what adjusts an earlier invoice apart from the month's own usage", () => {
    const rows = foldLines([LINE, LATE, { ...LATE, number: 4 }]);
    expect(rows.map(({ quantity, lines }) => [quantity, lines.length])).toEqual([
      ["1.5", 1],
      ["-1.0", 2],
    ]);
  });
});
