/** Which line gets which colour and dash; an instance keeps its own for as long as the page is open. */

export const SERIES_COLOURS = 6;
const DASHES: readonly (readonly number[])[] = [[], [7, 3], [2, 3], [9, 3, 2, 3], [4, 2], [12, 4]];

export interface LineStyle {
  /** CSS custom property of the colour. */
  colour: string;
  dash: readonly number[];
  isPlain: boolean;
}

const taken = new Map<string, number>();

/** The style of an instance's line; those past the palette are drawn alike in grey. */
export function lineStyle(id: string, present: readonly string[]): LineStyle {
  let slot = taken.get(id);
  if (slot === undefined) {
    const used = new Set(present.map((other) => taken.get(other)));
    slot = 0;
    while (slot < SERIES_COLOURS && used.has(slot)) slot += 1;
    if (slot < SERIES_COLOURS) taken.set(id, slot);
  }
  if (slot >= SERIES_COLOURS) return { colour: "--series-rest", dash: [], isPlain: true };
  return { colour: `--series-${slot + 1}`, dash: DASHES[slot] ?? [], isPlain: false };
}

/** A custom property as the colour that the shown theme makes of it (a canvas knows no light-dark()). */
export function resolveColour(element: HTMLElement, property: string): string {
  const probe = document.createElement("span");
  probe.style.color = `var(${property})`;
  element.append(probe);
  const colour = getComputedStyle(probe).color;
  probe.remove();
  return colour;
}
