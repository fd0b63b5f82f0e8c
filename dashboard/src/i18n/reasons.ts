/**
 * The reasons that the API gives, as the reader reads them. The API writes English sentences of a few fixed forms; those we know are
 * said in the reader's language, any other stays as it is and is marked as English. Pure.
 */

export interface Reason {
  text: string;
  language: string;
}

const LONG_FRACTION = /(\d+\.\d{2})\d+/g;
const STATES: Record<string, string> = { ok: "正常", alarm: "アラーム", "insufficient data": "データ不足" };

const MISSING: readonly (readonly [RegExp, (...parts: string[]) => string])[] = [
  [
    /^(.+) has no such metric; look at .+$/,
    (subject = "") => `${subject} にそのメトリックはありません。リソースのメトリック名を確認してください`,
  ],
  [
    /^no resource is found for (.+); look at .+$/,
    (subject = "") => `${subject} に当たるリソースがありません。リソース ID や検索条件、プロジェクトを確認してください`,
  ],
  [
    /^(.+) has points further apart than (\S+) s; .+$/,
    (subject = "", granularity = "") => `${subject} の測定間隔が ${granularity} 秒より長いため、粒度を長くしてください`,
  ],
  [
    /^(.+) has too few points in the last (\S+) s; .+$/,
    (subject = "", window = "") =>
      `${subject} の直近 ${window} 秒の測定値が足りません。測定元が動いているか、粒度ごとに報告しているかを確認してください`,
  ],
];
const QUERY_SUBJECT = /^(\S+) of the (\S+) resources of the query$/;

/** What a window lacks; the metric and the resource keep their names. */
function missing(why: string): string {
  for (const [form, say] of MISSING) {
    const [, subject = "", ...rest] = form.exec(why) ?? [];
    if (subject !== "") return say(subject.replace(QUERY_SUBJECT, "検索条件の $2 の $1"), ...rest);
  }
  return why;
}

/** The API writes its numbers into fixed sentences; in English one thing is not said like many. */
const ONE: readonly (readonly [RegExp, string])[] = [
  [/\b1 samples\b/, "1 sample"],
  [/^1 of (\d+) datapoints are\b/, "1 of $1 datapoints is"],
  [/\b1 members are\b/, "1 member is"],
  [/\bof 1 members\b/, "of 1 member"],
  [/\bthe last 1 launches failed\b/, "the last launch failed"],
];

const inGrammar = (reason: string): string => ONE.reduce((text, [form, said]) => text.replace(form, said), reason);

/** How a policy changes a size, where it is said by a word. */
const changeInJapanese = (change: string): string =>
  change.replace(/^exactly (\d+)$/, "$1 台ちょうどにする指定").replace(/\d$|%$/, "$& ");

type Form = readonly [RegExp, (...parts: string[]) => string];

const JAPANESE: readonly Form[] = [
  [
    /^(Transition to|Remaining as) (ok|alarm|insufficient data) due to (\d+) samples (inside|outside) threshold, most recent: (.+)$/,
    (verb = "", state = "", count = "", side = "", newest = "") =>
      `直近 ${count} 回の測定値がしきい値の範囲${side === "inside" ? "内" : "外"}のため「${STATES[state] ?? state}」${verb === "Remaining as" ? "を継続" : "に変化"}（最新 ${newest}）`,
  ],
  [
    /^(\d+) of (\d+) datapoints are unknown: (.+)$/,
    (unknown = "", wanted = "", why = "") => `${wanted} 個の測定値のうち ${unknown} 個が不明です。${missing(why)}`,
  ],
  [
    /^(.+): (\S.*) changes the size from (\d+) to (\d+)(?:, bounded from (-?\d+))?$/,
    (policy = "", change = "", before = "", after = "", wished = "") =>
      `${policy}：${changeInJapanese(change)}により ${before} 台から ${after} 台へ${wished === "" ? "" : `（上下限により ${wished} 台から調整）`}`,
  ],
  [/^Not evaluated yet$/, () => "まだ評価されていません"],
  [/^Manually set via API$/, () => "API から手動で設定されました"],
  [/^the group is deleted$/, () => "グループが削除されました"],
  [/^the group is being deleted$/, () => "グループは削除中です"],
  [
    /^the desired size was set from (\d+) to (\d+)$/,
    (before = "", after = "") => `目標の台数が ${before} 台から ${after} 台に設定されました`,
  ],
  [
    /^the last (\d+) launches failed; no more are tried before (.+)$/,
    (count = "", time = "") => `直近 ${count} 回の起動が失敗したため、${time} まで起動を見合わせます`,
  ],
  [/^the group cools down until (.+)$/, (time = "") => `グループは ${time} までクールダウン中です`],
  [/^the policy cools down until (.+)$/, (time = "") => `ポリシーは ${time} までクールダウン中です`],
  [/^the group has its largest size already: (\d+)$/, (size = "") => `グループはすでに最大の ${size} 台です`],
  [/^the group has its smallest size already: (\d+)$/, (size = "") => `グループはすでに最小の ${size} 台です`],
  [
    /^the policy asks for the size that the group has: (\d+)$/,
    (size = "") => `ポリシーの求める ${size} 台にすでになっています`,
  ],
  [
    /^scaling is in progress: (\d+) members are starting and (\d+) leaving$/,
    (starting = "", leaving = "") => `スケーリングの途中です（起動中 ${starting} 台、終了中 ${leaving} 台）`,
  ],
  [
    /^scaling is in progress: the group has (\d+) of (\d+) members$/,
    (present = "", wanted = "") => `スケーリングの途中です（${wanted} 台のうち ${present} 台）`,
  ],
  [
    /^the host of (\d+) of (\d+) members does not answer; nothing is scaled on what is not known$/,
    (unknown = "", members = "") =>
      `${members} 台のうち ${unknown} 台のホストが応答しません。状態が不明な間はスケーリングしません`,
  ],
];

const UTC_MOMENT = /\b([01]\d|2[0-3]):[0-5]\d:[0-5]\d UTC\b/g;

/** Today's moment of that name: the API leaves the date out, since it is at most minutes away. */
const momentOf = (named: string): Date => new Date(`${new Date().toISOString().slice(0, 10)}T${named.slice(0, 8)}Z`);

/** A reason in the reader's language where its form is known, with numbers as people say them and moments as `clock` tells them. */
export function reasonIn(language: string, given: string, clock?: (at: Date) => string): Reason {
  const inNumbers = given.replace(LONG_FRACTION, "$1");
  const reason = clock === undefined ? inNumbers : inNumbers.replace(UTC_MOMENT, (named) => clock(momentOf(named)));
  if (language !== "ja") return { text: inGrammar(reason), language: "en" };
  for (const [form, say] of JAPANESE) {
    const match = form.exec(reason);
    if (match) return { text: say(...match.slice(1)), language };
  }
  return { text: inGrammar(reason), language: "en" };
}
