/** The reader's language: chosen, else the browser's, else English; kept in this browser. */
import i18next from "i18next";
import { initReactI18next } from "react-i18next";
import { en } from "./en";
import { ja } from "./ja";

export const LANGUAGES = ["en", "ja"] as const;
export type Language = (typeof LANGUAGES)[number];

const STORAGE_KEY = "nephoscope.language";

declare module "i18next" {
  interface CustomTypeOptions {
    resources: { translation: typeof en };
  }
}

export function preferredLanguage(kept: string | null, browser: string): Language {
  return (kept ?? browser).toLowerCase().startsWith("ja") ? "ja" : "en";
}

function keptLanguage(): string | null {
  try {
    return localStorage.getItem(STORAGE_KEY);
  } catch {
    return null;
  }
}

export function chooseLanguage(language: Language): void {
  try {
    localStorage.setItem(STORAGE_KEY, language);
  } catch {
    // The choice then holds until the page is left.
  }
  void i18next.changeLanguage(language);
}

/** The locale for Intl: the reader's own variant of the language where the browser names one. */
export function localeOf(language: string, browserLanguages: readonly string[] = navigator.languages): string {
  return (
    browserLanguages.find((candidate) => candidate.startsWith(`${language}-`)) ??
    (language === "ja" ? "ja-JP" : "en-GB")
  );
}

i18next.on("languageChanged", (language) => {
  document.documentElement.lang = language;
});

void i18next.use(initReactI18next).init({
  resources: { en: { translation: en }, ja: { translation: ja } },
  lng: preferredLanguage(keptLanguage(), navigator.language),
  fallbackLng: "en",
  interpolation: { escapeValue: false },
  returnNull: false,
});

export { i18next };
