/** Light, dark, or what the system says; a choice is kept in this browser. */
import { useSyncExternalStore } from "react";

export const THEMES = ["system", "light", "dark"] as const;
export type Theme = (typeof THEMES)[number];

const STORAGE_KEY = "nephoscope.theme";
const listeners = new Set<() => void>();
/** What was chosen, while a page that is being printed is light. */
let besidePaper: string | undefined;
let isPrinting = false;

export function chosenTheme(): Theme {
  const chosen = isPrinting ? besidePaper : document.documentElement.dataset.theme;
  return chosen === "light" || chosen === "dark" ? chosen : "system";
}

export function chooseTheme(theme: Theme): void {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  try {
    localStorage.setItem(STORAGE_KEY, theme);
  } catch {
    // The choice then holds until the page is left.
  }
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void): () => void {
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  listeners.add(listener);
  system.addEventListener("change", listener);
  return () => {
    listeners.delete(listener);
    system.removeEventListener("change", listener);
  };
}

export function useChosenTheme(): Theme {
  return useSyncExternalStore(subscribe, chosenTheme);
}

/** Paper is light, whatever the screen is: the canvas of a chart is drawn anew for it. */
export function printLight(): void {
  const { dataset } = document.documentElement;
  window.addEventListener("beforeprint", () => {
    if (!isPrinting) besidePaper = dataset.theme;
    isPrinting = true;
    dataset.theme = "light";
    for (const listener of listeners) listener();
  });
  window.addEventListener("afterprint", () => {
    isPrinting = false;
    if (besidePaper === undefined) delete dataset.theme;
    else dataset.theme = besidePaper;
    for (const listener of listeners) listener();
  });
}

function shownTheme(): "light" | "dark" {
  if (isPrinting) return "light";
  const chosen = chosenTheme();
  if (chosen !== "system") return chosen;
  return window.matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}

/** The theme that is on the screen now; a canvas is drawn anew when it changes. */
export function useShownTheme(): "light" | "dark" {
  return useSyncExternalStore(subscribe, shownTheme);
}
