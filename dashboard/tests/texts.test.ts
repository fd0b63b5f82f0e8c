import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { localeOf, preferredLanguage } from "../src/i18n";
import { en } from "../src/i18n/en";
import { ja } from "../src/i18n/ja";

type Tree = { readonly [key: string]: string | Tree };

function flat(tree: Tree, prefix = ""): Map<string, string> {
  const entries = Object.entries(tree).flatMap(([key, value]): [string, string][] =>
    typeof value === "string" ? [[prefix + key, value]] : [...flat(value, `${prefix}${key}.`)],
  );
  return new Map(entries);
}

const placeholders = (text: string): string[] =>
  [...text.matchAll(/\{\{(\w+)\}\}/g)].map((match) => match[1] ?? "").sort();

describe("the texts", () => {
  const english = flat(en);
  const japanese = flat(ja);

  it("exist in both languages", () => {
    const expected = [...english.keys()].filter((key) => !key.endsWith("_one"));
    expect([...japanese.keys()].sort()).toEqual(expected.sort());
  });

  it("use the same values in both languages", () => {
    for (const [key, text] of japanese) {
      expect([key, placeholders(text)]).toEqual([key, placeholders(english.get(key) ?? "")]);
    }
  });

  it("are all used", () => {
    const root = join(import.meta.dirname, "../src");
    const code = (readdirSync(root, { recursive: true }) as string[])
      .filter((name) => /\.tsx?$/.test(name) && !name.startsWith("i18n/"))
      .map((name) => readFileSync(join(root, name), "utf8"))
      .join("\n");
    const unused = [...english.keys()].filter((key) => {
      const bare = key.replace(/_(one|other)$/, "");
      const family = bare.slice(0, bare.lastIndexOf("."));
      return !code.includes(`"${bare}"`) && !code.includes(`\`${family}.\${`);
    });
    expect(unused).toEqual([]);
  });
});

describe("the language", () => {
  it("is the kept one, else the browser's, else English", () => {
    expect(preferredLanguage("ja", "en-US")).toBe("ja");
    expect(preferredLanguage(null, "ja-JP")).toBe("ja");
    expect(preferredLanguage(null, "de-DE")).toBe("en");
  });

  it("formats numbers as the reader's own region does", () => {
    expect(localeOf("en", ["ja-JP", "en-US"])).toBe("en-US");
    expect(localeOf("ja", ["en-US"])).toBe("ja-JP");
  });
});
