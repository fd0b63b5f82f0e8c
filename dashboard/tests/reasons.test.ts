import { describe, expect, it } from "vitest";
import { reasonIn } from "../src/i18n/reasons";

describe("reasons", () => {
  it("keep two digits of a long fraction and everything else", () => {
    expect(reasonIn("en", "most recent: 94.51357712499998").text).toBe("most recent: 94.51");
    expect(reasonIn("en", "at 04:21:01 UTC, 2 of 3.5").text).toBe("at 04:21:01 UTC, 2 of 3.5");
  });

  it.each([
    [
      "Transition to alarm due to 2 samples outside threshold, most recent: 92.3170",
      "直近 2 回の測定値がしきい値の範囲外のため「アラーム」に変化（最新 92.31）",
    ],
    [
      "Remaining as ok due to 3 samples inside threshold, most recent: 12.0",
      "直近 3 回の測定値がしきい値の範囲内のため「正常」を継続（最新 12.0）",
    ],
    ["out: +1 changes the size from 2 to 3", "out：+1 により 2 台から 3 台へ"],
    [
      "out: +5 changes the size from 2 to 4, bounded from 7",
      "out：+5 により 2 台から 4 台へ（上下限により 7 台から調整）",
    ],
    ["the group cools down until 04:13:23 UTC", "グループは 04:13:23 UTC までクールダウン中です"],
    ["the group has its largest size already: 4", "グループはすでに最大の 4 台です"],
  ])("are said in Japanese: %s", (reason, said) => {
    expect(reasonIn("ja", reason)).toEqual({ text: said, language: "ja" });
  });

  it("of an unknown form stay as they are, marked as English", () => {
    expect(reasonIn("ja", "a launch failed: no host")).toEqual({ text: "a launch failed: no host", language: "en" });
  });
});
