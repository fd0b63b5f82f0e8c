import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";

const css = readFileSync(join(import.meta.dirname, "../src/theme/tokens.css"), "utf8");
const colours = new Map(
  [...css.matchAll(/--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)/g)].map(([, name, light, dark]) => [
    name,
    { light, dark },
  ]),
);

function luminance(hex: string): number {
  const [r = 0, g = 0, b = 0] = [1, 3, 5].map((at) => {
    const channel = Number.parseInt(hex.slice(at, at + 2), 16) / 255;
    return channel <= 0.04045 ? channel / 12.92 : ((channel + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

/** WCAG 2.2 contrast ratio. */
function contrast(a: string, b: string, theme: "light" | "dark"): number {
  const [one, other] = [a, b].map((name) => luminance(colours.get(name)?.[theme] ?? ""));
  const [low, high] = [one ?? 0, other ?? 0].sort((x, y) => x - y);
  return ((high ?? 0) + 0.05) / ((low ?? 0) + 0.05);
}

const grounds = ["surface", "canvas", "surface-sunken", "surface-hover"];
const texts = ["text", "text-muted", "accent"].flatMap((ink) => grounds.map((ground) => [ink, ground] as const));
const states = ["good", "bad", "warn", "calm"].flatMap((tone) => [
  [tone, `${tone}-soft`] as const,
  [tone, "surface"] as const,
]);
const others = [
  ["on-accent", "accent-fill"],
  ["on-accent", "accent-fill-hover"],
  ["accent", "accent-soft"],
] as const;
const lines = [...colours.keys()]
  .filter((name) => name?.startsWith("series-"))
  .map((name) => [name ?? "", "surface"] as const);
const edges = [
  ["line-strong", "surface"],
  ["focus", "surface"],
  ["focus", "canvas"],
] as const;

describe.each(["light", "dark"] as const)("in the %s theme", (theme) => {
  it.each([...texts, ...states, ...others])("text %s on %s meets AA", (ink, ground) => {
    expect(contrast(ink, ground, theme)).toBeGreaterThanOrEqual(4.5);
  });

  it.each([...lines, ...edges])("shape %s on %s can be seen", (ink, ground) => {
    expect(contrast(ink, ground, theme)).toBeGreaterThanOrEqual(3);
  });
});
