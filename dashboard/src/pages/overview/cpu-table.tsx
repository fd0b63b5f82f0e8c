/** The CPU chart's twin: the same readings as a table, newest first. */
import { useTranslation } from "react-i18next";
import type { ChartFrame } from "../../charts/align";
import { useFormat } from "../../i18n/use-format";
import styles from "./overview.module.css";

const ROWS_MAX = 180;
const COLUMNS_MAX = 12;

export function CpuTable({ frame }: { frame: ChartFrame }) {
  const { t } = useTranslation();
  const format = useFormat();
  const lines = frame.lines.slice(0, COLUMNS_MAX);
  const more = frame.lines.length - lines.length;
  const rows = frame.times.map((_, index) => frame.times.length - 1 - index).slice(0, ROWS_MAX);
  const cell = (value: number | null | undefined) =>
    value == null ? <span className={styles.unknown}>{t("cpu.noData")}</span> : format.percent(value, 1);
  return (
    <>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reached by keyboard */}
      <section className={styles.tableScroll} aria-label={t("cpu.tableCaption")} tabIndex={0}>
        <table className={styles.numbers}>
          <caption className="visually-hidden">{t("cpu.tableCaption")}</caption>
          <thead>
            <tr>
              <th scope="col">{t("cpu.time")}</th>
              <th scope="col">{t("cpu.aggregate")}</th>
              {lines.map((line) => (
                <th key={line.id} scope="col">
                  {line.name}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.map((index) => (
              <tr key={frame.times[index]}>
                <th scope="row">{format.time(new Date((frame.times[index] ?? 0) * 1000), true)}</th>
                <td>{cell(frame.aggregate[index])}</td>
                {lines.map((line) => (
                  <td key={line.id}>{cell(line.values[index])}</td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </section>
      {more > 0 && <p className={styles.sub}>{t("cpu.tableMore", { count: more })}</p>}
    </>
  );
}
