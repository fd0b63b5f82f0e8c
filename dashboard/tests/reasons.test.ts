import { describe, expect, it } from "vitest";
import { reasonIn } from "../src/i18n/reasons";

describe("reasons", () => {
  it("keep two digits of a long fraction and everything else", () => {
    expect(reasonIn("en", "most recent: 94.51357712499998").text).toBe("most recent: 94.51");
    expect(reasonIn("en", "at 04:21:01 UTC, 2 of 3.5").text).toBe("at 04:21:01 UTC, 2 of 3.5");
  });

  it("tell moments on the reader's clock, as the rest of the page does", () => {
    const inTokyo = (utc: Date) => utc.toLocaleTimeString("en-GB", { timeZone: "Asia/Tokyo" });
    const reason = "the group cools down until 16:43:51 UTC";
    expect(reasonIn("en", reason, inTokyo).text).toBe("the group cools down until 01:43:51");
    expect(reasonIn("ja", reason, inTokyo).text).toBe("グループは 01:43:51 までクールダウン中です");
    expect(reasonIn("en", "tried at 99:99:99 UTC", inTokyo).text).toBe("tried at 99:99:99 UTC");
  });

  it("keep to the grammar of one", () => {
    expect(reasonIn("en", "Remaining as ok due to 1 samples inside threshold, most recent: 8.07").text).toBe(
      "Remaining as ok due to 1 sample inside threshold, most recent: 8.07",
    );
    expect(reasonIn("en", "1 of 2 datapoints are unknown: why").text).toBe("1 of 2 datapoints is unknown: why");
    expect(reasonIn("en", "11 of 12 datapoints are unknown: why").text).toBe("11 of 12 datapoints are unknown: why");
    expect(reasonIn("en", "scaling is in progress: 1 members are starting and 0 leaving").text).toBe(
      "scaling is in progress: 1 member is starting and 0 leaving",
    );
    expect(reasonIn("en", "the last 1 launches failed; no more").text).toBe("the last launch failed; no more");
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
    [
      "1 of 2 datapoints are unknown: cpu of the instance resources of the query has too few points in the last 30 s; is the source running, and does it report at least once each granularity?",
      "2 個の測定値のうち 1 個が不明です。検索条件の instance の cpu の直近 30 秒の測定値が足りません。測定元が動いているか、粒度ごとに報告しているかを確認してください",
    ],
    [
      "2 of 2 datapoints are unknown: no resource is found for cpu of instance 7; look at the resource id or the query, and at the project",
      "2 個の測定値のうち 2 個が不明です。cpu of instance 7 に当たるリソースがありません。リソース ID や検索条件、プロジェクトを確認してください",
    ],
    ["the group has its largest size already: 4", "グループはすでに最大の 4 台です"],
    ["out: exactly 3 changes the size from 2 to 3", "out：3 台ちょうどにする指定により 2 台から 3 台へ"],
    ["the group is deleted", "グループが削除されました"],
    ["the group is being deleted", "グループは削除中です"],
    ["the desired size was set from 2 to 3", "目標の台数が 2 台から 3 台に設定されました"],
    ["Not evaluated yet", "まだ評価されていません"],
    ["Manually set via API", "API から手動で設定されました"],
    [
      "the last 3 launches failed; no more are tried before 04:13:23 UTC",
      "直近 3 回の起動が失敗したため、04:13:23 UTC まで起動を見合わせます",
    ],
  ])("are said in Japanese: %s", (reason, said) => {
    expect(reasonIn("ja", reason)).toEqual({ text: said, language: "ja" });
  });

  it("of an unknown form stay as they are, marked as English", () => {
    expect(reasonIn("ja", "a launch failed: no host")).toEqual({ text: "a launch failed: no host", language: "en" });
  });
});
